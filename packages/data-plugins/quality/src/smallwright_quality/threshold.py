"""Keep documents by a number in their metadata."""

from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document

from smallwright_quality.config import ThresholdConfig


class NoNumberToCompare(TypeError):
    """No number under the key: the step that gives it is missing, or stands after this one."""


class Threshold(DocumentStep):
    """Reject documents below ``minimum``; a document without a number under ``key`` is an error of that document."""

    config: ThresholdConfig

    def process_document(self, document: Document) -> Document:
        value = document.metadata.get(self.config.key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise NoNumberToCompare(f"metadata[{self.config.key!r}] is {value!r}, not a number")
        if not value >= self.config.minimum:
            raise Rejection("below the threshold")
        return document
