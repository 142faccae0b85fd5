"""Removal of paragraphs and documents whose n-grams were seen before, as DCLM's Bloom filter does it (BFF).

DCLM (arXiv 2406.11794, section 4.3 and the appendix on deduplication; code: mlfoundations/dclm, ``dedup/bff``) runs
many threads over one filter, on files in random order, so that two runs differ; large corpora are split into shards,
each with a filter of its own. Here one task goes through its files in order, so that a run gives the same documents
again; with ``shards: n``, n tasks work in parallel, the r-th on every n-th file.

Differences to BFF: words are runs of letters, digits and underscores with their marks, and every other sign that is not
white space counts by itself (BFF: Unicode word boundaries, which keep ``don't`` and ``3.14`` together).
"""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from core.data.steps import CorpusPass, CorpusStep, Phase, Step, StepContext
from core.errors import InputError
from core.writing import replacing, write_json
from datatrove.data import Document

from smallwright_dedup.config import BloomDedupConfig
from smallwright_dedup.files import corpus_files
from smallwright_dedup.hashing import hash_ngrams, hash_words, spread

_READ = 100  # documents read from Parquet at a time


class BloomFilter:
    """A set of 64-bit hashes in little memory: it finds all that was added, and now and then what was not.

    Args:
        expected: Number of hashes that it is made for.
        false_positive_rate: Share of look-ups that find a hash which was never added, once ``expected`` were.
    """

    def __init__(self, expected: int, false_positive_rate: float) -> None:
        self.bits = filter_bits(expected, false_positive_rate)
        self.hashers = max(1, math.ceil(self.bits / expected * math.log(2)))
        self._bytes = np.zeros(self.bits // 8, dtype=np.uint8)

    def contains(self, hashes: np.ndarray) -> np.ndarray:
        """Return which of uint64 [n] are in the set: bool [n]."""
        return self.contains_at(self.places(hashes))

    def add(self, hashes: np.ndarray) -> None:
        """Put uint64 [n] into the set."""
        self.add_at(self.places(hashes))

    def places(self, hashes: np.ndarray) -> np.ndarray:
        """Return the bits of uint64 [n], by double hashing (Kirsch and Mitzenmacher 2006): uint64 [hashers, n]."""
        step = spread(hashes + np.uint64(1)) | np.uint64(1)
        return (hashes + np.arange(self.hashers, dtype=np.uint64)[:, None] * step) % np.uint64(self.bits)

    def contains_at(self, places: np.ndarray) -> np.ndarray:
        """Return for which n all bits are set: bool [n]."""
        return ((self._bytes[places >> np.uint64(3)] & self._masks(places)) != 0).all(axis=0)

    def add_at(self, places: np.ndarray) -> None:
        """Set the bits."""
        places = places.ravel()
        while len(places):  # the assignment keeps one bit a byte: go on with those that another bit overwrote
            masks = self._masks(places)
            spots = places >> np.uint64(3)
            self._bytes[spots] |= masks
            places = places[(self._bytes[spots] & masks) == 0]

    @staticmethod
    def _masks(places: np.ndarray) -> np.ndarray:
        return np.left_shift(np.uint8(1), (places & np.uint64(7)).astype(np.uint8))

    def share_set(self) -> float:
        """Return the share of bits that are set; to the power of ``hashers``, it is the false positive rate."""
        counts = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)
        ones = sum(int(counts[part].sum()) for part in np.array_split(self._bytes, max(1, len(self._bytes) >> 24)))
        return ones / self.bits


def filter_bits(expected: int, false_positive_rate: float) -> int:
    """Return the size of a Bloom filter, a multiple of 64: -n ln(p) / ln(2)^2 bits."""
    return -(-math.ceil(-expected * math.log(false_positive_rate) / math.log(2) ** 2) // 64) * 64


class BloomDedup(CorpusStep):
    """Remove lines, or documents, most of whose n-grams came before. Reason: ``seen before``.

    Lines that go are cut out of the text, and counted in the table ``bloom``. A document of which nothing is left is
    rejected. A document's own earlier lines count as seen, as in BFF. Memory: the filter, 1.2 bytes an expected n-gram
    at a false positive rate of 0.01, in each of ``shards`` tasks.
    """

    config: BloomDedupConfig

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        size = filter_bits(self.config.expected_ngrams, self.config.false_positive_rate) // 8
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if size > 0.9 * memory:
            raise InputError(
                f"data.steps.{context.label}.expected_ngrams={self.config.expected_ngrams}: the filter needs "
                f"{size / 1e9:.1f} GB, this machine has {memory / 1e9:.1f}. Raise false_positive_rate, or split the "
                "corpus with shards."
            )

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        assert self.context is not None
        shards = min(self.config.shards, max(1, len(corpus_files(corpus))))
        report = f"{self.context.label}.report.json"
        return [
            Phase(name="filter", pipeline=[_Filter(self.config, corpus, work)], tasks=shards),
            Phase(name="report", pipeline=[_Report(self.config, work, report)], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return _CutOut(work)


class _Filter(CorpusPass):
    """Write what is to be removed from this rank's files, which it reads in order.

    ``cuts/<file>.jsonl`` has a line for each document that loses something: its row, and the numbers of its lines to
    remove, or null for all of them.
    """

    def __init__(self, config: BloomDedupConfig, corpus: Path, work: Path) -> None:
        super().__init__()
        self.config = config
        self.corpus = corpus
        self.work = work

    def run_rank(self, rank: int, world_size: int) -> None:
        bloom = BloomFilter(self.config.expected_ngrams, self.config.false_positive_rate)
        counts = {"documents": 0, "ngrams_added": 0}
        for file, path in list(enumerate(corpus_files(self.corpus)))[rank::world_size]:
            target = self.work / "cuts" / f"{file:06d}.jsonl"
            with replacing(target) as partial, partial.open("w") as cuts, pq.ParquetFile(path) as parquet:
                row = 0
                for batch in parquet.iter_batches(batch_size=_READ, columns=["text"]):
                    texts = batch.column("text").to_pylist()
                    for hashes, starts, counted in hash_lines(texts, self.config):
                        gone, added = judge(hashes, starts, counted, bloom, self.config)
                        if gone is None or gone:
                            cuts.write(json.dumps([row, gone]) + "\n")
                        counts["ngrams_added"] += added
                        row += 1
                counts["documents"] += row
            write_json(self.work / "documents" / f"{file:06d}.json", {"file": path.name, "documents": row})
        share = bloom.share_set()
        filled = {"bytes": bloom.bits // 8, "hashers": bloom.hashers, "share_set": round(share, 6)}
        counts_and_rate = {**counts, **filled, "false_positive_rate": float(f"{share**bloom.hashers:.3g}")}
        write_json(self.work / "filters" / f"{rank:06d}.json", counts_and_rate)


def hash_lines(texts: list[str], config: BloomDedupConfig) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield three arrays for each text; with ``remove: document`` a text has one line.

    Yields:
        Hashes of its n-grams, uint64 [n]; where those of each line begin, and where the last line's end,
        int64 [lines + 1]; which lines are long enough to be looked at, bool [lines].
    """
    lines = [[text] if config.remove == "document" else text.split("\n") for text in texts]
    words, starts = hash_words([line for text in lines for line in text], verbatim=True)
    hashes, ngram_starts = hash_ngrams(words, starts, config.ngram)
    # A line with fewer than ``ngram`` words has one n-gram, of all its words; below ``min_ngram`` it does not count.
    counted = np.diff(starts) >= config.min_ngram
    first = 0
    for count in map(len, lines):
        own = ngram_starts[first : first + count + 1]
        yield hashes[own[0] : own[-1]], own - own[0], counted[first : first + count]
        first += count


def judge(
    hashes: np.ndarray, ngram_starts: np.ndarray, counted: np.ndarray, bloom: BloomFilter, config: BloomDedupConfig
) -> tuple[list[int] | None, int]:
    """Decide on the lines of one document (see :func:`hash_lines`), and remember the n-grams of those that stay.

    Returns:
        The numbers of the lines that go, or None when the whole document goes; and how many n-grams were added.
    """
    places = bloom.places(hashes)
    seen = bloom.contains_at(places)
    looked_for = hashes[np.repeat(counted, np.diff(ngram_starts))]
    own_repeats = len(np.unique(looked_for)) < len(looked_for)
    gone: list[int] = []
    stay: list[np.ndarray] = []
    total = total_seen = added = 0
    for line in np.flatnonzero(counted).tolist():
        here = slice(ngram_starts[line], ngram_starts[line + 1])
        found = seen[here]
        if own_repeats:  # an n-gram of this line may have been added with an earlier line of the document
            found = bloom.contains_at(places[:, here])
        total += len(found)
        total_seen += int(found.sum())
        if found.sum() / len(found) > config.threshold:
            gone.append(line)
        elif own_repeats:
            bloom.add_at(places[:, here])
            added += len(found)
        else:
            stay.append(places[:, here])
            added += len(found)
    if stay:
        bloom.add_at(np.concatenate(stay, axis=1))
    everything = config.remove == "both" and total > 0 and total_seen / total > config.threshold
    alone = config.remove == "document" and bool(gone)
    return (None if everything or alone else gone), added


class _Report(CorpusPass):
    def __init__(self, config: BloomDedupConfig, work: Path, file: str) -> None:
        super().__init__()
        self.config = config
        self.work = work
        self.file = file

    def run_rank(self, rank: int, world_size: int) -> None:
        shards = [json.loads(path.read_text()) for path in sorted((self.work / "filters").glob("*.json"))]
        added = [shard["ngrams_added"] for shard in shards]
        report: dict[str, Any] = {
            "step": "bloom_dedup",
            "remove": self.config.remove,
            "ngram": self.config.ngram,
            "threshold": self.config.threshold,
            "expected_ngrams": self.config.expected_ngrams,
            "documents": sum(shard["documents"] for shard in shards),
            "ngrams_added": sum(added),
            "overfull": max(added, default=0) > self.config.expected_ngrams,
            "filters": shards,
        }
        write_json(self.work / self.file, report)


class _CutOut(Step):
    """Apply what :class:`_Filter` wrote."""

    def __init__(self, work: Path) -> None:
        super().__init__(None)
        self.work = work

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        for path in sorted((self.work / "cuts").glob("*.jsonl"))[rank::world_size]:
            count = json.loads((self.work / "documents" / f"{path.stem}.json").read_text())["documents"]
            with path.open() as file:
                cuts = map(json.loads, file)
                next_row, gone = next(cuts, (None, None))
                for row in range(count):
                    document = next(documents, None)
                    assert document is not None, f"{path.stem}: the filter knows more documents than came"
                    if row != next_row:
                        yield document
                        continue
                    if self._cut(document, gone):
                        yield document
                    else:
                        self.reject(document, "seen before")
                    next_row, gone = next(cuts, (None, None))
        assert next(documents, None) is None, "documents came that the filter does not know"

    def _cut(self, document: Document, gone: list[int] | None) -> bool:
        """Take lines out of a document; False when nothing is left. Its text then stays, to be looked at."""
        lines = document.text.split("\n")
        away = set(gone or ())
        left = [] if gone is None else [line for place, line in enumerate(lines) if place not in away]
        text = "\n".join(left)
        self.count("bloom", "lines removed", len(lines) - len(left))
        self.count("bloom", "characters removed", len(document.text) - len(text))
        if not text.strip():
            return False
        self.count("bloom", "documents cut")
        document.text = text
        return True
