"""Language identification, offline by default."""

import functools
import math
import string
import unicodedata
from pathlib import Path
from typing import Any, cast

from core.data.steps import DocumentStep, Rejection, StepContext
from core.errors import ConfigError, InputError
from datatrove.data import Document

from smallwright_quality.config import LanguageConfig

CANDIDATES = 5
UNKNOWN = "unknown"
SHORT_TEXT = 400
"""Characters. Of pieces of 80 to 200 characters of English pages, one in twenty was surely another language before the
score took their length into account, and one in two hundred is now."""
SURE = 0.65
"""Score from which the language of a short text is named: FineWeb's threshold (section 3.3)."""
MANY_CAPITALS = 0.08
"""Share of characters; English and German prose has up to 0.06."""
_CAPITALS = string.ascii_uppercase.encode()
FURTHER = 400
"""Distance beyond ``max_rank`` in which other languages count for the score of a short text: all of them are far."""

Ranking = list[tuple[str, float]]
"""Languages with their scores, the surest first."""


class Language(DocumentStep):
    """Write ``language`` and ``language_score`` to the metadata; keep the wanted languages with a sure score.

    With ``fasttext`` the score is a probability. ``resiliparse`` gives no probability but the distance of the text's
    n-gram profile to each language's; text in capitals is put into small letters before. The score is then the softmax
    of ``-distance / margin_scale`` over the five nearest languages, which says how clearly one language beats the
    others; it is 0 where the nearest one is further than ``max_rank``. Distances of a text shorter than
    :data:`SHORT_TEXT` are chance in part, so the scale grows as the text shrinks; where none is sure then, the language
    is ``unknown``.

    Reasons: ``language`` (another one, or none that is known), ``language score``. Table ``languages``: the language of
    every document, kept or not.
    """

    config: LanguageConfig

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        if self.config.backend == "fasttext":
            load_fasttext(str(self.config.model))
            return
        self.config.check_codes(f"data.steps.{context.label}")

    def process_document(self, document: Document) -> Document:
        config = self.config
        text = document.text[: config.max_chars]
        ranking = self._fasttext(text) if config.backend == "fasttext" else self._resiliparse(text)
        language, score = ranking[0] if ranking else (UNKNOWN, 0.0)
        if config.backend == "resiliparse" and len(text) < SHORT_TEXT and score < SURE:
            language = UNKNOWN
        document.metadata["language"] = language
        document.metadata["language_score"] = round(score, 4)
        if config.top_k:
            document.metadata["languages"] = {name: round(value, 4) for name, value in ranking[: config.top_k]}
        self.count("languages", language)
        if config.languages is not None and language not in config.languages:
            raise Rejection("language")
        if config.languages is not None and config.threshold is not None and score < config.threshold:
            raise Rejection("language score")
        return document

    def _resiliparse(self, text: str) -> Ranking:
        from resiliparse.parse.lang import detect_fast

        if not any(map(str.isalpha, text)):
            return []
        config = self.config
        wanted = max(CANDIDATES, config.top_k)
        short = len(text) < SHORT_TEXT
        cutoff = config.max_rank + (FURTHER if short else 0)
        found = detect_fast(_in_small_letters(text), cutoff=cutoff, n_results=wanted)
        ranked = cast(list[tuple[str, int]], found)  # the library's stub has another type than it returns
        if not ranked or ranked[0][1] > config.max_rank:
            return []
        nearest_rank = ranked[0][1]
        scale = config.margin_scale * (SHORT_TEXT / len(text) if short else 1.0)
        weights = [math.exp((nearest_rank - rank) / scale) for _, rank in ranked]
        total = sum(weights[:CANDIDATES])  # the score must not depend on how many languages are written down
        pairs = zip(ranked, weights, strict=True)
        return [(language, weight / total) for (language, rank), weight in pairs if rank <= config.max_rank]

    def _fasttext(self, text: str) -> Ranking:
        model = load_fasttext(str(self.config.model))
        line = _encodable(text)[0].replace("\n", " ")
        labels, scores = model.predict(line, k=max(1, self.config.top_k))
        # Sums of rounded probabilities reach 1.00001.
        pairs = zip(labels, scores, strict=True)
        return [(label.removeprefix("__label__"), min(1.0, float(score))) for label, score in pairs]


def _encodable(text: str) -> tuple[str, bytes]:
    """Return ``text`` and its UTF-8, without lone surrogates: neither engine takes them, and broken pages have some."""
    try:
        return text, text.encode("utf-8")
    except UnicodeEncodeError:
        encoded = text.encode("utf-8", "replace")
        return encoded.decode("utf-8"), encoded


def _in_small_letters(text: str) -> str:
    """Return ``text`` in NFC, and in small letters where it has many capitals: the profiles of languages have few."""
    text, encoded = _encodable(text)
    if len(encoded) <= 1.2 * len(text):  # a Latin script: its capitals are bytes, which are counted in no time
        sample = encoded[:: 1 + len(encoded) // 1000]
        capitals, letters = len(sample) - len(sample.translate(None, _CAPITALS)), len(sample)
    else:
        capitals, letters = sum(map(str.isupper, text[:SHORT_TEXT])), len(text[:SHORT_TEXT])
    return unicodedata.normalize("NFC", text.lower() if capitals > MANY_CAPITALS * letters else text)


@functools.lru_cache(maxsize=2)
def load_fasttext(path: str) -> Any:
    """Load a fastText model once per process: it can neither be pickled nor cheaply loaded for every shard.

    Raises:
        ConfigError: fastText is not installed.
        InputError: no such file, or not a model.
    """
    try:
        import fasttext
    except ImportError:
        raise ConfigError(
            "backend=fasttext: install it with: pip install 'smallwright-data-quality[fasttext]'"
        ) from None
    if not Path(path).is_file():
        raise InputError(f"model={path}: no such file; lid.176.bin comes from https://fasttext.cc.")
    try:
        return fasttext.load_model(path)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"model={path}: not a fastText model ({error}).") from None
