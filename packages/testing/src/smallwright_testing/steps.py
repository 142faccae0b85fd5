"""What a data step must hold: every document accounted for, and the same outcome however it is run."""

import collections
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from smallwright_testing.base import Conformance
from smallwright_testing.documents import Given, nasty_documents, plain_documents, write_shards
from smallwright_testing.runs import LABEL, READER, Outcome, run_recipe, two_processes

SHARDS = 3


class StepConformance(Conformance):
    """Run as ``class TestMine(StepConformance): plugin = "mine"``."""

    kind = "steps"
    where = "data.steps.tested"
    before: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Steps of a recipe that must come first, as a recipe writes them: a classifier learns from labels."""
    reads_files: ClassVar[bool] = False
    """The step reads files itself; :meth:`write_files` makes them."""
    keeps_ids: ClassVar[bool] = True
    """Each document that comes out is one that went in. False: it splits documents, or joins them."""
    same_in_one_file: ClassVar[bool] = True
    """The decisions are the same when all documents lie in one file. False: it works file by file, and says so."""

    @classmethod
    def bases(cls) -> tuple[type, ...]:
        """Return the bases of steps, those that promise most first."""
        from core.data.groups import GroupStep
        from core.data.steps import CorpusStep, DocumentStep, Step
        from datatrove.pipeline.base import PipelineStep

        return GroupStep, DocumentStep, CorpusStep, Step, PipelineStep

    @classmethod
    def documents(cls) -> list[Given]:
        """Return the documents that the step gets: text, id and metadata."""
        return [*plain_documents(), *nasty_documents()]

    @classmethod
    def prepare(cls, folder: Path) -> Mapping[str, Any]:
        """Return further settings, such as the path of a model that this makes in ``folder``."""
        return {}

    @classmethod
    def write_files(cls, folder: Path, shards: int) -> list[Path]:
        """Write the input files, as many as ``shards``, and return them in order."""
        return write_shards(folder, cls.documents(), shards)

    @pytest.fixture(scope="class")
    @classmethod
    def prepared(cls, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
        """What :meth:`prepare` returned, once for all tests of the class."""
        return cls.prepare(tmp_path_factory.mktemp("prepared"))

    @pytest.fixture(scope="class")
    @classmethod
    def files(cls, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
        """Three input files."""
        return cls.write_files(tmp_path_factory.mktemp("files"), SHARDS)

    @pytest.fixture(scope="class")
    @classmethod
    def outcome(
        cls, tmp_path_factory: pytest.TempPathFactory, files: list[Path], prepared: Mapping[str, Any]
    ) -> Outcome:
        """The run that others are compared with: three files, one process."""
        return cls.run(tmp_path_factory.mktemp("outcome"), files, prepared)

    @classmethod
    def run(cls, folder: Path, files: list[Path], prepared: Mapping[str, Any], **how: Any) -> Outcome:
        """Run the recipe of reader, ``before`` and the tested step."""
        reader = {} if cls.reads_files else {"given": {"use": "conformance_documents"}}
        tested = {"use": cls.plugin, **cls.settings, **prepared}
        steps = {**reader, **cls.before, LABEL: tested}
        return run_recipe(folder, files, steps, cls.plugin_files_and_reader(), **how)

    @classmethod
    def plugin_files_and_reader(cls) -> tuple[str, ...]:
        """Return the plugin files of every process."""
        return (*cls.plugin_files, str(READER))

    def test_every_document_is_kept_or_set_aside_with_a_reason(self, outcome: Outcome) -> None:
        ledger = outcome.ledger
        assert ledger["in"] > 0
        assert ledger["in"] == ledger["kept"] + sum(ledger["rejected"].values()) + sum(ledger["failed"].values())
        assert len(outcome.kept) == ledger["kept"]
        for kind in ("rejected", "failed"):
            reasons = collections.Counter(row["reason"] for row in outcome.aside if row["outcome"] == kind)
            assert reasons == ledger[kind]
            assert all(reason and len(reason) < 100 and "\n" not in reason for reason in reasons)

    def test_no_document_is_lost_or_kept_twice(self, outcome: Outcome) -> None:
        kept = collections.Counter(row["id"] for row in outcome.kept)
        assert max(kept.values(), default=1) == 1, kept.most_common(3)
        if self.keeps_ids and not self.reads_files and not self.before:
            given = collections.Counter(document["id"] for document in self.documents())
            assert kept + collections.Counter(row["id"] for row in outcome.aside) == given

    def test_a_second_run_gives_the_same_bytes(
        self, outcome: Outcome, files: list[Path], prepared: Mapping[str, Any], tmp_path: Path
    ) -> None:
        assert self.run(tmp_path, files, prepared).digests() == outcome.digests()

    def test_two_processes_give_the_same_bytes(
        self, outcome: Outcome, files: list[Path], prepared: Mapping[str, Any], tmp_path: Path
    ) -> None:
        executor = two_processes(self.plugin_files_and_reader())
        assert self.run(tmp_path, files, prepared, executor=executor).digests() == outcome.digests()

    def test_one_file_gives_the_decisions_of_three(
        self, outcome: Outcome, prepared: Mapping[str, Any], tmp_path: Path
    ) -> None:
        if not self.same_in_one_file:
            pytest.skip(f"{self.plugin} works file by file")
        files = self.write_files(tmp_path / "files", 1)
        assert self.run(tmp_path / "run", files, prepared).decisions() == outcome.decisions()

    def test_a_killed_run_goes_on_to_the_same_bytes(
        self, outcome: Outcome, files: list[Path], prepared: Mapping[str, Any], tmp_path: Path
    ) -> None:
        kills = _run_and_kill(lambda progress: self.run(tmp_path, files, prepared, progress=progress), files[0].parent)
        assert kills
        assert self.run(tmp_path, files, prepared).digests() == outcome.digests()


class _Killed(Exception):
    pass


def _run_and_kill(run: Any, shards: Path) -> int:
    """Start ``run`` again and again, killing it later each time, until it ends; return the number of kills.

    The first time it dies in the middle of a shard, where the kit's reader reads.
    """
    (shards / "kill").touch()
    for kills in range(100):
        reports = 0

        def progress(*_: Any, last: int = 1 + 2 * kills, **__: Any) -> None:
            nonlocal reports
            reports += 1
            if reports > last:
                raise _Killed

        try:
            run(progress)
        except Exception as error:
            if type(error).__name__.lstrip("_") != "Killed":
                raise
        else:
            return kills
        finally:
            (shards / "kill").unlink(missing_ok=True)
    raise AssertionError("a run that is killed again and again never ends: what is finished is done anew")
