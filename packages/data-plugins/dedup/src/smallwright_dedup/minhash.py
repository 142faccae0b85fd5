"""Removal of near duplicates: MinHash signatures by rensa, bands and clusters of ours."""

from pathlib import Path

import numpy as np
import rensa
from core.data.steps import CorpusStep, Phase, Step
from datatrove.data import Document

from smallwright_dedup.clusters import FindClusters, RemoveDuplicates, WriteKeys
from smallwright_dedup.config import MinHashConfig
from smallwright_dedup.words import split_words


class MinHash(CorpusStep):
    """Keep one document of each cluster of near duplicates. Reason: ``near duplicate``.

    Documents that agree in all hashes of any band are in one cluster, and so are the documents of clusters that
    share one (FineWeb's rule: no pair is compared again). Metadata ``duplicate_of`` of a rejected document is the id
    of the kept one. A document without a word is equal to nothing.
    """

    config: MinHashConfig

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        config = self.config
        about = {
            "step": "minhash",
            "bands": config.bands,
            "rows": config.rows,
            "ngram": config.ngram,
            "seed": config.seed,
            "rensa_algorithm": rensa.RMinHash.ALGORITHM_VERSION,
        }
        return [
            Phase(name="signatures", pipeline=[Signatures(config, corpus, work)]),
            Phase(name="clusters", pipeline=[FindClusters(corpus, work, config.keep, about)], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return RemoveDuplicates(work, "near duplicate")


class Signatures(WriteKeys):
    """Write one 64-bit key per band: a mix of its ``rows`` 32-bit MinHash values."""

    name = "signatures"

    def __init__(self, config: MinHashConfig, corpus: Path, work: Path) -> None:
        super().__init__(corpus, work)
        self.config = config

    def keys(self, documents: list[Document]) -> tuple[np.ndarray, np.ndarray]:
        config = self.config
        words = [split_words(document.text, fold_numbers=config.fold_numbers) for document in documents]
        shingles = [word_ngrams(document_words, config.ngram) for document_words in words]
        digests = rensa.RMinHash.digests_from_token_sets(shingles, config.bands * config.rows, config.seed)
        hashes = np.array(digests, dtype=np.uint32).reshape(len(documents), config.bands, config.rows)
        keys = mix(hashes)
        lengths = np.array([len(document_words) for document_words in words], dtype=np.int64)
        keys[lengths == 0] = 0
        return keys, lengths


def word_ngrams(words: list[str], n: int) -> list[str]:
    """Return the word n-grams; a document shorter than that is one shingle as a whole."""
    return [" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))]


def mix(hashes: np.ndarray) -> np.ndarray:
    """Hash the last axis of uint32 [documents, bands, rows] to uint64 keys [documents, bands], never 0."""
    keys = np.zeros(hashes.shape[:2], dtype=np.uint64)
    for row in range(hashes.shape[2]):
        # The finalizer of SplitMix64 after each value: order matters and every bit spreads; arithmetic wraps.
        keys += hashes[:, :, row].astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys ^= keys >> np.uint64(31)
    keys[keys == 0] = 1
    return keys
