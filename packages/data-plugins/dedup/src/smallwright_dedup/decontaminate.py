"""Removal of documents that hold benchmark items."""

import functools
from pathlib import Path

import numpy as np
from core.data.steps import DocumentStep, Rejection, StepContext
from core.errors import InputError
from datatrove.data import Document

from smallwright_dedup.benchmarks import Item, read_items, resolve
from smallwright_dedup.config import DecontaminateConfig
from smallwright_dedup.words import split_words


class Decontaminate(DocumentStep):
    """Reject documents that share ``ngram`` words in a row with an item and then enough of the rest.

    Reason: ``contaminated``. Metadata: ``contaminated_by`` (``<benchmark>:<item id>``), ``contamination_ratio``,
    ``contamination_match`` (the shared n-gram), for the item with the highest ratio, the first one where equal.
    """

    config: DecontaminateConfig

    def __init__(self, config: DecontaminateConfig) -> None:
        super().__init__(config)
        self._paths: tuple[Path, ...] = ()

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        self._paths = tuple(resolve(name) for name in self.config.against)
        self._index()

    def process_document(self, document: Document) -> Document:
        found = self._index().match(split_words(document.text), self.config.least_ratio, self.config.max_checks)
        if found is not None:
            item, ratio, ngram = found
            document.metadata["contaminated_by"] = item.name
            document.metadata["contamination_ratio"] = round(ratio, 4)
            document.metadata["contamination_match"] = ngram
            raise Rejection("contaminated")
        return document

    def _index(self) -> "ItemIndex":
        paths = self._paths or tuple(resolve(name) for name in self.config.against)
        return load_index(paths, tuple(map(_short_name, self.config.against)), self.config.words_in_a_row)


class TooManyMatches(Exception):
    """A document that matches so many places of so many items that checking them all would take too long."""


class ItemIndex:
    """The n-grams of all item texts, as sorted 64-bit hashes.

    Legend: N n-grams of all texts. Words are numbered; -1 is a word that no item has.
    """

    def __init__(self, items: list[Item], ngram: int) -> None:
        self.ngram = ngram
        self.numbers: dict[str, int] = {}
        self.texts: list[tuple[Item, np.ndarray]] = []
        self.short = 0
        """Number of texts with fewer than ``ngram`` words, which cannot be found."""
        for item in items:
            for text in item.texts:
                words = split_words(text)
                if len(words) < ngram:
                    self.short += 1
                    continue
                ids = [self.numbers.setdefault(word, len(self.numbers)) for word in words]
                self.texts.append((item, np.array(ids, dtype=np.int64)))
        hashes = [self._hash(ids) for _, ids in self.texts]
        hash_N = np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64)
        text_N = np.repeat(np.arange(len(hashes)), [len(row) for row in hashes])
        place_N = np.concatenate([np.arange(len(row)) for row in hashes]) if hashes else np.zeros(0, dtype=np.int64)
        order = np.argsort(hash_N, kind="stable")
        self.hash_N, self.text_N, self.place_N = hash_N[order], text_N[order], place_N[order]

    def match(self, words: list[str], ratio: float, max_checks: int) -> tuple[Item, float, str] | None:
        """Return the best matching item, its ratio and the n-gram that led to it; None below ``ratio``.

        Raises:
            TooManyMatches: more than ``max_checks`` comparisons.
        """
        if len(words) < self.ngram:
            return None
        document = np.fromiter((self.numbers.get(word, -1) for word in words), dtype=np.int64, count=len(words))
        hashes = self._hash(document)
        first = np.searchsorted(self.hash_N, hashes, side="left")
        last = np.searchsorted(self.hash_N, hashes, side="right")
        best: tuple[Item, float, str] | None = None
        checked: dict[int, int] = {}  # item text -> start of the last document window that was compared
        checks = 0
        for position in np.flatnonzero(last > first).tolist():
            for entry in range(int(first[position]), int(last[position])):
                text, place = int(self.text_N[entry]), int(self.place_N[entry])
                item, ids = self.texts[text]
                start = position - place
                # The window reaches half an item further on both sides, so a near alignment was already covered.
                if text in checked and abs(start - checked[text]) <= len(ids) // 4:
                    continue
                gram = slice(position, position + self.ngram)
                if not np.array_equal(document[gram], ids[place : place + self.ngram]):
                    continue
                checked[text] = start
                checks += 1
                if checks > max_checks:
                    raise TooManyMatches(f"more than {max_checks} comparisons")
                slack = len(ids) // 2
                window = document[max(0, start - slack) : start + len(ids) + slack]
                shared = longest_common_subsequence(ids.tolist(), window.tolist())
                found = shared / min(len(ids), len(document))
                if found >= ratio and (best is None or found > best[1]):
                    best = (item, found, " ".join(words[gram]))
        return best

    def _hash(self, ids: np.ndarray) -> np.ndarray:
        """Return polynomial hashes of all n-grams of ``ids``, uint64 [len(ids) - ngram + 1]; arithmetic wraps."""
        if len(ids) < self.ngram:
            return np.zeros(0, dtype=np.uint64)
        values = ids.astype(np.uint64) + np.uint64(2)
        hashes = np.zeros(len(ids) - self.ngram + 1, dtype=np.uint64)
        for offset in range(self.ngram):
            hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + values[offset : offset + len(hashes)]
        return hashes


@functools.lru_cache(maxsize=4)
def load_index(paths: tuple[Path, ...], names: tuple[str, ...], ngram: int) -> ItemIndex:
    """Index the items of ``paths``, once per process: DataTrove copies a step for every shard.

    Raises:
        InputError: a file is no list of items, or none of the items is long enough to be found.
    """
    items = [item for path, name in zip(paths, names, strict=True) for item in read_items(path, name)]
    index = ItemIndex(items, ngram)
    if not index.texts:
        raise InputError(f"against={', '.join(names)}: none of {len(items)} items has {ngram} words; lower ngram.")
    return index


def longest_common_subsequence(a: list[int], b: list[int]) -> int:
    """Length of the longest common subsequence, bit-parallel (Hyyrö 2004): len(b) operations on len(a) bits."""
    where: dict[int, int] = {}
    for place, token in enumerate(a):
        where[token] = where.get(token, 0) | (1 << place)
    mask = (1 << len(a)) - 1
    row = mask
    for token in b:
        matches = row & where.get(token, 0)
        row = ((row + matches) | (row - matches)) & mask
    return len(a) - row.bit_count()


def _short_name(name: str) -> str:
    """Name a benchmark in reports: its registered name, or its file's name without endings."""
    return name.replace(":", "/").rsplit("/", 1)[-1].split(".")[0]
