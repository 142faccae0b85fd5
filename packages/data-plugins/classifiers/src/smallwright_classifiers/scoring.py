"""The pass behind the training: every document gets its score."""

from collections.abc import Iterable, Iterator

import numpy as np
from core.data.steps import Step
from datatrove.data import Document

from smallwright_classifiers.evaluation import whole_score
from smallwright_classifiers.model import COMMON, Kind, Trained

SCORING_BATCH = 1024
SCORING_CHARACTERS = 16_000_000
DECIMALS = 6


class ScoreDocuments(Step):
    """Scores every document with a trained classifier and passes it on, some hundreds at a time.

    Args:
        kind: Its kind, with the settings of the step.
        classifier: Its folder, or what the kind opens beside that.
    """

    def __init__(self, kind: Kind, classifier: str) -> None:
        super().__init__(kind.config)
        self.kind, self.classifier = kind, classifier

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        trained = Trained(self.kind, self.classifier)
        key, by, longest = self.config.key, self.config.by, self.config.max_chars
        for batch in _batches(documents):
            models = [trained.model(document.metadata.get(by)) if by else COMMON for document in batch]
            scores = trained.scorer.predict([document.text[:longest] for document in batch], models)
            scores = np.round(scores, DECIMALS)
            finite = np.isfinite(scores)
            whole = whole_score(np.where(finite, scores, 0), trained.scale)
            for place, document in enumerate(batch):
                if not finite[place]:
                    self.fail(document, "score is not a number")
                    continue
                document.metadata[key] = float(scores[place])
                document.metadata[f"int_{key}"] = int(whole[place])
                self.count(f"int_{key}", str(whole[place]))
                if by is not None:
                    self.count("classifier", "common" if models[place] == COMMON else str(document.metadata[by]))
                yield document


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Group documents, so that neither many nor long ones take much memory."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document.text)
        if len(batch) == SCORING_BATCH or characters >= SCORING_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
