"""Base classes of data steps: DataTrove pipeline steps that account for every document.

A step gets documents and yields the ones it keeps. Each other document it must hand to :meth:`Step.reject` (the
step decided against it) or :meth:`Step.fail` (it could not be handled), with a short reason. Both are counted by
reason and written aside; a step for which documents in = kept + rejected + failed does not hold stops the run.

A step works alone in any DataTrove pipeline: without a runner, :meth:`Step.bind` is never called and nothing is
written aside.
"""

import collections
import dataclasses
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from core.data.documents import ParquetSink
from core.writing import write_text

LARGEST_TABLE = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepContext:
    """What the runner tells a step before it runs. Must stay picklable: steps travel to worker processes."""

    label: str
    """Name of the step in the funnel: its key in the recipe."""
    position: int
    """Place in the recipe, from 0."""
    seed: int
    files: tuple[str, ...] = ()
    """Input files of the recipe (fsspec paths), for steps that read; rank r of n reads ``files[r::n]``."""
    rejected: Path | None = None
    """Folder for documents set aside."""
    ledgers: Path | None = None
    """Folder for the counts of each rank."""
    reports: Path | None = None
    """Folder inside the artifact for files that a step wants to leave; it makes the folder when it does."""
    plugin_files: tuple[str, ...] = ()
    """Local files given with ``--plugin``, for a step that looks up registered names."""


@dataclasses.dataclass
class Ledger:
    """Counts of one step on one rank."""

    received: int = 0
    kept: int = 0
    rejected: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    failed: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    tables: dict[str, collections.Counter] = dataclasses.field(default_factory=dict)
    """What a step counts beside documents: table to key to number."""

    def check(self, label: str) -> None:
        """Assert that every document is accounted for."""
        accounted = self.kept + self.rejected.total() + self.failed.total()
        if self.received != accounted:
            raise AssertionError(
                f"step {label!r} received {self.received} documents but accounts for {accounted} "
                f"(kept {self.kept}, rejected {dict(self.rejected)}, failed {dict(self.failed)})"
            )

    def to_dict(self) -> dict[str, Any]:
        return {
            "in": self.received,
            "kept": self.kept,
            "rejected": dict(sorted(self.rejected.items())),
            "failed": dict(sorted(self.failed.items())),
            "tables": {name: dict(sorted(table.items())) for name, table in sorted(self.tables.items())},
        }


class Step(PipelineStep):
    """A document transformation. Implement :meth:`process`; see :class:`DocumentStep` for the common case.

    Args:
        config: The step's frozen configuration dataclass, or None.
    """

    type = "step"

    def __init__(self, config: Any = None) -> None:
        self.name = type(self).__name__
        super().__init__()
        self.config = config
        self.context = StepContext(label=self.name, position=0, seed=0)
        self._ledger = Ledger()
        self._sink: ParquetSink | None = None

    def bind(self, context: StepContext) -> None:
        """Receive the runner's context. Override to check inputs early, before any work; call super."""
        self.context = context

    @abstractmethod
    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        """Yield the documents to keep; call :meth:`reject` or :meth:`fail` for each of the others.

        A step that reads files gets an empty iterator and calls :meth:`receive` for every record it meets.
        """

    def receive(self, records: int = 1) -> None:
        """Count records met by a step that reads."""
        self._ledger.received += records

    def count(self, table: str, key: str, value: int = 1) -> None:
        """Add to a table of the report, such as ``count("language", "en")``; added up over all ranks.

        Keys must be few: a table holds at most :data:`LARGEST_TABLE` a rank; what is beyond counts as ``(other)``.
        """
        counter = self._ledger.tables.setdefault(table, collections.Counter())
        counter[key if key in counter or len(counter) < LARGEST_TABLE else "(other)"] += value

    def reject(self, document: Document, reason: str) -> None:
        """Set a document aside by decision. ``reason`` is a short, countable phrase without figures."""
        self._ledger.rejected[reason] += 1
        self._set_aside(document, "rejected", reason)

    def fail(self, document: Document, reason: str) -> None:
        """Set a document aside because it could not be handled."""
        self._ledger.failed[reason] += 1
        self._set_aside(document, "failed", reason)

    def report(self) -> dict[str, Any]:
        """Return what the report says of this step beside its tables. Called once, when all ranks are finished."""
        return {}

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Run as a DataTrove step, keeping the ledger."""
        self._ledger = Ledger()
        if self.context.rejected is not None:
            file = f"{self.context.position:02d}-{self.context.label}-{rank:05d}.parquet"
            self._sink = ParquetSink(self.context.rejected / file, extra=("step", "outcome", "reason"))
        try:
            for document in self.process(self._count(data or ()), rank, world_size):
                self._ledger.kept += 1
                yield document
            self._finish(rank)
        except BaseException:
            if self._sink is not None:
                self._sink.abandon()
            raise

    def _count(self, data: Iterable[Document]) -> Iterator[Document]:
        for document in data:
            self._ledger.received += 1
            yield document

    def _set_aside(self, document: Document, outcome: str, reason: str) -> None:
        if self._sink is not None:
            self._sink.write(document, step=self.context.label, outcome=outcome, reason=reason)

    def accounts(self, rank: int) -> list[Path]:
        """Return the files that a finished rank has left: its counts, and what it set aside; none without a runner."""
        name = f"{self.context.position:02d}-{self.context.label}-{rank:05d}"
        places = ((self.context.ledgers, ".json"), (self.context.rejected, ".parquet"))
        return [folder / f"{name}{ending}" for folder, ending in places if folder is not None]

    def _finish(self, rank: int) -> None:
        self._ledger.check(self.context.label)
        if self._sink is not None:
            self._sink.close()
            self._sink = None
        if self.context.ledgers is not None:
            record = {"step": self.context.label, "position": self.context.position, **self._ledger.to_dict()}
            path = self.context.ledgers / f"{self.context.position:02d}-{self.context.label}-{rank:05d}.json"
            write_text(path, json.dumps(record))


class Rejection(Exception):
    """Raised inside :meth:`DocumentStep.process_document` to set the document aside."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DocumentStep(Step):
    """A step that looks at one document at a time. Any exception fails that document, not the run."""

    @abstractmethod
    def process_document(self, document: Document) -> Document:
        """Return the document, changed or not, or raise :class:`Rejection`."""

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        for document in documents:
            try:
                kept = self.process_document(document)
            except Rejection as rejection:
                self.reject(document, rejection.reason)
            except Exception as error:
                document.metadata["error"] = f"{type(error).__name__}: {error}"[:500]
                self.fail(document, getattr(error, "reason", type(error).__name__))
            else:
                yield kept


class ForeignStep(Step):
    """A DataTrove step that maps or filters single documents, with the accounts that our steps keep."""

    def __init__(self, inner: PipelineStep) -> None:
        super().__init__(None)
        self.inner = inner

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        writer = _CapturingWriter()
        if hasattr(self.inner, "exclusion_writer"):
            self.inner.exclusion_writer = writer
        for document in documents:
            writer.reason = None
            try:
                kept = list(self.inner.run(iter([document]), rank, world_size))
            except Exception as error:
                document.metadata["error"] = f"{type(error).__name__}: {error}"[:500]
                self.fail(document, type(error).__name__)
                continue
            if not kept:
                self.reject(document, writer.reason or "dropped")
            self._ledger.received += max(0, len(kept) - 1)  # the parts of a document that the step splits
            yield from kept


class _CapturingWriter:
    """Given to a DataTrove filter in place of its exclusion writer: it remembers the reason of the last rejection."""

    reason: str | None = None

    def __enter__(self) -> "_CapturingWriter":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, document: Document, rank: int = 0, **_: object) -> None:
        self.reason = document.metadata.get("filter_reason")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """A pass over the written documents made by a :class:`CorpusStep`."""

    name: str
    pipeline: list[PipelineStep]
    """DataTrove steps; start with :class:`core.data.documents.ReadDocuments` to see the documents."""
    tasks: int | None = None
    """Number of parallel tasks; None means one per file of documents."""


class CorpusPass(PipelineStep):
    """Work of one rank in a :class:`Phase`, such as counting the words of its files.

    It begins when the earlier steps of the phase have handled every document; their documents go on to what follows.
    """

    type = "corpus"

    def __init__(self) -> None:
        self.name = type(self).__name__
        super().__init__()

    @abstractmethod
    def run_rank(self, rank: int, world_size: int) -> None:
        """Do the share of ``rank``, of ``world_size`` ranks. What a killed process left must do no harm."""

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Run as a DataTrove step: pass on all documents, then do this rank's share."""
        yield from data or ()
        self.run_rank(rank, world_size)


class CorpusStep(ABC):
    """A step that must see the whole corpus before it can decide on any document.

    The runner writes the documents that reached this step to a folder, runs :meth:`phases` over it, then starts the
    next pass with :meth:`pass_step`, which applies the outcome to each document and keeps the accounts.
    """

    def __init__(self, config: Any = None) -> None:
        self.config = config
        self.context: StepContext | None = None

    def bind(self, context: StepContext) -> None:
        """Receive the runner's context, as :meth:`Step.bind`."""
        self.context = context

    @abstractmethod
    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        """Return the passes to make.

        Args:
            corpus: Folder of ``<rank>.parquet`` documents.
            work: Folder for results; kept until the stage is finished, so that a killed run goes on from here.
        """

    @abstractmethod
    def pass_step(self, work: Path) -> Step:
        """Return the step that applies what the phases left in ``work``."""


def batched(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    """Group documents into lists of at most ``size``."""
    iterator = iter(documents)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
