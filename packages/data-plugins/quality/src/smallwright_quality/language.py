"""Language identification, offline by default."""

import functools
import math
import unicodedata
from pathlib import Path
from typing import Any, cast

from core.data.steps import DocumentStep, Rejection, StepContext
from core.errors import ConfigError, InputError, nearest
from datatrove.data import Document

from smallwright_quality.config import LanguageConfig

CANDIDATES = 5


class Language(DocumentStep):
    """Write ``language`` and ``language_score`` to the metadata; keep the wanted languages with a sure score.

    The score of ``resiliparse`` is no probability of its own: the library gives the distance of the text's n-gram
    profile to each language's. The score here is the softmax of ``-distance / margin_scale`` over the five nearest
    languages, 0 where the nearest is further than ``max_rank``: it says how clearly one language beats the others.
    """

    config: LanguageConfig

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        if self.config.backend == "resiliparse":
            from resiliparse.parse.lang import supported_langs

            known = supported_langs()
            for code in self.config.languages:
                if code not in known:
                    key = f"data.steps.{context.label}.languages"
                    raise ConfigError(f"{key}: {code!r} is unknown to resiliparse.{nearest(code, known)}")
        else:
            load_fasttext(str(self.config.model))

    def process_document(self, document: Document) -> Document:
        text = document.text[: self.config.max_chars]
        language, score = self._fasttext(text) if self.config.backend == "fasttext" else self._resiliparse(text)
        document.metadata["language"] = language
        document.metadata["language_score"] = round(score, 4)
        if language not in self.config.languages or score < self.config.threshold:
            raise Rejection("language")
        return document

    def _resiliparse(self, text: str) -> tuple[str, float]:
        from resiliparse.parse.lang import detect_fast

        if not any(map(str.isalpha, text)):
            return "unknown", 0.0
        found = detect_fast(unicodedata.normalize("NFC", text), cutoff=self.config.max_rank, n_results=CANDIDATES)
        if not found:
            return "unknown", 0.0
        ranked = cast(list[tuple[str, int]], found)  # the library's stub has another type than it returns
        language, nearest_rank = ranked[0]
        return language, 1.0 / sum(math.exp((nearest_rank - rank) / self.config.margin_scale) for _, rank in ranked)

    def _fasttext(self, text: str) -> tuple[str, float]:
        labels, scores = load_fasttext(str(self.config.model)).predict(text.replace("\n", " "), k=1)
        return (labels[0].removeprefix("__label__"), float(scores[0])) if labels else ("unknown", 0.0)


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
