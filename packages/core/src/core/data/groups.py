"""Whole-corpus steps that decide about a document by the others that share its key, in bounded memory.

The first phase writes, for every file of the corpus, what is needed to decide: the key, the row, and a few values. The
second splits the keys into partitions by their hash, each decided by a task of its own that holds one partition in
memory. The pass that follows reads, file by file, which rows go. Files and partitions are the units of work, so the
outcome does not depend on the number of workers.
"""

import dataclasses
import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document

from core.data.documents import read_documents
from core.data.steps import CorpusPass, CorpusStep, Phase, Step
from core.writing import replacing, write_text

DOCUMENTS_PER_PARTITION = 500_000
"""Bounds the memory of a decision to about this many small dictionaries, as long as no single key has more."""

_SCHEMA = pa.schema(
    [("partition", pa.int32()), ("key", pa.string()), ("row", pa.int64()), ("id", pa.string()), ("value", pa.string())]
)


@dataclasses.dataclass(frozen=True)
class Member:
    """One document of a group, in the order of files and rows."""

    file: str
    """Stem of the corpus file it is in."""
    row: int
    id: str
    value: Mapping[str, Any] = dataclasses.field(compare=False)
    """What :meth:`GroupStep.value` gave."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What becomes of a document."""

    reason: str | None = None
    """Why it is rejected; None: it is kept."""
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Added to the document's metadata."""


class GroupStep(CorpusStep):
    """A step that looks at all documents with the same key at once.

    Implement :meth:`key`, :meth:`value` and :meth:`decide`. ``decide`` runs once for each key that any document has,
    in one task for each partition of keys; :meth:`summarize` can add to the report.
    """

    @abstractmethod
    def key(self, document: Document) -> str | None:
        """Return what the document is grouped by; None: it is kept without a decision."""

    def value(self, document: Document) -> dict[str, Any]:
        """Return what the decision needs to know of the document: a few JSON values."""
        return {}

    @abstractmethod
    def decide(self, key: str, members: list[Member]) -> dict[Member, Verdict]:
        """Return verdicts for the members of a group; a member without one is kept as it is."""

    def summarize(self, key: str, members: list[Member], verdicts: Mapping[Member, Verdict]) -> dict[str, Any] | None:
        """Return a row of the report about this group; None: nothing. The rows are written to ``groups.jsonl``."""
        return None

    def report(self, rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
        """Return the step's report, given all rows of :meth:`summarize` in an order that only the keys decide."""
        return {}

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        """Write keys, decide partition by partition, report."""
        documents = sum(pq.read_metadata(path).num_rows for path in corpus.glob("*.parquet"))
        partitions = max(1, -(-documents // DOCUMENTS_PER_PARTITION))
        return [
            Phase(name="keys", pipeline=[_WriteKeys(self, corpus, work, partitions)]),
            Phase(name="decide", pipeline=[_Decide(self, corpus, work)], tasks=partitions),
            Phase(name="report", pipeline=[_Report(self, work)], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return _Apply(work)


class _WriteKeys(CorpusPass):
    def __init__(self, step: GroupStep, corpus: Path, work: Path, partitions: int) -> None:
        super().__init__()
        self.step, self.corpus, self.work, self.partitions = step, corpus, work, partitions

    def run_rank(self, rank: int, world_size: int) -> None:
        for path in sorted(self.corpus.glob("*.parquet"))[rank::world_size]:
            target = self.work / "keys" / path.name
            with replacing(target) as partial, pq.ParquetWriter(partial, _SCHEMA, compression="zstd") as writer:
                rows: list[dict[str, Any]] = []
                for row, document in enumerate(read_documents(path)):
                    key = self.step.key(document)
                    if key is not None:
                        value = json.dumps(self.step.value(document))
                        where = _partition(key, self.partitions)
                        rows.append({"partition": where, "key": key, "row": row, "id": document.id, "value": value})
                    if len(rows) >= 10_000:
                        writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
                        rows = []
                writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))


class _Decide(CorpusPass):
    def __init__(self, step: GroupStep, corpus: Path, work: Path) -> None:
        super().__init__()
        self.step, self.corpus, self.work = step, corpus, work

    def run_rank(self, rank: int, world_size: int) -> None:
        groups: dict[str, list[Member]] = {}
        files = sorted((self.work / "keys").glob("*.parquet"))
        for path in files:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=10_000):
                    mine = np.flatnonzero(batch.column("partition").to_numpy() == rank)
                    for row in batch.take(pa.array(mine)).to_pylist():
                        member = Member(path.stem, row["row"], row["id"], json.loads(row["value"]))
                        groups.setdefault(row["key"], []).append(member)
        verdicts: dict[str, dict[str, Any]] = {}
        summaries: list[dict[str, Any]] = []
        for key in sorted(groups):
            decided = self.step.decide(key, groups[key])
            for member, verdict in decided.items():
                verdicts.setdefault(member.file, {})[str(member.row)] = [verdict.reason, dict(verdict.notes)]
            summary = self.step.summarize(key, groups[key], decided)
            if summary is not None:
                summaries.append(summary)
        for path in files:
            write_text(self.work / "verdicts" / f"{path.stem}-{rank:05d}.json", json.dumps(verdicts.get(path.stem, {})))
        write_text(self.work / "groups" / f"{rank:05d}.jsonl", "".join(json.dumps(row) + "\n" for row in summaries))


class _Report(CorpusPass):
    def __init__(self, step: GroupStep, work: Path) -> None:
        super().__init__()
        self.step, self.work = step, work

    def run_rank(self, rank: int, world_size: int) -> None:
        report = self.step.report(self._rows())
        if report:
            assert self.step.context is not None
            write_text(self.work / f"{self.step.context.label}.report.json", json.dumps(report, indent=2) + "\n")

    def _rows(self) -> Iterator[dict[str, Any]]:
        for path in sorted((self.work / "groups").glob("*.jsonl")):
            with open(path, encoding="utf-8") as file:
                yield from map(json.loads, file)


class _Apply(Step):
    """Applies the verdicts. Rank r gets the documents of the r-th corpus file, in order, as the pass reads them."""

    def __init__(self, work: Path) -> None:
        super().__init__(None)
        self.work = work

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        verdicts: dict[str, Any] = {}
        for path in sorted((self.work / "verdicts").glob(f"{rank:05d}-*.json")):
            verdicts |= json.loads(path.read_text())
        for row, document in enumerate(documents):
            reason, notes = verdicts.get(str(row), (None, {}))
            document.metadata.update(notes)
            if reason is None:
                yield document
            else:
                self.reject(document, reason)


def _partition(key: str, partitions: int) -> int:
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % partitions
