"""Removal of near duplicates: MinHash signatures by rensa, bands and clusters of ours."""

from pathlib import Path

import numpy as np
import rensa
from core.data.steps import CorpusStep, Phase, Step

from smallwright_dedup.clusters import FindClusters, RemoveDuplicates
from smallwright_dedup.config import MinHashConfig
from smallwright_dedup.hashing import hash_ngrams, hash_words, spread
from smallwright_dedup.pairs import FindPairs, Row, Scope, WriteKeys, pair_tasks


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
            "keep": config.keep,
            "scope": config.scope,
            "seed": config.seed,
            "rensa_algorithm": rensa.RMinHash.ALGORITHM_VERSION,
        }
        clusters = FindClusters(corpus, work, about, config.keep, config.seed)
        return [
            Phase(name="signatures", pipeline=[Signatures(config, corpus, work)]),
            Phase(name="pairs", pipeline=[FindPairs(work)], tasks=pair_tasks(corpus, config.bands)),
            Phase(name="clusters", pipeline=[clusters], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return RemoveDuplicates(work, "near duplicate")


class Signatures(WriteKeys):
    """Write one 64-bit key per band: a mix of its ``rows`` 32-bit MinHash values."""

    def __init__(self, config: MinHashConfig, corpus: Path, work: Path) -> None:
        scope = Scope(config.scope, config.scope_pattern)
        super().__init__(corpus, work, scope, lengths=config.keep == "longest")
        self.config = config

    def keys(self, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
        config = self.config
        words, starts = hash_words([row["text"] for row in rows], fold_numbers=config.fold_numbers)
        shingles, shingle_starts = hash_ngrams(words, starts, config.ngram)
        matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
            shingles, shingle_starts.astype(np.uint64), config.bands * config.rows, config.seed
        )
        hashes = np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(rows), config.bands, config.rows)
        keys = mix(hashes)
        lengths = np.diff(starts)
        keys[lengths == 0] = 0
        return keys, lengths


def mix(hashes: np.ndarray) -> np.ndarray:
    """Hash the last axis of uint32 [documents, bands, rows] to uint64 keys [documents, bands], never 0.

    Bands are told apart, so that equal hashes in different bands are no match.
    """
    keys = np.broadcast_to(np.arange(hashes.shape[1], dtype=np.uint64), hashes.shape[:2]).copy()
    for row in range(hashes.shape[2]):
        keys = spread(keys + hashes[:, :, row].astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    keys[keys == 0] = 1
    return keys
