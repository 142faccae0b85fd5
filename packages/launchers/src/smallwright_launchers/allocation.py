"""One run on machines that are given: a job of Slurm that is there already, or a list of machines."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.errors import ConfigError
from core.interfaces import Launcher, OneRun
from core.sweep.tasks import Task

from smallwright_launchers.config import LocalConfig
from smallwright_launchers.local import LocalLauncher


def settings(nodes: int, gpus: int | None) -> dict[str, Any]:
    """Return the settings of a training on so many machines, with a rank for each GPU where there are some."""
    return {"pretrain.nodes": nodes, **({"pretrain.nproc": gpus} if gpus else {})}


class AllocationLauncher(Launcher):
    """Do a single run here, and its training on all machines; the tasks of a sweep one after another."""

    def check(self, where: str) -> None:
        """Refuse settings that leave open which machines there are, and which of them this is."""
        if self._in_slurm():
            return
        for key in ("nodes", "head", "rank"):
            if getattr(self.config, key) is None:
                raise ConfigError(
                    f"{where}.{key}: is missing. This is no job of Slurm: say on each machine {where}.nodes=<how many> "
                    f"{where}.head=<host of rank 0> {where}.rank=<0, 1, ...>."
                )
        if self.config.rank >= self.config.nodes:
            raise ConfigError(
                f"{where}.rank={self.config.rank}: machines are counted from 0; the last of {self.config.nodes} is "
                f"{self.config.nodes - 1}."
            )

    def _in_slurm(self) -> bool:
        return self.config.head is None and "SLURM_JOB_ID" in os.environ

    def of_one_run(self) -> OneRun:
        """Return that a single run is done here, or followed."""
        c = self.config
        if self._in_slurm():
            nodes = c.nodes or int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
            gpus = os.environ.get("SLURM_GPUS_ON_NODE", "") if c.gpus is None else str(c.gpus)
            return OneRun(settings=settings(nodes, int(gpus) if gpus.isdecimal() else None), here=True)
        return OneRun(
            settings={**settings(c.nodes or 1, c.gpus), "pretrain.rendezvous": c.head},
            here=True,
            follows=bool(c.rank),
        )

    def launch(self, tasks: Sequence[Task], folder: Path, ended: Callable[[Task, str | None], None]) -> None:
        """See :meth:`core.interfaces.Launcher.launch`."""
        LocalLauncher(LocalConfig(jobs=1)).launch(tasks, folder, ended)
