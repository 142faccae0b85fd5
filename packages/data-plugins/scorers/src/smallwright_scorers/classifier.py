"""The step ``classifier``: trains on the labelled documents, reports how good it is, scores every document."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from core.data.documents import read_documents
from core.data.steps import CorpusStep, Phase, Step, batched
from core.errors import UserError
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from smallwright_scorers.config import SCORES, ClassifierConfig
from smallwright_scorers.labels import id_hash
from smallwright_scorers.model import Features, Model, whole_score

REPORT_FILE = "classifier.report.json"
SCORING_BATCH = 256


class Classifier(CorpusStep):
    """Distils the labels of a scorer into a small model.

    Every document gets ``metadata["score"]`` (float, not clipped) and ``metadata["int_score"]`` (0 to 5).
    """

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        return [Phase(name="train", pipeline=[TrainClassifier(self.config, corpus, work)], tasks=1)]

    def pass_step(self, work: Path) -> Step:
        return ScoreDocuments(work)


class TrainClassifier(PipelineStep):
    """The training pass: one task that reads the labelled documents."""

    type = "classifier"
    name = "train"

    def __init__(self, config: ClassifierConfig, corpus: Path, work: Path) -> None:
        super().__init__()
        self.config, self.corpus, self.work = config, corpus, work

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()  # nothing but what earlier steps of the pass do as they run
        config = self.config
        texts, labels, held_out = self._labelled()
        features = Features(word_ngrams=config.word_ngrams, features=config.features, max_chars=config.max_chars)
        training = [text for text, held in zip(texts, held_out, strict=True) if not held]
        model = Model.train(
            features, training, labels[~held_out], regularization=config.regularization, balance=config.balance
        )
        validation = [text for text, held in zip(texts, held_out, strict=True) if held]
        report = {
            "model": "hashed n-grams, ridge regression",
            "training_labels": _histogram(labels[~held_out]),
            **evaluate(labels[held_out], model.predict(validation), config.binary_threshold),
        }
        self.work.mkdir(parents=True, exist_ok=True)
        model.save(self.work)
        (self.work / REPORT_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        self.stat_update("labels", value=len(texts))

    def _labelled(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Return texts, labels of shape (texts,) and which of them are held out, in the order of their hashes."""
        by_label: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for path in sorted(self.corpus.glob("*.parquet")):
            for document in read_documents(path):
                label = document.metadata.get("label")
                if label is not None:
                    key = id_hash(document.id, "split")
                    by_label[int(label)].append((key, document.text[: self.config.max_chars]))
        count = sum(map(len, by_label.values()))
        if count < self.config.min_labels:
            raise UserError(
                f"classifier: {count} labelled documents, too few to train on (min_labels={self.config.min_labels}). "
                "Raise data.scorer.sample, give more input (data.paths), or put the labelling step before this one."
            )
        if len(by_label) == 1:
            raise UserError(
                f"classifier: all {count} labels are {next(iter(by_label))}, so there is nothing to tell apart. Label "
                "a broader sample (data.scorer.sample), give other input, or drop the step (~data.steps.classifier)."
            )
        rows = []
        for label, members in sorted(by_label.items()):
            # a label given once or twice is worth more in training than in the report
            wanted = max(1, round(len(members) * self.config.validation_fraction)) if len(members) > 2 else 0
            rows += [(key, text, label, place < wanted) for place, (key, text) in enumerate(sorted(members))]
        rows.sort()
        _, texts, labels, held_out = zip(*rows, strict=True)
        return list(texts), np.array(labels), np.array(held_out)


class ScoreDocuments(Step):
    """Scores every document with the trained model and passes it on."""

    def __init__(self, work: Path) -> None:
        super().__init__(None)
        self.work = work

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        model = Model.load(self.work)
        for batch in batched(documents, SCORING_BATCH):
            scores = model.predict([document.text for document in batch])
            for document, score, whole in zip(batch, scores, whole_score(scores), strict=True):
                document.metadata["score"] = round(float(score), 6)
                document.metadata["int_score"] = int(whole)
                yield document


def evaluate(labels: np.ndarray, scores: np.ndarray, threshold: int) -> dict[str, Any]:
    """Compare held-out labels with scores, both of shape (documents,).

    Returns:
        ``macro_f1`` over the values that occur, after rounding and clipping (FineWeb-Edu's measure); precision, recall
        and F1 of "at least ``threshold``", None where no document is on one side; ``mean_absolute_error``; the
        confusion matrix, a row per label.
    """
    whole = whole_score(scores)
    good, predicted = labels >= threshold, whole >= threshold
    both = int((good & predicted).sum())
    precision = both / int(predicted.sum()) if predicted.any() else None
    recall = both / int(good.sum()) if good.any() else None
    f1 = 2 * both / int(predicted.sum() + good.sum()) if predicted.any() or good.any() else None
    confusion = np.zeros((len(SCORES), len(SCORES)), dtype=int)
    np.add.at(confusion, (labels, whole), 1)
    occurring = confusion.sum(axis=0) + confusion.sum(axis=1)
    each_f1 = 2 * confusion.diagonal()[occurring > 0] / occurring[occurring > 0]
    return {
        "validation_labels": _histogram(labels),
        "macro_f1": round(float(each_f1.mean()), 4),
        "binary_threshold": threshold,
        "binary_precision": precision,
        "binary_recall": recall,
        "binary_f1": f1,
        "mean_absolute_error": round(float(np.abs(labels - scores).mean()), 4),
        "confusion": confusion.tolist(),
    }


def _histogram(labels: np.ndarray) -> dict[str, int]:
    return {str(value): int(count) for value, count in zip(*np.unique(labels, return_counts=True), strict=True)}
