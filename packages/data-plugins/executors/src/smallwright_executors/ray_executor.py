"""Shards as Ray tasks.

DataTrove's Ray executor gives the pipeline its ranks, environment and marks of finished ranks. How tasks are started
is ours, because no shard must be lost unnoticed: docs/decisions/0005-executors-beyond-one-machine.md.
"""

import collections
import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
from core.data.executor import Executor
from core.errors import ConfigError, InputError
from core.process import cores
from datatrove.executor.base import PipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from smallwright_executors.travel import Travelling

LONGEST_TEMPORARY_FOLDER = 25  # characters; a socket's path has at most 107, and Ray adds some 70


class RayExecutor(Executor):
    """Run every rank as a Ray task, on a running cluster or on one of this machine that ends with the stage."""

    def __init__(self, config: Any, plugin_files: tuple[str, ...] = ()) -> None:
        super().__init__(config, plugin_files)
        self._stack = contextlib.ExitStack()
        self._ray: Any = None

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._ray = None

    def run(self, pipeline: list[PipelineStep], tasks: int, logs: Path, finished: Callable[[int], None]) -> None:
        """See :meth:`core.data.executor.Executor.run`.

        Raises:
            ConfigError: no cluster, or this machine has no room for one task.
            InputError: the worker of one shard died again and again.
        """
        memory = self.config.memory_gb or 0.0
        executor = _Pipeline(
            pipeline,
            tasks=tasks,
            logging_dir=str(logs),
            cpus_per_task=self.config.cpus_per_task,
            gpus_per_task=self.config.gpus_per_task,
            mem_per_cpu_gb=memory / self.config.cpus_per_task,
        )
        executor.plugin_files = self.plugin_files
        waiting = collections.deque(executor.get_incomplete_ranks())
        done = tasks - len(waiting)
        finished(done)
        if not waiting:
            return
        ray = self._connected()
        payload = ray.put(dill.dumps(executor))  # as bytes: then an error in unpickling is the task's, not Ray's
        task = ray.remote(_run_rank).options(
            num_cpus=self.config.cpus_per_task,
            num_gpus=self.config.gpus_per_task,
            memory=int(memory * 2**30) or None,
            max_retries=self.config.retries,
            retry_exceptions=False,
        )
        limit = len(waiting) if self.config.workers == -1 else self.config.workers
        running: dict[Any, int] = {}
        failure: Exception | None = None
        while running or (waiting and failure is None):
            while waiting and failure is None and len(running) < limit:
                rank = waiting.popleft()
                running[task.remote(payload, rank)] = rank
            ready, _ = ray.wait(list(running))
            for reference in ready:
                rank = running.pop(reference)
                try:
                    ray.get(reference)
                except Exception as error:  # shards that run now go on to their end: their work is kept
                    failure = failure or self._explained(error, rank, logs)
                else:
                    done += 1
                    finished(done)
        if failure is not None:
            raise failure

    def _explained(self, error: Exception, rank: int, logs: Path) -> Exception:
        from ray import exceptions

        if isinstance(error, exceptions.RayTaskError):
            cause = getattr(error, "cause", None)
            return cause if isinstance(cause, Exception) else error
        if isinstance(error, (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError, exceptions.NodeDiedError)):
            why = InputError(
                f"the worker of shard {rank} in pass {logs.name} died {self.config.retries + 1} times "
                f"({type(error).__name__}), perhaps for want of memory. Finished shards are kept: start again, with "
                "fewer executor.workers or more executor.memory_gb."
            )
            why.__cause__ = error
            return why
        return error

    def _connected(self) -> Any:
        """Return ``ray``, connected to a cluster."""
        if self._ray is not None:
            return self._ray
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_task_oom_retries", str(self.config.retries))  # without a limit Ray tries for ever
        if self.config.address is None and "RAY_AUTH_MODE" not in os.environ:
            # Without these, Ray makes a token and leaves it in the home directory.
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        import ray

        if self.config.address is not None:
            _check_reachable(self.config.address)
        common = {"log_to_driver": self.config.log_to_driver, "logging_level": "warning"}
        try:
            if self.config.address is None:
                ray.init(address="local", **self._own_cluster(), **common)
            else:
                ray.init(address=self.config.address, **common)
        except Exception as error:
            if self.config.address is not None:
                raise _no_cluster(self.config.address, error) from error
            raise InputError(
                f"Ray does not start on this machine: {_first_line(error)} Choose executor=local."
            ) from error
        self._stack.callback(ray.shutdown)
        if self.config.address is None:
            self._check_room(ray.cluster_resources())
        self._ray = ray
        return ray

    def _own_cluster(self) -> dict[str, Any]:
        workers = max(1, cores() // self.config.cpus_per_task) if self.config.workers == -1 else self.config.workers
        return {
            "num_cpus": workers * self.config.cpus_per_task,
            "object_store_memory": self.config.object_store_mb * 10**6,
            "include_dashboard": False,
            "_temp_dir": str(self._stack.enter_context(_temporary_folder())),
        }

    def _check_room(self, room: dict[str, float]) -> None:
        """Refuse what would wait for ever."""
        memory = (self.config.memory_gb or 0.0) * 2**30
        if memory > room.get("memory", 0.0):
            raise ConfigError(
                f"executor.memory_gb={self.config.memory_gb}: Ray has {room.get('memory', 0.0) / 2**30:.1f} GB here."
            )
        if self.config.gpus_per_task > room.get("GPU", 0.0):
            raise ConfigError(
                f"executor.gpus_per_task={self.config.gpus_per_task}: {room.get('GPU', 0.0):.0f} GPUs here."
            )


def _check_reachable(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"executor.address={address}: no Ray cluster there ({_first_line(error)}). Start one (ray start --head), or "
        "leave executor.address null for one on this machine."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Pipeline(Travelling, RayPipelineExecutor):
    """DataTrove's executor, one rank at a time."""

    def run_rank(self, rank: int) -> None:
        # RayPipelineExecutor's own would write the log to a folder of /tmp that all runs share, then copy it.
        PipelineExecutor._run_for_rank(self, rank)


def _run_rank(payload: bytes, rank: int) -> None:
    dill.loads(payload).run_rank(rank)


@contextlib.contextmanager
def _temporary_folder() -> Any:
    """Make a folder with a short path, remove it at the end, and remove those that killed processes left."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > LONGEST_TEMPORARY_FOLDER:
        parent = Path("/tmp")
    prefix = f"smallwright-ray-{os.getuid()}-"
    for left in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError), open(left / "lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"new-{prefix}", dir=parent))
    folder = parent / made.name.removeprefix("new-")
    with open(made / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(folder)  # not before it is locked: other runs remove unlocked folders of such a name
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
