"""What this machine has, and how it is divided among tasks."""

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Sequence

from core.errors import ConfigError

from smallwright_launchers.config import LocalConfig

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """What one task at a time may use."""

    cores: tuple[int, ...]
    gpus: tuple[str, ...] | None
    """As ``CUDA_VISIBLE_DEVICES`` names them; None: the machine has none, and the variable is left as it is."""

    def words(self) -> str:
        """Return it for people: ``4 cores and 1 GPU``."""
        parts = [f"{len(self.cores)} core{'s' if len(self.cores) > 1 else ''}"]
        parts += [f"{len(self.gpus)} GPU{'s' if len(self.gpus) > 1 else ''}"] if self.gpus else []
        return " and ".join(parts)

    def environment(self) -> dict[str, str]:
        """Return the variables of a task: its GPUs, and no more threads than it has cores, or than the user wants."""
        made = {}
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            given = os.environ.get(name, "")
            made[name] = str(min(int(given), len(self.cores)) if given.isdecimal() else len(self.cores))
        if self.gpus is not None:
            made[VISIBLE] = ",".join(self.gpus)
            if VISIBLE not in os.environ:
                made["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order of nvidia-smi, which CUDA's own is not
        return made


def cores() -> tuple[int, ...]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use: of ``CUDA_VISIBLE_DEVICES`` where it is set, else those of NVIDIA."""
    if VISIBLE in os.environ:
        names = [name.strip() for name in os.environ[VISIBLE].split(",")]
        ends = [place for place, name in enumerate(names) if name in ("", "-1")]  # CUDA reads no further
        return tuple(names[: ends[0]] if ends else names)
    if shutil.which("nvidia-smi") is None:
        return ()
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # the program without its driver
        return ()
    return listed_gpus(listed)


def listed_gpus(listed: str) -> tuple[str, ...]:
    """Return the GPUs of ``nvidia-smi -L``; of one that is divided (MIG) its parts alone can be used."""
    found: list[str] = []
    whole = True
    for line in listed.splitlines():
        if gpu := re.match(r"GPU (\d+):", line):
            found.append(gpu[1])
            whole = True
        elif part := re.match(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)", line):
            if whole:
                found.pop()
            found.append(part[1])
            whole = False
    return tuple(found)


def divide(config: LocalConfig, where: str = "launcher") -> list[Share]:
    """Return the share of each of the tasks that run at a time.

    Raises:
        ConfigError: the machine has fewer GPUs than they need.
    """
    have_cores, have_gpus = cores(), gpus()
    wanted = config.gpus_per_job
    if wanted and wanted * (config.jobs or 1) > len(have_gpus):
        number = "1 GPU" if len(have_gpus) == 1 else f"{len(have_gpus) or 'no'} GPUs"
        needed = f", and {where}.jobs={config.jobs} need {wanted * config.jobs}" if config.jobs else ""
        raise ConfigError(f"{where}.gpus_per_job={wanted}: this machine has {number}{needed}. Give fewer.")
    if config.jobs is not None:
        jobs = config.jobs
    elif have_gpus and wanted != 0:
        jobs = len(have_gpus) // (wanted or 1)
    else:
        jobs = max(1, len(have_cores) // 2)
    if have_gpus and wanted is None:
        wanted = len(have_gpus) // jobs
        if wanted == 0:
            raise ConfigError(
                f"{where}.jobs={jobs}: this machine has {len(have_gpus)} GPUs, fewer than one for each. Give at most "
                f"{len(have_gpus)}, or {where}.gpus_per_job=0 for runs without one."
            )
    return [
        Share(
            cores=_share(have_cores, jobs, number),
            gpus=have_gpus[number * wanted : (number + 1) * wanted] if wanted is not None and have_gpus else None,
        )
        for number in range(jobs)
    ]


def check_ranks(shares: Sequence[Share], where: str, ranks: int, device: str | None, *, alone: bool) -> None:
    """Refuse what :meth:`core.interfaces.Launcher.check_training` is to refuse.

    Raises:
        ConfigError: a task has fewer GPUs, or with ``device="cpu"`` fewer cores, than the training has ranks.
    """
    on_cpu = device == "cpu"
    least = together(shares) if alone else min(shares, key=lambda share: len(share.cores))
    have = len(least.cores) if on_cpu else len(least.gpus or ())
    if ranks <= have or not (on_cpu or have):  # a trainer that finds no GPU takes the cores as they are
        return
    machine = sum(len(share.cores if on_cpu else share.gpus or ()) for share in shares)
    fewer = f" Or give {where}.jobs={machine // ranks}, for more each." if machine >= ranks else ""
    what = f"{have} {'core' if on_cpu else 'GPU'}{'s' if have > 1 else ''}"
    raise ConfigError(f"pretrain.nproc={ranks}: a task of {where}=local has {what}. Use at most as many.{fewer}")


def together(shares: Sequence[Share]) -> Share:
    """Return the share of a task with the cores of several and the GPUs of one: more could change what it does."""
    return Share(cores=tuple(sorted({core for share in shares for core in share.cores})), gpus=shares[0].gpus)


def _share(items: Sequence[int], shares: int, number: int) -> tuple[int, ...]:
    """Return neighbours, as many as there are for each; of more shares than items several have the same one."""
    if shares > len(items):
        return (items[number % len(items)],)
    return tuple(items[number * len(items) // shares : (number + 1) * len(items) // shares])
