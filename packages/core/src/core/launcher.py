"""What a launcher must answer: it puts the runs of a sweep side by side, or does one run elsewhere."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.sweep.tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneRun:
    """How a launcher does a single run."""

    settings: Mapping[str, Any]
    """Settings that follow from the launcher's, such as ``{"pretrain.nodes": 4}``, where the user gave none."""
    here: bool = False
    """Whether the run is done in this process; else it is a task, whose command is launched."""
    follows: bool = False
    """Whether another machine does the run, and this one only its part of the training."""


class Launcher(ABC):
    """A way to put the runs of a sweep side by side: on this machine, as the jobs of a cluster."""

    def __init__(self, config: Any = None) -> None:
        self.config = config

    def check(self, where: str) -> None:
        """Refuse, while planning, what cannot run here: no ``sbatch``, more GPUs than there are.

        Args:
            where: Place of the settings in the configuration: ``launcher``.

        Raises:
            core.errors.UserError: the message starts with ``where`` and the key.
        """
        return

    def of_one_run(self) -> "OneRun | None":
        """Return how a run that is no sweep (no ``-m``) is done; None, the default: this launcher is for sweeps only.

        Called after :meth:`check`.
        """
        return None

    @abstractmethod
    def launch(self, tasks: "Sequence[Task]", folder: Path, ended: "Callable[[Task, str | None], None]") -> None:
        """Run all tasks, and return when each has ended. One that fails does not stop the others.

        Args:
            tasks: Each stands behind those that it is ``after``, which must have ended before it starts.
            folder: Of the sweep; a launcher may keep its own files below ``folder / "launcher"``.
            ended: To be called, in this thread, for each task as it ends: with None, or with a line that says why it
                failed.

        Raises:
            KeyboardInterrupt: the user, or a signal, asked the sweep to end; the launcher says what becomes of the
                tasks that run.
        """
