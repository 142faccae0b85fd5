"""Settings of tasks whose answers are programs."""

import dataclasses

from core.errors import ConfigError
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeConfig:
    """How many programs are asked for, and what each may use when it is run."""

    samples: int = setting(1, ge=1, le=1000)
    """Programs for each problem. One is the likeliest; several are sampled with ``temperature`` and ``top_p``."""
    k: tuple[int, ...] = setting((1,), ge=1)
    """pass@k is estimated for these, without bias, from all samples; none can be above ``samples``."""
    temperature: float = setting(0.2, gt=0)
    """Of sampled programs."""
    top_p: float = setting(0.95, gt=0, le=1)
    """Of sampled programs: the share of probability that tokens are drawn from."""
    seconds: float = setting(5.0, gt=0, le=600)
    """CPU time of each process of a program; its wall time is three times that, so that a verdict does not hang on what
    else the machine does. Compilers get more on top."""
    memory_mib: int = setting(1024, ge=64)
    """MiB of memory: of all processes of a program together, and address space of each where its language allows."""
    processes: int = setting(16, ge=1, le=4096)
    """Processes and threads of a program; languages whose runtime starts many threads get more on top."""
    output_kib: int = setting(64, ge=1)
    """KiB that a program may write to its output before it is ended."""
    disk_mib: int = setting(64, ge=1)
    """MiB of files in its scratch folder, which is memory and gone with it; no more than 1024 files for each MiB."""
    workers: int | None = setting(None, ge=1, identity=False)
    """Programs that run at a time; None is as many as this process has CPUs."""

    def __post_init__(self) -> None:
        above = [k for k in self.k if k > self.samples]
        if above:
            raise ConfigError(
                f"k={list(self.k)}: pass@{above[0]} needs {above[0]} samples. Set samples={max(above)} at least."
            )
        if not self.k:
            raise ConfigError("k=[]: nothing to count. Take k=[1].")


ONE_PROGRAM = CodeConfig()
