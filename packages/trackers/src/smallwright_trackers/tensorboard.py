"""TensorBoard: a folder of events for each stage, ``tensorboard/<stage>/<artifact>`` in the run's folder."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.checks import check_modules
from core.run import Run, StageWork

from smallwright_trackers.by_stage import StageTracker

FOLDER = "tensorboard"


class TensorBoard(StageTracker):
    """Writes TensorBoard's event files, with TensorBoard's own writer: torch's would load torch beside the run."""

    _writer: Any = None

    def check(self, where: str) -> None:
        """See :meth:`core.interfaces.Tracker.check`."""
        check_modules(where, {"tensorboard": "tensorboard"}, "smallwright-trackers[tensorboard]")

    def open(self, run: Run, stage: StageWork) -> None:
        """See :meth:`StageTracker.open`."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(run.directory / FOLDER / stage.name / stage.artifact.name))

    def write(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """See :meth:`StageTracker.write`."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for step, numbers in rows:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in numbers.items()]
            self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._writer.flush()

    def close(self, failed: bool) -> None:
        """See :meth:`StageTracker.close`."""
        self._writer.close()
