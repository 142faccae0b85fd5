"""Language identification, offline by default."""

import functools
import math
import unicodedata
from pathlib import Path
from typing import Any, cast

from core.data.steps import DocumentStep, Rejection, StepContext
from core.errors import ConfigError, InputError
from datatrove.data import Document

from smallwright_quality.config import LanguageConfig

CANDIDATES = 5

Ranking = list[tuple[str, float]]
"""Languages with their scores, the surest first."""


class Language(DocumentStep):
    """Write ``language`` and ``language_score`` to the metadata; keep the wanted languages with a sure score.

    With ``fasttext`` the score is a probability. ``resiliparse`` gives no probability but the distance of the text's
    n-gram profile to each language's. The score is then the softmax of ``-distance / margin_scale`` over the five
    nearest languages, which says how clearly one language beats the others; it is 0 where the nearest one is further
    than ``max_rank``.

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
        # Neither engine takes lone surrogates, which pages of broken charsets have.
        text = document.text[: config.max_chars].encode("utf-8", "replace").decode("utf-8")
        ranking = self._fasttext(text) if config.backend == "fasttext" else self._resiliparse(text)
        language, score = ranking[0] if ranking else ("unknown", 0.0)
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
        wanted = max(CANDIDATES, self.config.top_k)
        found = detect_fast(unicodedata.normalize("NFC", text), cutoff=self.config.max_rank, n_results=wanted)
        ranked = cast(list[tuple[str, int]], found)  # the library's stub has another type than it returns
        if not ranked:
            return []
        nearest_rank = ranked[0][1]
        weights = [math.exp((nearest_rank - rank) / self.config.margin_scale) for _, rank in ranked]
        total = sum(weights[:CANDIDATES])  # the score must not depend on how many languages are written down
        return [(language, weight / total) for (language, _), weight in zip(ranked, weights, strict=True)]

    def _fasttext(self, text: str) -> Ranking:
        model = load_fasttext(str(self.config.model))
        labels, scores = model.predict(text.replace("\n", " "), k=max(1, self.config.top_k))
        # Sums of rounded probabilities reach 1.00001.
        pairs = zip(labels, scores, strict=True)
        return [(label.removeprefix("__label__"), min(1.0, float(score))) for label, score in pairs]


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
