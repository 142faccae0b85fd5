"""Labels on disk: one file for each file of documents, written line by line as labels are made.

A run that is started again reads them, so that it asks for no label twice. A line is the record of a document:

- ``id`` and ``text_hash`` say which document, and which text of it;
- ``label`` is the label, or null, and ``outcome`` says why;
- ``reason``, ``reply``, ``prompt`` and ``truncated`` are there where they say something;
- ``on_the_way`` holds what happened while the document was asked about: ``retries``, ``detail`` (the last error),
  ``reused``. Two runs with the same labels can differ in it, so it is told in the run's summary and never reaches the
  artifact.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core.data.documents import read_documents
from core.writing import replacing, write_json

from smallwright_labels.replies import BAD_REQUEST, NO_ANSWER
from smallwright_labels.reuse import EarlierLabels, text_hash
from smallwright_labels.sampling import Selection

LABELS_FOLDER = "labels"
SCORER_FILE = "scorer.json"
ON_THE_WAY = "on_the_way"
ASKED_AGAIN = (NO_ANSWER, BAD_REQUEST)
"""Outcomes that a run started again asks about anew: they say more about the server than about the document."""

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """A document to label."""

    id: str
    text: str
    metadata: dict[str, Any]
    shard: str
    """Name of the file of documents, without its ending."""
    text_hash: str


class LabelFiles:
    """The labels of the files of documents that a rank works on.

    Args:
        corpus: Folder of ``<shard>.parquet`` documents.
        work: Folder of the step, with the selection.
        prompt_tag: Gives the prompt of a document, by which labels of earlier runs are found; None where it has none.
    """

    def __init__(
        self,
        corpus: Path,
        work: Path,
        prompt_tag: Callable[[Item], str | None],
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._prompt_tag = prompt_tag
        self._selection = Selection.load(work)
        self._earlier = EarlierLabels(work)
        self._files = sorted(corpus.glob("*.parquet"))[rank::world_size]
        self._folder = work / LABELS_FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)

    def missing(self) -> Iterator[Item]:
        """Yield the documents of the sample that have no label yet; an id that occurs twice in a shard comes once."""
        for file in self._files:
            path = self._folder / f"{file.stem}.jsonl"
            labels = {id: record for id, record in read_labels(path) if record["outcome"] not in ASKED_AGAIN}
            _write_labels(path, labels)  # without the line that a kill cut off and those to ask about again
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
        """Keep the label that an earlier run gave a document; return whether there is one."""
        tag = self._prompt_tag(item) if self._earlier else None
        record = None if tag is None else self._earlier.find(item.id, item.text_hash, tag)
        if record is None:
            return False
        self.append(item, {**record, ON_THE_WAY: {"reused": True}})
        return True

    def clear(self) -> None:
        """Forget all labels."""
        for file in self._files:
            (self._folder / f"{file.stem}.jsonl").unlink(missing_ok=True)

    def append(self, item: Item, record: Record) -> None:
        """Keep a label."""
        with open(self._folder / f"{item.shard}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"id": item.id, "text_hash": item.text_hash, **record}) + "\n")

    def close(self) -> None:
        """Put the labels in the order of ids, whatever the order of the answers was."""
        for file in self._files:
            path = self._folder / f"{file.stem}.jsonl"
            labels = dict(read_labels(path))
            _write_labels(path, {id: labels[id] for id in sorted(labels)})


def read_labels(path: Path) -> Iterator[tuple[str, Record]]:
    """Yield id and record of the labels of a file; a last line that a kill cut off is left out."""
    if not path.exists():
        return
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                record = json.loads(line)
                yield record.pop("id"), record


def all_labels(work: Path, rank: int = 0, world_size: int = 1) -> Iterator[tuple[str, Record]]:
    """Yield id and record of the labels of a rank's files of documents, in the order of files and ids."""
    for path in sorted((work / LABELS_FOLDER).glob("*.jsonl"))[rank::world_size]:
        yield from read_labels(path)


def answered(labels: Iterator[tuple[str, Record]]) -> Iterator[tuple[str, Record]]:
    """Yield the labels that belong to the artifact. That a document got no answer is a thing of this one run."""
    return ((name, record) for name, record in labels if record["outcome"] != NO_ANSWER)


def write_scorer(work: Path, about: dict[str, Any], on_the_way: dict[str, Any]) -> None:
    """Keep what gave the labels (``about``), and what happened on the way."""
    write_json(work / SCORER_FILE, {"about": about, ON_THE_WAY: on_the_way})


def read_scorer(work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what :func:`write_scorer` was given."""
    content = json.loads((work / SCORER_FILE).read_text(encoding="utf-8"))
    return content["about"], content[ON_THE_WAY]


def _write_labels(path: Path, labels: dict[str, Record]) -> None:
    with replacing(path) as partial, open(partial, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": name, **record}) + "\n" for name, record in labels.items())
