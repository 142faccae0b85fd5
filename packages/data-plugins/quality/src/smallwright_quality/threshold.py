"""Keep documents by a number in their metadata: by a threshold or by chance."""

from collections.abc import Mapping
from typing import Any

import xxhash
from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document

from smallwright_quality.config import KeepProbabilityConfig, ThresholdConfig


class NoNumberToCompare(TypeError):
    """No number under the key: the step that gives it is missing, or stands after this one."""

    reason = "no number to compare"


def number_of(metadata: Mapping[str, Any], key: str) -> float:
    """Return the number ``metadata[key]``.

    Raises:
        NoNumberToCompare: there is none.
    """
    value = metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NoNumberToCompare(f"metadata[{key!r}] is {value!r}, not a number")
    try:
        return float(value)
    except OverflowError:
        raise NoNumberToCompare(f"metadata[{key!r}] is too large a number") from None


class Threshold(DocumentStep):
    """Reject documents below or above; a document without a number under ``key`` is an error of that document.

    Reasons: ``below the threshold``, ``above the threshold``. Table ``groups``, with ``by``: documents kept of each.
    """

    config: ThresholdConfig

    def process_document(self, document: Document) -> Document:
        config = self.config
        value = number_of(document.metadata, config.key)
        group = str(document.metadata.get(config.by)) if config.by is not None else ""
        minimum = config.minimums.get(group, config.minimum)
        if minimum is not None and not value >= minimum:  # so that NaN counts as below
            raise Rejection("below the threshold")
        if config.maximum is not None and not value <= config.maximum:
            raise Rejection("above the threshold")
        if config.by is not None:
            self.count("groups", group)
        return document


class KeepProbability(DocumentStep):
    """Draw documents with the probability of their score.

    Reasons: ``dropped score``, ``not drawn``. Tables ``scores in`` and ``scores kept``.
    """

    config: KeepProbabilityConfig

    def __init__(self, config: KeepProbabilityConfig) -> None:
        super().__init__(config)
        self.ladder = sorted((float(score), score, share) for score, share in config.probabilities.items())

    def process_document(self, document: Document) -> Document:
        value = number_of(document.metadata, self.config.key)
        reached = [(score, share) for least, score, share in self.ladder if value >= least]
        score, share = reached[-1] if reached else ("lower", 0.0)
        self.count("scores in", score)
        if share == 0:
            raise Rejection("dropped score")
        if self._draw(document) >= share:
            raise Rejection("not drawn")
        self.count("scores kept", score)
        return document

    def _draw(self, document: Document) -> float:
        """Return a number from 0 to 1 that only the seed and the document's id decide; without an id, its text."""
        seed = self.context.seed if self.config.seed is None else self.config.seed
        name = f"keep_probability {seed} {document.id or document.text}".encode("utf-8", "surrogatepass")
        return xxhash.xxh3_64_intdigest(name) / 2**64
