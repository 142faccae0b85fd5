"""Settings of the launchers. None changes what comes out, so none is part of an artifact's identity."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError
from core.typed import setting

OURS = (
    "array",
    "chdir",
    "comment",
    "dependency",
    "error",
    "job-name",
    "nodes",
    "open-mode",
    "output",
    "parsable",
    "wrap",
)
"""Options of sbatch that the launcher sets or rests on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalConfig:
    """The runs of a sweep side by side on this machine."""

    jobs: int | None = setting(None, ge=1, le=1024, identity=False)
    """How many at a time; the cores are divided among those that can start. None: as many as ``gpus_per_job`` lets the
    GPUs take; without a GPU one for two cores. Memory is not counted."""
    gpus_per_job: int | None = setting(None, ge=0, identity=False)
    """GPUs of each, which sees no others. None: those of the machine (of ``CUDA_VISIBLE_DEVICES``, where it is set)
    divided among ``jobs``, or 1; 0: none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AllocationConfig:
    """One run on machines that are given: those of the Slurm job that this process is in; or others, on each of which
    the same command is given with its ``rank``. Store and run must be on a file system that all share."""

    nodes: int | None = setting(None, ge=1, le=65_536, identity=False)
    """Machines. None: those of the job."""
    gpus: int | None = setting(None, ge=0, identity=False)
    """On each machine, a rank for each. None: those of the job, or as ``pretrain.nproc`` says."""
    rank: int | None = setting(None, ge=0, identity=False)
    """Outside of Slurm: which machine this is, from 0, which does the run; the others do their part of its training."""
    head: str | None = setting(None, min_length=1, identity=False)
    """Outside of Slurm: ``host`` or ``host:port`` of the machine of rank 0, as the others see it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlurmConfig:
    """Runs as jobs of Slurm: those of a sweep, or one. Store and run must be on a file system that all nodes share."""

    partition: str | None = setting(None, min_length=1, identity=False)
    """None: the cluster's default."""
    account: str | None = setting(None, min_length=1, identity=False)
    qos: str | None = setting(None, min_length=1, identity=False)
    time: str | int | None = setting(None, gt=0, identity=False)
    """Limit of one job: minutes, or as ``sbatch --time`` takes it: ``"4:00:00"``, ``"1-12"``. Quote it in YAML, which
    reads an unquoted 4:00:00 as the number 14400. None: the partition's default."""
    nodes: int = setting(1, ge=1, identity=False)
    """Of one job. Its command runs on the first, and starts the ranks of a training on all."""
    gpus: int = setting(0, ge=0, identity=False)
    """On each node of a job."""
    cpus: int = setting(1, ge=1, identity=False)
    """On each node of a job."""
    memory_gb: float | None = setting(None, gt=0, identity=False)
    """On each node of a job. None: the partition's default."""
    constraint: str | None = setting(None, min_length=1, identity=False)
    """Features that nodes must have, as ``sbatch --constraint`` takes them."""
    max_parallel: int | None = setting(None, ge=1, identity=False)
    """Jobs at a time. They are all in the queue from the start, each waiting for another to end. None: as many as Slurm
    gives."""
    requeue: bool = setting(True, identity=False)
    """Let Slurm begin a job again when its node fails or it is preempted; it goes on where it was."""
    setup: tuple[str, ...] = setting((), identity=False)
    """Shell commands that prepare the environment on a node, such as ``module load cuda``."""
    sbatch_args: Mapping[str, Any] | None = setting(None, identity=False)
    """Further options of sbatch, without their dashes: ``{exclude: node7, mail-type: END}``; true for one without a
    value."""
    poll_seconds: float = setting(10.0, gt=0, identity=False)
    """Between two looks at the queue."""
    settle_seconds: float = setting(60.0, ge=0, identity=False)
    """How long what a job wrote at its end may take to be seen here, on a network file system that caches."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sbatch_args", dict(self.sbatch_args or {}))
        if isinstance(self.time, str) and re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", self.time) is None:
            raise ConfigError(f"time={self.time}: give minutes, hours:minutes:seconds or days-hours; quote it in YAML.")
        for name, value in (self.sbatch_args or {}).items():
            if (
                re.fullmatch(r"[a-z][a-z-]*", name) is None
                or not isinstance(value, str | int | float | None)
                or not str(value).isprintable()
            ):
                raise ConfigError(
                    f"sbatch_args.{name}: write an option of sbatch without dashes, and its value in a line."
                )
            if name in OURS:
                raise ConfigError(f"sbatch_args.{name}: the launcher sets it.")
        for line in self.setup:
            if not line.replace("\t", " ").isprintable():
                raise ConfigError(f"setup={line!r}: one command a line.")
        for name in ("partition", "account", "qos", "constraint"):
            value = getattr(self, name) or ""
            if not value.isprintable():  # it stands in a script's line of its own
                raise ConfigError(f"{name}={value!r}: write it in one line, as sbatch takes it.")
