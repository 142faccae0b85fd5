"""What holds for a tracker: it keeps what it is told, at once and once, in the run's folder."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from core.interfaces import Tracker
from core.running import Run, StageOutcome, StageWork

from smallwright_testing.base import Conformance

PATIENCE_SECONDS = 20.0
Curves = Mapping[str, Sequence[tuple[int, float]]]
"""Step and value of each point, by the name of what was measured."""
FIRST = [{"step": 1, "loss": 4.5, "lr": 0.25}, {"step": 2, "loss": 4.0, "lr": 0.5}, {"step": 2, "validation_loss": 3.5}]
LATER = [{"step": 3, "loss": 2.0, "lr": 0.125}, {"step": 4, "loss": 1.0, "lr": 0.0625}]
BOTH = {
    "loss": [(1, 4.5), (2, 4.0), (3, 2.0), (4, 1.0)],
    "lr": [(1, 0.25), (2, 0.5), (3, 0.125), (4, 0.0625)],
    "validation_loss": [(2, 3.5)],
}


class TrackerConformance(Conformance):
    """Tests of a tracker, which say how to read what it wrote. ::

    class TestMine(TrackerConformance):
        plugin = "mine"

        def curves(self, run, stage):
            return {"loss": [(1, 4.5), ...], ...}
    """

    kind = "trackers"
    where = "tracker"

    def curves(self, run: Run, stage: StageWork) -> Curves:
        """Return what can be read of a stage, with what people read it with; of points written twice, both."""
        pytest.skip("the test class has no method curves(run, stage), which reads what the tracker wrote")

    @classmethod
    def tracker(cls) -> Tracker:
        """Return the tracker, after its look that it can work here."""
        entry = cls.entry()
        made: Tracker = entry.build(entry.settings(cls.given(), cls.where))
        made.check(cls.where)
        return made

    @pytest.fixture
    def followed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Followed":
        """A run with a stage that logs something, in a folder of its own."""
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        return Followed(tmp_path, self.tracker())

    def test_what_is_told_can_be_read(self, followed: "Followed") -> None:
        followed.begin()
        followed.tell(FIRST)
        followed.tell(LATER)
        followed.end()
        wait_for(lambda: read(self, followed), BOTH)

    def test_what_was_told_survives_a_kill_and_the_same_folder_goes_on(self, followed: "Followed") -> None:
        followed.begin()
        followed.tell(FIRST)
        wait_for(lambda: read(self, followed), {name: points[:2] for name, points in BOTH.items()})
        again = Followed(followed.folder, self.tracker())
        again.begin()
        again.tell(LATER)
        again.end()
        followed.end()  # what the first one still holds must not harm
        wait_for(lambda: read(self, again), BOTH)

    def test_any_record_can_be_told(self, followed: "Followed") -> None:
        followed.begin()
        numbers = {
            "loss": float("nan"),
            "grad_norm": float("inf"),
            "rewards/accuracies": 0.5,
            "größe (%)": 1,
            "by": {"web": 2},
        }
        followed.tell([{"step": 1, **numbers, "note": "text", "list": [1], "none": None, "flag": True}, {"step": 2}])
        followed.tell([{"step": 3, "loss": 1.5}])
        followed.end()
        wait_for(lambda: (3, 1.5) in read(self, followed).get("loss", ()), True)

    def test_it_writes_below_the_runs_folder_alone(self, followed: "Followed") -> None:
        before = followed.beside()
        followed.begin()
        followed.tell(FIRST)
        followed.end()
        assert followed.beside() == before

    @pytest.mark.parametrize("status", ["failed", "reused", "ran"])
    def test_a_stage_that_logs_nothing_is_no_trouble(self, followed: "Followed", status: str) -> None:
        followed.tracker.run_started(followed.run)
        if status != "reused":
            followed.tracker.stage_started(followed.run, followed.stage)
        followed.end(status)


class Followed:
    """A run, its stage ``pretrain``, and its tracker."""

    def __init__(self, folder: Path, tracker: Tracker) -> None:
        self.folder, self.tracker = folder, tracker
        artifact = folder / "store" / "pretrain" / "toy-0123456789ab"
        artifact.mkdir(parents=True, exist_ok=True)
        (folder / "run").mkdir(exist_ok=True)
        config = {"seed": 0, "arch": {"name": "toy", "size": None}, "data": {"paths": ["a", "b"]}}
        self.run = Run(name="toy", directory=folder / "run", config=config)
        self.stage = StageWork(name="pretrain", folder="pretrain", artifact=artifact, began="20260101-120000-1a2b3c4d")

    def begin(self) -> None:
        """Tell of the run and of its stage."""
        self.tracker.run_started(self.run)
        self.tracker.stage_started(self.run, self.stage)

    def tell(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Tell of records."""
        self.tracker.metrics_logged(self.run, self.stage, records)

    def end(self, status: str = "ran") -> None:
        """Tell of the end of the stage and of the run."""
        outcome = StageOutcome(name="pretrain", status=status, seconds=1.0, artifact=str(self.stage.artifact))
        self.tracker.stage_finished(self.run, outcome)
        self.tracker.run_finished(self.run)

    def beside(self) -> set[Path]:
        """Return all files and folders that are not the run's."""
        own = self.run.directory
        return {path for path in self.folder.rglob("*") if path != own and own not in path.parents}


def read(tests: TrackerConformance, followed: Followed) -> dict[str, list[tuple[int, float]]]:
    """Return the curves of the stage as plain lists."""
    curves = tests.curves(followed.run, followed.stage)
    return {name: [(int(step), float(value)) for step, value in points] for name, points in curves.items()}


def wait_for(look: Callable[[], Any], expected: Any) -> None:
    """Wait for what another process or thread may still be writing."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (found := look()) != expected:
        if time.monotonic() > end:
            assert found == expected
        time.sleep(0.05)
