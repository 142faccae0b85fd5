"""Pairs of documents that share a key, found in bounded memory from keys on disk.

Every file of the corpus is read in stretches of :data:`RUN` documents. A stretch becomes a sorted run of keys on disk,
each key once: documents of one run that share a key are paired at once. Then the range of keys is split between tasks;
each reads its part of all runs, some :data:`BLOCK` keys at a time, and pairs the documents of different runs. Memory
depends on these two numbers only: not on the size of the corpus, and not on how often a key comes, because each run
has it once.
"""

import collections
import dataclasses
import json
import re
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from core.data.steps import CorpusPass
from core.writing import write_json

from smallwright_dedup.files import corpus_files, number, save_array
from smallwright_dedup.hashing import hash_text

RUN = 20_000
"""Documents of a sorted run; with 14 bands, a run holds 3 MB of keys."""
BLOCK = 500_000
"""Keys that a task pairs at a time."""
KEYS_PER_TASK = 2_000_000
"""Decides how many tasks share the range of keys. The pairs found do not depend on it."""
_READ = 500  # documents read from Parquet at a time

SCOPES_COUNTED = 1000
"""Scopes of a file that are counted for the report; documents of others count together."""

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Scope:
    """What documents must agree in to be duplicates: a value of their metadata, or what a pattern finds in it."""

    key: str | None = None
    """Metadata key, or ``url``; None: nothing."""
    pattern: str | None = None
    """Regular expression; its first group, or the whole match, is the scope. No match counts as an empty one."""

    def of(self, row: Row) -> str:
        """Return the scope of a document; empty where it has none."""
        value = row["url"] if self.key == "url" else json.loads(row["metadata"] or "{}").get(self.key)
        text = "" if value is None else str(value)
        if self.pattern is None:
            return text
        found = re.search(self.pattern, text)
        return (found[1] if found.re.groups else found[0]) or "" if found else ""


class WriteKeys(CorpusPass):
    """Write the sorted runs of keys of this rank's files, and what else later phases need of each document.

    Writes to the work folder ``keys/<file>-<run>.npy`` uint64 sorted, ``rows/<file>-<run>.npy`` uint32,
    ``pairs/run-<file>-<run>.npy`` int64 [2, pairs], ``documents/<file>.json`` with the number of documents, and
    ``lengths/<file>.npy``.

    Args:
        scope: What documents must agree in to be duplicates.
        lengths: Also write ``lengths/<file>.npy``, the words of each document, uint32.
    """

    def __init__(self, corpus: Path, work: Path, scope: Scope, lengths: bool = False) -> None:
        super().__init__()
        self.corpus = corpus
        self.work = work
        self.scope = scope
        self.lengths = lengths

    @abstractmethod
    def keys(self, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
        """Return keys as uint64 [documents, bands], 0 for none, and numbers of words as int64 [documents].

        Args:
            rows: ``text``, ``url`` and, with a scope, ``metadata`` (JSON) of each document.
        """

    def run_rank(self, rank: int, world_size: int) -> None:
        for file, path in list(enumerate(corpus_files(self.corpus)))[rank::world_size]:
            documents, lengths = 0, []
            scopes: collections.Counter[str] = collections.Counter()
            for run, batches in enumerate(self._runs(path, scopes)):
                keys = np.concatenate([keys for keys, _ in batches])
                self._write_run(file, run, documents, keys)
                documents += len(keys)
                if self.lengths:
                    lengths += [counts.astype(np.uint32) for _, counts in batches]
            if self.lengths:
                counted = np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.uint32)
                save_array(self.work / "lengths" / f"{file:06d}.npy", counted)
            about = {"file": path.name, "documents": documents, "scopes": dict(scopes)}
            write_json(self.work / "documents" / f"{file:06d}.json", about)
            self.stat_update("documents", value=documents)

    def _runs(self, path: Path, counts: collections.Counter[str]) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
        columns = ["text", "url", *(["metadata"] if self.scope.key is not None else [])]
        batches: list[tuple[np.ndarray, np.ndarray]] = []
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_READ, columns=columns):
                rows = batch.to_pylist()
                keys, lengths = self.keys(rows)
                if self.scope.key is not None:
                    scopes = [self.scope.of(row) for row in rows]
                    for scope in scopes:
                        counts[scope if scope in counts or len(counts) < SCOPES_COUNTED else "(other)"] += 1
                    hashes = np.array([hash_text(scope) for scope in scopes], dtype=np.uint64)
                    keys = np.where(keys == 0, keys, np.maximum(keys ^ hashes[:, None], np.uint64(1)))
                batches.append((keys, lengths))
                if len(batches) * _READ >= RUN:
                    yield batches
                    batches = []
        if batches:
            yield batches

    def _write_run(self, file: int, run: int, first_row: int, keys: np.ndarray) -> None:
        documents, bands = keys.shape
        flat = keys.ravel()
        rows = np.repeat(np.arange(first_row, first_row + documents, dtype=np.uint32), bands)
        flat, rows = flat[flat != 0], rows[flat != 0]
        order = np.argsort(flat, kind="stable")
        flat, rows = flat[order], rows[order]
        first, pairs = _first_and_pairs(flat, number(file, rows))
        save_array(self.work / "keys" / f"{file:06d}-{run:06d}.npy", flat[first])
        save_array(self.work / "rows" / f"{file:06d}-{run:06d}.npy", rows[first])
        save_array(self.work / "pairs" / f"run-{file:06d}-{run:06d}.npy", pairs)


class FindPairs(CorpusPass):
    """Pair the documents of different runs that share a key: task r of n looks at the r-th part of the range of keys.

    Writes to the work folder ``pairs/part-<task>-<block>.npy`` int64 [2, pairs]: the first document with the key, and
    another.
    """

    def __init__(self, work: Path) -> None:
        super().__init__()
        self.work = work

    def run_rank(self, rank: int, world_size: int) -> None:
        runs = sorted(path.name for path in (self.work / "keys").glob("*.npy"))
        low, high = ((part << 64) // world_size for part in (rank, rank + 1))
        total = sum(end - start for _, start, end in self._slices(runs, low, high))
        blocks = max(1, -(-total // BLOCK))
        for block in range(blocks):
            keys, numbers = [], []
            bounds = (low + (high - low) * part // blocks for part in (block, block + 1))
            for run, start, end in self._slices(runs, *bounds):
                keys.append(np.array(np.load(self.work / "keys" / run, mmap_mode="r")[start:end]))
                rows = np.load(self.work / "rows" / run, mmap_mode="r")[start:end]
                numbers.append(number(int(run.partition("-")[0]), rows))
            merged = np.concatenate(keys) if keys else np.zeros(0, dtype=np.uint64)
            order = np.argsort(merged, kind="stable")  # runs come in order, so the first of a group is the earliest
            ordered = (np.concatenate(numbers) if numbers else np.zeros(0, dtype=np.int64))[order]
            _, pairs = _first_and_pairs(merged[order], ordered)
            save_array(self.work / "pairs" / f"part-{rank:04d}-{block:06d}.npy", pairs)

    def _slices(self, runs: list[str], low: int, high: int) -> Iterator[tuple[str, int, int]]:
        for run in runs:
            keys = np.load(self.work / "keys" / run, mmap_mode="r")
            start = int(np.searchsorted(keys, np.uint64(low)))
            end = int(np.searchsorted(keys, np.uint64(high))) if high < 1 << 64 else len(keys)
            if end > start:
                yield run, start, end


def pair_tasks(corpus: Path, bands: int) -> int:
    """Return the number of tasks for :class:`FindPairs`, which only the size of the corpus decides."""
    documents = sum(pq.read_metadata(path).num_rows for path in corpus_files(corpus))
    return max(1, -(-documents * bands // KEYS_PER_TASK))


def read_pairs(work: Path, at_once: int) -> Iterator[np.ndarray]:
    """Yield all pairs, int64 [2, pairs], in pieces of about ``at_once``, in an order that only the corpus decides."""
    pieces: list[np.ndarray] = []
    size = 0
    for path in sorted((work / "pairs").glob("*.npy")):
        pieces.append(np.load(path))
        size += pieces[-1].shape[1]
        if size >= at_once:
            yield np.concatenate(pieces, axis=1)
            pieces, size = [], 0
    if pieces:
        yield np.concatenate(pieces, axis=1)


def _first_and_pairs(keys: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Given sorted keys, return the places of the first of each, and [first, other] of the documents that share one."""
    new = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    first = np.flatnonzero(new)
    leaders = np.repeat(numbers[first], np.diff(first, append=len(keys)))
    return first, distinct_pairs(np.stack([leaders[~new], numbers[~new]]))


def distinct_pairs(pairs: np.ndarray) -> np.ndarray:
    """Return each pair once, sorted, without pairs of a document with itself: int64 [2, pairs]."""
    pairs = pairs[:, pairs[0] != pairs[1]]
    pairs = pairs[:, np.lexsort((pairs[1], pairs[0]))]
    new = np.ones(pairs.shape[1], dtype=bool)
    new[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    return pairs[:, new]
