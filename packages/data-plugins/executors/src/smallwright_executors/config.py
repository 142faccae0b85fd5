"""Settings of the executors. None changes what comes out, so none is part of an artifact's identity."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError
from core.typed import setting


def _check_workers(workers: int) -> None:
    if workers == 0:
        raise ConfigError(f"workers={workers}: give at least 1, or -1 for no limit.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayConfig:
    """Shards as Ray tasks, on a cluster that runs already or one of this machine."""

    workers: int = setting(-1, ge=-1, identity=False)
    """Shards at a time; -1: as many as the cluster has room for."""
    address: str | None = setting(None, identity=False)
    """None: start a cluster on this machine and end it with the stage. ``auto``, ``<host>:<port>`` or
    ``ray://<host>:<port>``: use one that runs; it must have the same packages, and the store on a file system that all
    its machines share."""
    cpus_per_task: int = setting(1, ge=1, identity=False)
    gpus_per_task: float = setting(0.0, ge=0, identity=False)
    memory_gb: float | None = setting(None, gt=0, identity=False)
    """Memory that Ray sets aside for a shard, in GB, so that a node does not take more shards than it can hold. None:
    not counted."""
    retries: int = setting(3, ge=0, identity=False)
    """How often a shard is begun again when its worker dies. An error in a step is not tried again."""
    object_store_mb: int = setting(100, ge=75, identity=False)
    """Shared memory of a cluster started here. Shards go through files, so that Ray's least (75) is enough."""
    log_to_driver: bool = setting(False, identity=False)
    """Repeat what workers print in the stage's log. Each shard has a log of its own in any case."""

    def __post_init__(self) -> None:
        _check_workers(self.workers)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlurmConfig:
    """Shards as tasks of Slurm job arrays. The store must be on a file system that all nodes share."""

    partition: str = setting(identity=False)
    time: str | int = setting(identity=False)
    """Limit of one array task, as ``sbatch --time`` takes it: ``"4:00:00"``, ``"1-12"``. Quote it in YAML, which reads
    an unquoted 4:00:00 as the number 14400."""
    workers: int = setting(-1, ge=-1, identity=False)
    """Array tasks at a time; -1: as many as Slurm gives."""
    cpus_per_task: int = setting(1, ge=1, identity=False)
    mem_per_cpu_gb: int = setting(2, ge=1, identity=False)
    gpus_per_task: int = setting(0, ge=0, identity=False)
    tasks_per_job: int = setting(1, ge=1, identity=False)
    """Shards that one array task does one after another: more, where starting a task takes longer than a shard."""
    max_array_size: int = setting(1001, ge=1, identity=False)
    """Tasks in one array, at most the cluster's ``MaxArraySize`` less 1; more shards make several arrays."""
    qos: str | None = setting(None, identity=False)
    account: str | None = setting(None, identity=False)
    venv_path: str | None = setting(None, identity=False)
    """The ``activate`` script of the environment on the nodes. None, and no ``env_command``: this Python's own."""
    env_command: str | None = setting(None, identity=False)
    """Shell command that prepares the environment on a node instead, such as ``module load ...``."""
    sbatch_args: Mapping[str, Any] | None = setting(None, identity=False)
    """Further options of sbatch, without their dashes: ``{constraint: cpu, exclude: node7}``."""
    requeue: bool = setting(True, identity=False)
    """Let Slurm begin a task again when its node fails or it is preempted."""
    poll_seconds: float = setting(10.0, gt=0, identity=False)
    """Between two looks at the queue."""
    settle_seconds: float = setting(60.0, ge=0, identity=False)
    """How long the mark of a finished shard may take to be seen here, on a network file system that caches."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sbatch_args", dict(self.sbatch_args or {}))
        _check_workers(self.workers)
        if isinstance(self.time, int) or re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", self.time) is None:
            raise ConfigError(f"time={self.time}: give hours:minutes:seconds or days-hours; quote it in YAML.")
        if self.venv_path is not None and self.env_command is not None:
            raise ConfigError("venv_path and env_command exclude each other: give one.")
        for name in self.sbatch_args or ():
            if name.startswith("-") or name in ("array", "output", "error", "job-name"):
                raise ConfigError(
                    f"sbatch_args.{name}: write options without dashes; array, output, error and job-name are set by "
                    "the executor."
                )
