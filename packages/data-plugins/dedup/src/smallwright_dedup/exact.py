"""Removal of documents whose text, or URL, was there before."""

import hashlib
from pathlib import Path

import numpy as np
from core.data.steps import CorpusStep, Phase, Step
from core.data.words import split_words

from smallwright_dedup.clusters import FindClusters, RemoveDuplicates
from smallwright_dedup.config import ExactDedupConfig
from smallwright_dedup.pairs import FindPairs, Row, Scope, WriteKeys, pair_tasks


class ExactDedup(CorpusStep):
    """Keep the first of the documents with equal words, with equal URLs, or both. Reason: ``exact duplicate``.

    Keys are 64-bit: among 10 million documents, the chance of one wrong removal is 3e-6. A document without a word
    is equal to nothing by its text, and one without URL to nothing by its URL.
    """

    config: ExactDedupConfig

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        config = self.config
        about = {
            "step": "exact_dedup",
            "normalize": config.normalize,
            "by_text": config.by_text,
            "by_url": config.by_url,
            "scope": config.scope,
        }
        return [
            Phase(name="keys", pipeline=[_ExactKeys(config, corpus, work)]),
            Phase(name="pairs", pipeline=[FindPairs(work)], tasks=pair_tasks(corpus, 2)),
            Phase(name="clusters", pipeline=[FindClusters(corpus, work, about)], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return RemoveDuplicates(work, "exact duplicate")


class _ExactKeys(WriteKeys):
    def __init__(self, config: ExactDedupConfig, corpus: Path, work: Path) -> None:
        super().__init__(corpus, work, Scope(config.scope, config.scope_pattern))
        self.config = config

    def keys(self, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
        bands = []
        if self.config.by_text:
            bands.append([self._text_key(row["text"]) for row in rows])
        if self.config.by_url:
            bands.append([_key("url", row["url"] or "") for row in rows])
        return np.array(bands, dtype=np.uint64).T, np.zeros(len(rows), dtype=np.int64)

    def _text_key(self, text: str) -> int:
        return _key("text", " ".join(split_words(text)) if self.config.normalize else text)


def _key(kind: str, text: str) -> int:
    """Return 64 bits of ``text``, 0 only for no text."""
    if not text:
        return 0
    content = text.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(content, digest_size=8, person=kind.encode()).digest()
    return int.from_bytes(digest, "little") or 1
