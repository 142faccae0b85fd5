"""Removal of documents whose text, or URL, was there before."""

import hashlib
from pathlib import Path

import numpy as np
from core.data.steps import CorpusStep, Phase, Step
from datatrove.data import Document

from smallwright_dedup.clusters import FindClusters, RemoveDuplicates, WriteKeys
from smallwright_dedup.config import ExactDedupConfig
from smallwright_dedup.words import split_words


class ExactDedup(CorpusStep):
    """Keep the first of the documents with equal words. Reason: ``exact duplicate``.

    Keys are 64-bit: among 10 million documents, the chance of one wrong removal is 3e-6. A document without a word
    is equal to nothing.
    """

    config: ExactDedupConfig

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        about = {"step": "exact_dedup", "normalize": self.config.normalize, "by_url": self.config.by_url}
        return [
            Phase(name="keys", pipeline=[_ExactKeys(self.config, corpus, work)]),
            Phase(name="clusters", pipeline=[FindClusters(corpus, work, "first", about)], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return RemoveDuplicates(work, "exact duplicate")


class _ExactKeys(WriteKeys):
    def __init__(self, config: ExactDedupConfig, corpus: Path, work: Path) -> None:
        super().__init__(corpus, work)
        self.config = config

    def keys(self, documents: list[Document]) -> tuple[np.ndarray, np.ndarray]:
        bands = 2 if self.config.by_url else 1
        keys = np.zeros((len(documents), bands), dtype=np.uint64)
        lengths = np.zeros(len(documents), dtype=np.int64)
        for row, document in enumerate(documents):
            words = split_words(document.text)
            lengths[row] = len(words)
            text = " ".join(words) if self.config.normalize else document.text
            keys[row, 0] = _key(text) if words or not self.config.normalize else 0
            if self.config.by_url:
                keys[row, 1] = _key(document.metadata.get("url") or "")
        return keys, lengths


def _key(text: str) -> int:
    """Return 64 bits of ``text``, 0 only for no text."""
    if not text:
        return 0
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1
