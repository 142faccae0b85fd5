"""What a tracker must answer: a place where people follow runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.running import Run, StageOutcome, StageWork


class Tracker(ABC):
    """A place where people follow runs: curves beside those of other runs, while they grow.

    Its methods are the hooks of :mod:`core.hooks` that observe a run, and are called as those are: in the process of
    the run, in which no engine is loaded, and with an exception that is a warning and no end of the run. What it writes
    here belongs below ``run.directory``, never into an artifact; its settings never change the outcome.
    """

    def __init__(self, config: Any = None) -> None:
        self.config = config

    def check(self, where: str) -> None:
        """Refuse, while planning, what cannot work here, such as a library that is not installed.

        Args:
            where: Place of the settings in the configuration, such as ``tracker.wandb``.

        Raises:
            core.errors.UserError: the message starts with ``where``, or with ``where`` and the key.
        """
        return

    def run_started(self, run: "Run") -> None:
        """Begin a run, before its first stage."""
        return

    def stage_started(self, run: "Run", stage: "StageWork") -> None:
        """Begin a stage; not called where its artifact is reused.

        ``stage.key`` names this making of the artifact, also when a run goes on with what a killed one left of it.
        """
        return

    @abstractmethod
    def metrics_logged(self, run: "Run", stage: "StageWork", records: Sequence[Mapping[str, Any]]) -> None:
        """Take what a stage has logged since the last call, in order, while it works and once more at its end.

        What is taken must survive that the run is killed a second later: none is told twice to the same
        ``run.directory``. In another one, a training that goes on tells its whole curve again.

        Args:
            records: Each has ``step`` and what was measured at it: numbers, of which some may not be finite, or
                anything else that JSON knows.
        """

    def stage_finished(self, run: "Run", stage: "StageOutcome") -> None:
        """End a stage: one that ran, was reused or failed. Its artifact has a manifest unless it failed."""
        return

    def run_finished(self, run: "Run") -> None:
        """End a run, behind its report; also called when a stage failed or the run was interrupted."""
        return
