"""What both scorers share: which documents are labelled, where labels are kept, how documents get them.

Labels are made once for the whole corpus by a single task, because a language model is loaded once; which documents
are labelled depends on their ids alone, so the number of workers changes nothing.
"""

import hashlib
import heapq
import itertools
import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from core.data.documents import read_documents
from core.data.steps import CorpusStep, Phase, Step
from core.progress import ProgressWriter
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

LABELS_FILE = "labels.jsonl"
REPORT_FILE = "labels.report.json"


def id_hash(document_id: str, purpose: str) -> str:
    """Return a hash of a document id to sort by. Different purposes give independent orders."""
    digest = hashlib.blake2b(document_id.encode("utf-8", "replace"), digest_size=8, person=purpose.encode()[:16])
    return digest.hexdigest()


def read_labels(work: Path) -> dict[str, dict[str, Any]]:
    """Return the labels made so far by document id; a last line cut off by a kill is left out."""
    path = work / LABELS_FILE
    if not path.exists():
        return {}
    labels = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                record = json.loads(line)
                labels[record.pop("id")] = record
    return labels


class Labeller(CorpusStep):
    """A scorer: labels a sample of the corpus from 0 to 5, then passes every document on.

    Labelled documents get ``metadata["label"]`` (int) and ``metadata["label_scorer"]`` (who gave it), and whatever
    else the scorer says about the label.
    """

    @property
    @abstractmethod
    def scorer(self) -> str:
        """What gives the labels, with everything needed to know it again."""

    @abstractmethod
    def label(self, documents: Iterator[Document]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (document id, record) for each document: ``label`` (int or None), and what else is to be kept."""

    def describe(self) -> dict[str, Any]:
        """Return what the report says about the scorer."""
        return {}

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        return [Phase(name="label", pipeline=[LabelSample(self, corpus, work)], tasks=1)]

    def pass_step(self, work: Path) -> Step:
        return AttachLabels(work)


class LabelSample(PipelineStep):
    """The labelling pass: one task that reads the corpus and appends to the labels file."""

    type = "scorer"
    name = "label"

    def __init__(self, labeller: Labeller, corpus: Path, work: Path) -> None:
        super().__init__()
        self.labeller, self.corpus, self.work = labeller, corpus, work

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()  # nothing but what earlier steps of the pass do as they run
        self.work.mkdir(parents=True, exist_ok=True)
        sampled = self._sample()
        labels = read_labels(self.work)
        missing = sampled - labels.keys()
        if missing:
            progress = ProgressWriter()
            self._rewrite(labels)  # drops a line that a kill cut off
            documents = (document for document in self._documents() if document.id in missing)
            with open(self.work / LABELS_FILE, "a", encoding="utf-8") as file:
                for name, record in self.labeller.label(documents):
                    file.write(json.dumps({"id": name, **record}) + "\n")
                    file.flush()
                    labels[name] = record
                    progress(len(labels), len(sampled), unit="labels", note=self.labeller.scorer)
                    self.stat_update("labelled")
        self._report(labels)

    def _documents(self) -> Iterator[Document]:
        return itertools.chain.from_iterable(map(read_documents, sorted(self.corpus.glob("*.parquet"))))

    def _sample(self) -> set[str]:
        ids = itertools.chain.from_iterable(map(_read_ids, sorted(self.corpus.glob("*.parquet"))))
        if self.labeller.config.sample is None:
            return set(ids)
        smallest = heapq.nsmallest(self.labeller.config.sample, ((id_hash(name, "label"), name) for name in ids))
        return {name for _, name in smallest}

    def _rewrite(self, labels: dict[str, dict[str, Any]]) -> None:
        partial = self.work / f"{LABELS_FILE}.partial"
        partial.write_text("".join(json.dumps({"id": name, **record}) + "\n" for name, record in labels.items()))
        partial.replace(self.work / LABELS_FILE)

    def _report(self, labels: dict[str, dict[str, Any]]) -> None:
        counts = Counter(record["label"] for record in labels.values())
        flags = Counter(
            flag
            for record in labels.values()
            for flag in ("label_truncated", "label_refused", "label_failed")
            if record.get(flag)
        )
        report = {
            "scorer": self.labeller.scorer,
            **self.labeller.describe(),
            "documents": len(labels),
            "labels": {str(value): count for value, count in sorted(counts.items(), key=str) if value is not None},
            "unlabelled": counts[None],
            "truncated": flags["label_truncated"],
            "refused": flags["label_refused"],
            "failed": flags["label_failed"],
        }
        (self.work / REPORT_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _read_ids(path: Path) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=10_000, columns=["id"]):
            yield from batch.column("id").to_pylist()


class AttachLabels(Step):
    """Gives labelled documents their label; passes every document."""

    def __init__(self, work: Path) -> None:
        super().__init__(None)
        self.work = work

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        labels = read_labels(self.work)
        scorer = json.loads((self.work / REPORT_FILE).read_text())["scorer"]
        for document in documents:
            record = labels.get(document.id)
            if record is not None:
                document.metadata.update({key: value for key, value in record.items() if value is not None})
                document.metadata["label_scorer"] = scorer
                self.stat_update("labelled")
            yield document
