"""What the trackers share: one curve sheet a stage that logs something, and the numbers in a record."""

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any

from core import store
from core.interfaces import Tracker
from core.run import Run, StageOutcome, StageWork


class StageTracker(Tracker):
    """A tracker that opens a sheet, its word for a run, when a stage logs something, and closes it with the stage."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._stage: StageWork | None = None
        self._is_open = self._is_broken = False

    @abc.abstractmethod
    def open(self, run: Run, stage: StageWork) -> None:
        """Open the sheet of a stage, or the one that a killed run left of it."""

    @abc.abstractmethod
    def write(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Write the numbers of steps, in order; when it returns, they survive the end of this process."""

    @abc.abstractmethod
    def close(self, failed: bool) -> None:
        """Close the sheet."""

    def stage_started(self, run: Run, stage: StageWork) -> None:
        """See :meth:`core.interfaces.Tracker.stage_started`."""
        self._stage, self._is_broken = stage, False

    def metrics_logged(self, run: Run, stage: StageWork, records: Sequence[Mapping[str, Any]]) -> None:
        """See :meth:`core.interfaces.Tracker.metrics_logged`."""
        rows = [(int(record["step"]), scalars(record)) for record in records]
        self._write(run, stage, [(step, numbers) for step, numbers in rows if numbers])

    def stage_finished(self, run: Run, stage: StageOutcome) -> None:
        """Add the scores of an evaluation, and close the sheet."""
        began, self._stage = self._stage, None
        try:
            if began is not None and stage.status == "ran" and (scores := scores_of(began)):
                self._write(run, began, [(0, scores)])
        finally:
            if self._is_open:
                self._is_open = False
                self.close(stage.status == "failed")

    def _write(self, run: Run, stage: StageWork, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        if self._is_broken or not rows:  # who cannot be reached would be waited for ten times a second
            return
        if not self._is_open:
            self._is_broken = True
            self.open(run, stage)
            self._is_open, self._is_broken = True, False
        self.write(rows)


def scalars(record: Mapping[str, Any], place: str = "") -> dict[str, float]:
    """Return the numbers of a record by name, those of a mapping in it as ``name/key``; without the step."""
    found: dict[str, float] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            found |= scalars(value, f"{place}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and (place or key != "step"):
            found[f"{place}{key}"] = float(value)
    return found


def scores_of(stage: StageWork) -> dict[str, float]:
    """Return the scores of an evaluation, ``task/metric``, each with its standard error."""
    summary = (store.load_manifest(stage.artifact) or {}).get("summary") or {}
    found: dict[str, float] = {}
    for row in summary.get("eval") or ():
        name = f"{row['task']}/{row['metric']}"
        numbers = {name: row.get("value"), f"{name}_stderr": row.get("stderr")}
        found |= {key: float(value) for key, value in numbers.items() if isinstance(value, int | float)}
    return {key: value for key, value in found.items() if math.isfinite(value)}


def flat(node: Any, place: str = "") -> dict[str, Any]:
    """Return settings by their dotted keys."""
    if not isinstance(node, Mapping) or not node:
        return {place: node} if place else {}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= flat(value, f"{place}.{key}" if place else str(key))
    return found
