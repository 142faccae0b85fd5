"""The pass behind the labelling: labelled documents get their label."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.data.labels import scale_key, scorer_key
from core.data.steps import Step
from datatrove.data import Document

from smallwright_labels.label_files import Record, all_labels, answered, read_scorer


class AttachLabels(Step):
    """Gives labelled documents their label; passes every document."""

    def __init__(self, key: str, work: Path) -> None:
        super().__init__(None)
        self.key, self.work = key, work

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        labels = dict(answered(all_labels(self.work, rank, world_size)))
        about, _ = read_scorer(self.work)
        for document in documents:
            record = labels.get(document.id)
            if record is not None:
                self._attach(document.metadata, record, about)
                self.count("labels", record["outcome"] if record["label"] is None else str(record["label"]))
                self.stat_update("labelled")
            yield document

    def _attach(self, metadata: dict[str, Any], record: Record, about: dict[str, Any]) -> None:
        key = self.key
        if record["label"] is not None:
            metadata[key] = record["label"]
        else:
            metadata[f"{key}_outcome"] = record["outcome"]
        metadata[scorer_key(key)] = about["scorer"]
        metadata[scale_key(key)] = about["scale"]
        for name in ("reason", "prompt", "truncated"):
            if record.get(name):
                metadata[f"{key}_{name}"] = record[name]
        if "sampling_settings" in about:
            metadata[f"{key}_sampling"] = about["sampling_settings"]
