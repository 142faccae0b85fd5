"""Shards as tasks of Slurm job arrays.

DataTrove's Slurm executor writes the script, submits it and finds a task's shards; it returns once the jobs are
queued. Here a pass is waited for, because the next one needs its files: see
docs/decisions/0005-executors-beyond-one-machine.md.
"""

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.data.executor import Executor
from core.errors import ConfigError, InputError, UserError
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats

from smallwright_executors import launch
from smallwright_executors.queue import Queue
from smallwright_executors.travel import Travelling

HOPELESS = ("BadConstraints", "PartitionTimeLimit", "PartitionNodeLimit", "launch failed requeued held")
"""Reasons of Slurm for not starting a job that do not go away by waiting."""
ADVICE = {
    "TIMEOUT": "give more executor.time",
    "OUT_OF_MEMORY": "give more executor.mem_per_cpu_gb",
    "CANCELLED": "start again",
}


class SlurmExecutor(Executor):
    """Submit the unfinished ranks of a pass as job arrays, and wait for them.

    When this process is stopped, the jobs go on; the next run of the same command waits for them before it submits
    what is left.
    """

    def __init__(self, config: Any, plugin_files: tuple[str, ...] = ()) -> None:
        super().__init__(config, plugin_files)
        for command in ("sbatch", "squeue", "scancel", "scontrol"):
            if shutil.which(command) is None:
                raise ConfigError(
                    f"executor=slurm: there is no {command} here. Start the run where Slurm's commands work, or choose "
                    "executor=local."
                )

    def run(self, pipeline: list[PipelineStep], tasks: int, logs: Path, finished: Callable[[int], None]) -> None:
        """See :meth:`core.data.executor.Executor.run`.

        Raises:
            ConfigError: Slurm refuses the job, or will never start it.
            InputError: a shard failed; the message names shards, states and logs.
        """
        executor = self._executor(pipeline, tasks, logs)
        marks = _Marks(executor, finished)
        queue = Queue(executor.job_name)
        if marks.incomplete() and queue.live():
            _say(
                f"{logs.name}: jobs of an earlier run are in the queue; waiting for them (scancel --name={queue.name})"
            )
            self._wait(queue, marks)
        if not marks.incomplete():
            return
        shutil.rmtree(logs / "failures", ignore_errors=True)
        ranks = self._submit(executor)
        if not ranks:
            marks.incomplete()
            return
        _say(
            f"{logs.name}: {len(ranks)} shards in Slurm job {', '.join(executor.job_ids)}; they go on when this "
            f"process ends. To stop them: scancel --name={queue.name}"
        )
        queue.follow(executor.job_ids)
        self._wait(queue, marks)
        self._settle(queue, executor, ranks, marks)
        failed = marks.incomplete()
        if failed:
            raise self._failure(queue, executor, ranks, failed, logs)

    def _executor(self, pipeline: list[PipelineStep], tasks: int, logs: Path) -> "_Pipeline":
        config = self.config
        python = Path(sys.executable)
        own = f"export PATH={shlex.quote(str(python.parent))}:$PATH"
        arguments = dict(config.sbatch_args)
        if config.account is not None:
            arguments["account"] = config.account
        if not config.requeue:
            arguments["no-requeue"] = ""
        executor = _Pipeline(
            pipeline,
            tasks=tasks,
            time=config.time,
            partition=config.partition,
            cpus_per_task=config.cpus_per_task,
            mem_per_cpu_gb=config.mem_per_cpu_gb,
            gpus_per_task=config.gpus_per_task,
            workers=config.workers,
            job_name=_job_name(logs),
            qos=config.qos or "",
            env_command=config.env_command or (None if config.venv_path else own),
            venv_path=config.venv_path,
            sbatch_args=arguments,
            max_array_size=config.max_array_size,
            max_array_launch_parallel=True,
            tasks_per_job=config.tasks_per_job,
            requeue=config.requeue,
            logging_dir=str(logs),
            slurm_logs_folder=str(logs / "slurm_logs"),
            srun_args={"cpus-per-task": config.cpus_per_task},  # from Slurm 22.05 on, srun does not inherit it
        )
        executor.plugin_files = self.plugin_files
        if not (config.env_command or config.venv_path):
            executor.python = shlex.quote(sys.executable)
        return executor

    def _submit(self, executor: "_Pipeline") -> list[int]:
        """Submit the unfinished ranks and return them: marks of an earlier run may have been seen only now."""
        for variable in [name for name in os.environ if name.startswith("SLURM_") and name != "SLURM_CONF"]:
            del os.environ[variable]  # set where this process runs inside a job; they contradict the new job's own
        try:
            executor.launch_job()
        except subprocess.CalledProcessError as error:
            script = executor.logging_dir.resolve_paths("launch_script.slurm")
            test = subprocess.run(["sbatch", "--test-only", script], capture_output=True, text=True)
            said = test.stderr.strip().splitlines()[-1] if test.returncode else f"sbatch exits with {error.returncode}"
            raise ConfigError(
                f"Slurm refused the job: {said}. Change executor's settings; the script is {script}"
            ) from error
        if not executor.job_ids:
            return []
        with executor.logging_dir.open("ranks_to_run.json", "r") as file:
            ranks: list[int] = json.load(file)
        return ranks

    def _wait(self, queue: Queue, marks: "_Marks") -> None:
        """Return when every shard is finished, or no job is left."""
        while marks.incomplete() and queue.live():
            hopeless = [state for state in queue.live() if state.name == "PENDING" and state.reason in HOPELESS]
            if hopeless:
                queue.cancel()
                raise ConfigError(
                    f"Slurm will never start job {hopeless[0].task} ({hopeless[0].reason}), so that it was cancelled. "
                    "Change executor's settings, such as time or partition."
                )
            time.sleep(self.config.poll_seconds)
            queue.look()

    def _settle(self, queue: Queue, executor: "_Pipeline", ranks: list[int], marks: "_Marks") -> None:
        """Give a network file system time to show the marks of tasks that Slurm calls completed."""
        end = time.monotonic() + self.config.settle_seconds
        while time.monotonic() < end:
            unseen = marks.incomplete()
            states = [queue.state(executor.task_of(ranks, rank)).name for rank in unseen]
            if not any(state in ("COMPLETED", "UNKNOWN") for state in states):
                return
            time.sleep(min(1.0, self.config.poll_seconds))

    def _failure(
        self, queue: Queue, executor: "_Pipeline", ranks: list[int], failed: list[int], logs: Path
    ) -> UserError:
        lines, advice = [], set()
        for rank in failed:
            task = executor.task_of(ranks, rank)
            state = queue.state(task)
            place = logs / "slurm_logs" / f"{task}.out"
            record = logs / "failures" / f"{rank:05d}.json"
            why = f"job {task} {state.name}"
            with contextlib.suppress(OSError, ValueError):  # no record, or one that is cut off
                why += f", {json.loads(record.read_text())}"
            lines.append(f"shard {rank} ({why}; log {place})")
            advice.add(ADVICE.get(state.name, "see the logs"))
        shown = "; ".join(lines[:5]) + (f"; and {len(lines) - 5} more" if len(lines) > 5 else "")
        return InputError(
            f"{len(failed)} of {executor.tasks} shards failed in pass {logs.name}: {shown}. Finished shards are kept: "
            f"{', '.join(sorted(advice))}, and give the same command again."
        )


class _Pipeline(Travelling, SlurmPipelineExecutor):
    """DataTrove's executor, which remembers all the jobs that it submitted, and why a shard failed."""

    python = "python3"
    """In the shell of a job."""

    @property
    def job_id(self) -> str | None:
        return self.job_ids[-1] if self.job_ids else None

    @job_id.setter
    def job_id(self, value: str | int | None) -> None:
        self.job_ids: list[str]
        if value is None:
            self.job_ids = []
        elif value != -1:  # with -1 DataTrove says that there is nothing to submit
            self.job_ids.append(str(value))

    def launch_merge_stats(self) -> None:
        """Submit no job that adds up statistics: core has its own, and it would wait for ever when a shard fails."""

    def get_launch_file_contents(self, sbatch_args: dict[str, Any], run_script: str) -> str:
        """Let the job load only what is written here, and quote what may hold white space: DataTrove does neither."""
        theirs = self.logging_dir.resolve_paths("executor.pik")
        Path(theirs).unlink(missing_ok=True)
        path, digest = launch.write(self, Path(self.logging_dir.path))
        command = f"{self.python} -m smallwright_executors.launch {shlex.quote(str(path))} {digest}"
        before, _, after = run_script.partition(f"launch_pickled_pipeline {theirs}")
        quoted = {key: f'"{value}"' if re.search(r"\s", str(value)) else value for key, value in sbatch_args.items()}
        return super().get_launch_file_contents(quoted, before + command + after)

    def task_of(self, ranks: list[int], rank: int) -> str:
        """Return ``<job>_<index>`` of the array task that does ``rank``, of the ``ranks`` submitted."""
        job = ranks.index(rank) // self.tasks_per_job
        return f"{self.job_ids[job // self.max_array_size]}_{job % self.max_array_size}"

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        try:
            return super()._run_for_rank(rank, local_rank, node_rank)
        except Exception as error:
            text = f"{type(error).__name__}: {error}".splitlines()[0][:500]
            with self.logging_dir.open(f"failures/{rank:05d}.json", "w") as file:
                json.dump(text, file)
            raise


class _Marks:
    """DataTrove's marks of finished ranks; tells how many there are when that changes."""

    def __init__(self, executor: _Pipeline, finished: Callable[[int], None]) -> None:
        self._executor = executor
        self._finished = finished
        self._told: int | None = None

    def incomplete(self) -> list[int]:
        ranks: list[int] = self._executor.get_incomplete_ranks()
        done = self._executor.tasks - len(ranks)
        if done != self._told:
            self._finished(done)
            self._told = done
        return ranks


def _job_name(logs: Path) -> str:
    """Name that finds the jobs of a pass again: readable, and its own for every artifact."""
    own = hashlib.sha256(str(logs.resolve()).encode()).hexdigest()[:10]
    return f"smallwright-{re.sub(r'[^A-Za-z0-9]+', '-', logs.name)}-{own}"


def _say(line: str) -> None:
    print(line, flush=True)
