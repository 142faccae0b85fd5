"""The base of the labelling steps: it chooses which documents are labelled, has them labelled, and passes all on.

Which documents are labelled depends on ids and metadata alone.
"""

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from core.data.steps import CorpusPass, CorpusStep, Phase, Step
from core.progress import ProgressWriter
from datatrove.data import Document

from smallwright_labels.attach import AttachLabels
from smallwright_labels.label_files import ASKED_AGAIN, ON_THE_WAY, Item, LabelFiles, Record, write_scorer
from smallwright_labels.replies import NO_ANSWER
from smallwright_labels.report import ReportLabels
from smallwright_labels.sampling import Selection


class Labeller(CorpusStep):
    """Labels a sample of the corpus, then passes every document on.

    With ``key: label``, a labelled document gets ``metadata["label"]`` (int), ``label_scorer`` (who gave it),
    ``label_prompt``, and where there is one ``label_reason``; a document whose reply gives no label gets
    ``label_outcome`` (why) and no label. One that got no answer after all tries is left as it is: the run's summary
    counts it, and a run that goes on asks again.
    """

    tasks: int | None = 1
    """Tasks that label; None: one for each file of documents."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return ``scorer`` (what gives the labels), ``scale`` (highest label), and what else the labels rest on.

        The artifact keeps it: only what the same settings always give belongs here.
        """

    def on_the_way(self) -> dict[str, Any]:
        """Return what the run's summary should also say, such as a server's address; the artifact does not keep it."""
        return {}

    @abstractmethod
    def label(self, items: Iterator[Item]) -> Iterator[tuple[Item, Record]]:
        """Yield each item with its record, in any order; :mod:`smallwright_labels.label_files` says what is in one."""

    def prepare(self, work: Path) -> None:
        """Do what must be done once before any document is labelled."""
        return

    def prompt_tag(self, item: Item) -> str | None:
        """Return the name of a document's prompt, for a step that can take labels of earlier runs; else None."""
        return None

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        reports = self.context.reports if self.context is not None else None
        return [
            Phase(name="select", pipeline=[SelectSample(self, corpus, work)], tasks=1),
            *self.labelling(corpus, work),
            Phase(name="report", pipeline=[ReportLabels(work, reports)], tasks=1),
        ]

    def labelling(self, corpus: Path, work: Path) -> list[Phase]:
        """Return the passes that fill the labels folder."""
        return [Phase(name="label", pipeline=[LabelSample(self, corpus, work)], tasks=self.tasks)]

    def pass_step(self, work: Path) -> Step:
        return AttachLabels(self.config.key, work)


class LabellingPass(CorpusPass):
    """A pass of a labeller over the written documents."""

    type = "labels"

    def __init__(self, labeller: Labeller, corpus: Path, work: Path) -> None:
        super().__init__()
        self.labeller, self.corpus, self.work = labeller, corpus, work

    def label_files(self, rank: int = 0, world_size: int = 1) -> LabelFiles:
        """Return the labels of a rank's files of documents."""
        return LabelFiles(self.corpus, self.work, self.labeller.prompt_tag, rank, world_size)


class SelectSample(LabellingPass):
    """The pass that chooses which documents are labelled."""

    def run_rank(self, rank: int, world_size: int) -> None:
        self.labeller.prepare(self.work)
        Selection.make(self.labeller.config, _without_texts(self.corpus)).save(self.work)


class LabelSample(LabellingPass):
    """The labelling pass: appends to the labels file of each document's shard."""

    def run_rank(self, rank: int, world_size: int) -> None:
        wanted = sum(cell["wanted"] for bins in Selection.load(self.work).report().values() for cell in bins.values())
        progress = ProgressWriter()
        labels = self.label_files(rank, world_size)
        done = 0
        failed: dict[str, Record] = {}
        for _ in range(2):  # again for those without an answer: the server may have been away for a while
            earlier, failed = failed, {}
            for item, record in self.labeller.label(labels.missing()):
                _add_retries(record, earlier.get(item.id, {}))
                labels.append(item, record)
                if record["outcome"] in ASKED_AGAIN:
                    failed[item.id] = record
                self.stat_update("labelled")
                done += 1
                if world_size == 1:
                    progress(done, wanted or None, unit="labels", note=self.labeller.config.key)
            if not any(record["outcome"] == NO_ANSWER for record in failed.values()):
                break
        labels.close()
        if rank == 0:
            write_scorer(self.work, self.labeller.describe(), self.labeller.on_the_way())


def _add_retries(record: Record, earlier: Record) -> None:
    """Count the retries of an earlier round, too."""
    retries = Counter(earlier.get(ON_THE_WAY, {}).get("retries", {}))
    if retries:
        way = record.setdefault(ON_THE_WAY, {})
        way["retries"] = dict(sorted((retries + Counter(way.get("retries", {}))).items()))


def _without_texts(corpus: Path) -> Iterator[Document]:
    """Yield the documents of a corpus without their texts, which the choice does not look at."""
    for path in sorted(corpus.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=10_000, columns=["id", "url", "metadata"]):
                for row in batch.to_pylist():
                    metadata = {**json.loads(row["metadata"] or "{}"), "url": row["url"]}
                    yield Document(text="-", id=row["id"], metadata=metadata)
