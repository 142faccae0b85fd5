"""The step ``score_threshold``: keep documents whose score is high enough."""

from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document


class ScoreThreshold(DocumentStep):
    """Rejects documents below ``minimum``. FineMath3+ keeps scores of 3 or more (SmolLM2 §3.3.2)."""

    def process_document(self, document: Document) -> Document:
        score = document.metadata.get(self.config.field)
        if score is None:
            raise Rejection("no score")
        if score < self.config.minimum:
            raise Rejection("score below the minimum")
        return document
