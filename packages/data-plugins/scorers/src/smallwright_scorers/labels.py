"""What scorers share: which documents are labelled, where labels are kept, how documents get them.

Labels are kept in one file for each file of documents, written as they are made, so that a killed run asks for no label
twice. Which documents are labelled depends on ids and metadata alone.
"""

import dataclasses
import gzip
import itertools
import json
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from core import writing
from core.data.documents import read_documents
from core.data.steps import CorpusStep, Phase, Step
from core.progress import ProgressWriter
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from smallwright_scorers.replies import BAD_REQUEST, LABELLED, NO_ANSWER, REFUSED
from smallwright_scorers.reuse import EarlierLabels, text_hash
from smallwright_scorers.sampling import Selection

LABELS_FOLDER = "labels"
SCORER_FILE = "scorer.json"
REPORT_FILE = "labels.report.json"
EXAMPLES = 3
EXAMPLE_CHARS = 300
ASKED_AGAIN = (NO_ANSWER, BAD_REQUEST)
"""Outcomes that a run started again does not keep: they say more about the server than about the document."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """A document to label."""

    id: str
    text: str
    metadata: dict[str, Any]
    shard: str
    """Name of the file of documents, without its ending."""
    text_hash: str


class Labeller(CorpusStep):
    """A scorer: labels a sample of the corpus, then passes every document on.

    With ``key: label``, a labelled document gets ``metadata["label"]`` (int), ``label_scorer`` (who gave it),
    ``label_prompt``, and where there is one ``label_reason``; a document that was asked about in vain gets
    ``label_outcome`` (why) and no label.
    """

    tasks: int | None = 1
    """Tasks that label; None: one for each file of documents."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return ``scorer`` (what gives the labels), ``scale`` (highest label), and what else tells how they came."""

    @abstractmethod
    def label(self, items: Iterator[Item]) -> Iterator[tuple[Item, dict[str, Any]]]:
        """Yield each item with its record, in any order.

        A record has ``label`` (int or None) and ``outcome``; further keys are kept (see :class:`AttachLabels`).
        """

    def prepare(self, work: Path) -> None:
        """Do what must be done once before any document is labelled."""
        return

    def prompt_tag(self, item: Item) -> str | None:
        """Return the prompt that a document gets, where earlier labels can be taken again; else None."""
        return None

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        return [
            Phase(name="select", pipeline=[SelectSample(self, corpus, work)], tasks=1),
            *self.labelling(corpus, work),
            Phase(name="report", pipeline=[ReportLabels(self, corpus, work)], tasks=1),
        ]

    def labelling(self, corpus: Path, work: Path) -> list[Phase]:
        """Return the passes that fill the labels folder."""
        return [Phase(name="label", pipeline=[LabelSample(self, corpus, work)], tasks=self.tasks)]

    def pass_step(self, work: Path) -> Step:
        return AttachLabels(self.config.key, work)


class LabellingPass(PipelineStep):
    """A pass of a labeller over the written documents."""

    type = "scorer"

    def __init__(self, labeller: Labeller, corpus: Path, work: Path) -> None:
        super().__init__()
        self.labeller, self.corpus, self.work = labeller, corpus, work


class SelectSample(LabellingPass):
    """The pass that chooses which documents are labelled."""

    name = "select"

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()  # nothing but what earlier steps of the pass do as they run
        self.work.mkdir(parents=True, exist_ok=True)
        self.labeller.prepare(self.work)
        Selection.make(self.labeller.config, _heads(self.corpus)).save(self.work)


class LabelSample(LabellingPass):
    """The labelling pass: appends to the labels file of each document's shard."""

    name = "label"

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()  # nothing but what earlier steps of the pass do as they run
        wanted = sum(cell["wanted"] for bins in Selection.load(self.work).report().values() for cell in bins.values())
        progress = ProgressWriter()
        labels = LabelFiles(self.labeller, self.corpus, self.work, rank, world_size)
        for done, (item, record) in enumerate(self.labeller.label(labels.missing()), start=1):
            labels.append(item, record)
            self.stat_update("labelled")
            if world_size == 1:
                progress(done, wanted or None, unit="labels", note=self.labeller.config.key)
        labels.close()
        if rank == 0:
            writing.write_json(self.work / SCORER_FILE, self.labeller.describe())


class LabelFiles:
    """The labels of the files of documents that a rank works on."""

    def __init__(self, labeller: Labeller, corpus: Path, work: Path, rank: int = 0, world_size: int = 1) -> None:
        self._labeller = labeller
        self._selection = Selection.load(work)
        self._earlier = EarlierLabels(work)
        self._files = sorted(corpus.glob("*.parquet"))[rank::world_size]
        self._folder = work / LABELS_FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)

    def missing(self) -> Iterator[Item]:
        """Yield the documents of the sample that have no label yet, each id once a shard."""
        for file in self._files:
            path = self._folder / f"{file.stem}.jsonl"
            labels = {id: record for id, record in read_labels(path) if record["outcome"] not in ASKED_AGAIN}
            _write_labels(path, labels)  # drops a line that a kill cut off, and asks again where nobody answered
            done = set(labels)
            del labels
            for document in read_documents(file):
                if document.id not in done and self._selection.has(document):
                    done.add(document.id)
                    item = Item(
                        id=document.id,
                        text=document.text,
                        metadata=document.metadata,
                        shard=file.stem,
                        text_hash=text_hash(document.text),
                    )
                    if not self._take(item):
                        yield item

    def take_earlier(self) -> None:
        """Keep the labels of earlier runs for all documents that have them."""
        if self._earlier:
            for _ in self.missing():
                pass

    def _take(self, item: Item) -> bool:
        tag = self._labeller.prompt_tag(item) if self._earlier else None
        record = None if tag is None else self._earlier.find(item.id, item.text_hash, tag)
        if record is not None:
            self.append(item, record)
        return record is not None

    def clear(self) -> None:
        """Forget all labels."""
        for file in self._files:
            (self._folder / f"{file.stem}.jsonl").unlink(missing_ok=True)

    def append(self, item: Item, record: dict[str, Any]) -> None:
        """Keep a label."""
        with open(self._folder / f"{item.shard}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"id": item.id, "text_hash": item.text_hash, **record}) + "\n")

    def close(self) -> None:
        """Put the labels in the order of ids, whatever the order of the answers was."""
        for file in self._files:
            path = self._folder / f"{file.stem}.jsonl"
            labels = dict(read_labels(path))
            _write_labels(path, {id: labels[id] for id in sorted(labels)})


class ReportLabels(LabellingPass):
    """The pass that adds up the labels and leaves them, with who gave them, among the artifact's reports."""

    name = "report"

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()  # nothing but what earlier steps of the pass do as they run
        scorer = json.loads((self.work / SCORER_FILE).read_text(encoding="utf-8"))
        sampling = Selection.load(self.work).report()
        report = {**scorer, "sampling": sampling, **self._summary()}
        writing.write_json(self.work / REPORT_FILE, report)
        context = self.labeller.context
        if context is not None and context.reports is not None:
            context.reports.mkdir(parents=True, exist_ok=True)
            writing.write_json(context.reports / "labels.json", report)
            self._leave(context.reports / "labels.jsonl.gz", scorer)

    def _summary(self) -> dict[str, Any]:
        labels: Counter[int] = Counter()
        outcomes: Counter[str] = Counter()
        retries: Counter[str] = Counter()
        prompts: dict[str, Counter[str]] = defaultdict(Counter)
        examples: dict[str, list[dict[str, Any]]] = defaultdict(list)
        truncated = reused = 0
        for name, record in self._labels():
            outcome = record["outcome"]
            outcomes[outcome] += 1
            truncated += bool(record.get("truncated"))
            reused += bool(record.get("reused"))
            retries.update(record.get("retries") or {})
            if record["label"] is not None:
                labels[record["label"]] += 1
            prompts[str(record.get("prompt"))][str(record["label"])] += 1
            if outcome != LABELLED and len(examples[outcome]) < EXAMPLES:
                said = {key: str(record[key])[:EXAMPLE_CHARS] for key in ("detail", "reply") if record.get(key)}
                examples[outcome].append({"id": name, **said})
        unlabelled = outcomes.total() - outcomes[LABELLED]
        return {
            "documents": outcomes.total(),
            "labels": {str(value): labels[value] for value in sorted(labels)},
            "labels_by_prompt": {tag: dict(sorted(counts.items())) for tag, counts in sorted(prompts.items())},
            "unlabelled": unlabelled,
            "reused": reused,
            "truncated": truncated,
            "refused": outcomes[REFUSED],
            "failed": unlabelled - outcomes[REFUSED],
            "outcomes": dict(sorted(outcomes.items())),
            "retries": dict(sorted(retries.items())),
            "examples": dict(sorted(examples.items())),
        }

    def _labels(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return itertools.chain.from_iterable(map(read_labels, sorted((self.work / LABELS_FOLDER).glob("*.jsonl"))))

    def _leave(self, path: Path, scorer: dict[str, Any]) -> None:
        said = {key: scorer[key] for key in ("scorer", "sampling_settings") if key in scorer}
        partial = path.with_suffix(".partial")
        with open(partial, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as file:
            for document, record in self._labels():
                file.write(json.dumps({"id": document, **record, **said}).encode() + b"\n")
        partial.replace(path)


class AttachLabels(Step):
    """Gives labelled documents their label; passes every document."""

    def __init__(self, key: str, work: Path) -> None:
        super().__init__(None)
        self.key, self.work = key, work

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        paths = sorted((self.work / LABELS_FOLDER).glob("*.jsonl"))[rank::world_size]
        labels = dict(itertools.chain.from_iterable(map(read_labels, paths)))
        scorer = json.loads((self.work / SCORER_FILE).read_text(encoding="utf-8"))
        for document in documents:
            record = labels.get(document.id)
            if record is not None:
                self._attach(document.metadata, record, scorer)
                self.count("labels", record["outcome"] if record["label"] is None else str(record["label"]))
                self.stat_update("labelled")
            yield document

    def _attach(self, metadata: dict[str, Any], record: dict[str, Any], scorer: dict[str, Any]) -> None:
        key = self.key
        if record["label"] is not None:
            metadata[key] = record["label"]
        else:
            metadata[f"{key}_outcome"] = record["outcome"]
        metadata[f"{key}_scorer"] = scorer["scorer"]
        metadata[f"{key}_scale"] = scorer["scale"]
        for name in ("reason", "prompt", "truncated"):
            if record.get(name):
                metadata[f"{key}_{name}"] = record[name]
        if "sampling_settings" in scorer:
            metadata[f"{key}_sampling"] = scorer["sampling_settings"]


def read_labels(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield id and record of the labels of a file; a last line cut off by a kill is left out."""
    if not path.exists():
        return
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                record = json.loads(line)
                yield record.pop("id"), record


def _write_labels(path: Path, labels: dict[str, dict[str, Any]]) -> None:
    partial = path.with_suffix(".partial")
    with open(partial, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": name, **record}) + "\n" for name, record in labels.items())
    partial.replace(path)


def _heads(corpus: Path) -> Iterator[Document]:
    """Yield the documents of a corpus without their texts."""
    for path in sorted(corpus.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=10_000, columns=["id", "url", "metadata"]):
                for row in batch.to_pylist():
                    metadata = {**json.loads(row["metadata"] or "{}"), "url": row["url"]}
                    yield Document(text="-", id=row["id"], metadata=metadata)
