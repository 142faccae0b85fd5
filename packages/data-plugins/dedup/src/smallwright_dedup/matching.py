"""Finding benchmark items in documents: shared n-grams first, then one of two published rules of overlap."""

import dataclasses
import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from core.data.words import split_words, without_accents, word_pattern

from smallwright_dedup.benchmarks import Item

LEAST_BLOCK = 6
"""Characters of a matching block that counts, in the difflib rule: more than 5."""
DIFFLIB_COST = 100
"""Comparisons by difflib are that much slower than those by longest common subsequence, and count as many."""
LOOKS_PER_CHECK = 50
"""Shared n-grams that may be looked at for each comparison that may be made."""
_ASCII_WORDS = re.compile(r"\w+", re.ASCII)
_WORDS = re.compile(word_pattern(r"\w"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """An item found in a document."""

    item: Item
    ratio: float
    words: str
    """The shared words that led to it."""


class TooManyMatches(Exception):
    """A document that matches so many places of so many items that checking them all would take too long."""


class ItemIndex:
    """The n-grams of all item texts, as sorted 64-bit hashes.

    Legend: N n-grams of all texts. Words are numbered; -1 is a word that no item has.

    Args:
        shortest: Texts shorter than an n-gram but with at least this many words are looked for as a whole; None: they
            are not looked for.
    """

    def __init__(self, items: list[Item], ngram: int, rule: Literal["lcs", "difflib"], shortest: int | None) -> None:
        self.ngram = ngram
        self.rule = rule
        self.split: Callable[[str], list[str]] = split_words if rule == "lcs" else split_as_cosmopedia
        self.numbers: dict[str, int] = {}
        self.texts: list[tuple[Item, np.ndarray, str]] = []
        self.short: list[tuple[Item, int, bool]] = []
        """(item, words, looked for) of each text too short for an n-gram: its number of words, and whether it is looked
        for as a whole."""
        self._whole: dict[int, dict[int, list[tuple[Item, np.ndarray]]]] = {}  # by number of words, by hash
        for item in items:
            for text in item.texts:
                words = self.split(text)
                ids = np.array([self.numbers.setdefault(word, len(self.numbers)) for word in words], dtype=np.int64)
                if len(words) >= ngram:
                    self.texts.append((item, ids, " ".join(words)))
                    continue
                looked_for = shortest is not None and len(words) >= shortest
                self.short.append((item, len(words), looked_for))
                if looked_for:
                    hashes = int(_hash_ngrams(ids, len(ids))[0])
                    self._whole.setdefault(len(ids), {}).setdefault(hashes, []).append((item, ids))
        hashes_of = [_hash_ngrams(ids, ngram) for _, ids, _ in self.texts]
        hash_N = np.concatenate([np.zeros(0, dtype=np.uint64), *hashes_of])
        text_N = np.repeat(np.arange(len(hashes_of)), [len(row) for row in hashes_of])
        place_N = np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(len(row)) for row in hashes_of)])
        order = np.argsort(hash_N, kind="stable")
        self.hash_N, self.text_N, self.place_N = hash_N[order], text_N[order], place_N[order]

    def match(self, text: str, ratio: float, max_checks: int, max_characters: int) -> tuple[list[Match], bool]:
        """Return the items found in a document, the best first; and whether it was compared in windows only.

        Raises:
            TooManyMatches: more than ``max_checks`` comparisons.
        """
        words = self.split(text)
        document = np.fromiter((self.numbers.get(word, -1) for word in words), dtype=np.int64, count=len(words))
        best: dict[str, Match] = {}
        for match in self._whole_matches(words, document):
            best.setdefault(match.item.name, match)
        if self.rule == "lcs":
            compare = self._compare_lcs(document)
        else:
            compare = self._compare_difflib(words, ratio, max_characters)
        checks = 0
        for looked_at, (position, entry) in enumerate(self._candidates(document)):
            if looked_at > max_checks * LOOKS_PER_CHECK:
                raise TooManyMatches(f"more than {max_checks * LOOKS_PER_CHECK} shared n-grams")
            number, place = int(self.text_N[entry]), int(self.place_N[entry])
            found = compare(number, position, place)
            if found is None:
                continue
            checks += 1 if self.rule == "lcs" else DIFFLIB_COST
            if checks > max_checks:
                raise TooManyMatches(f"more than {max_checks} comparisons")
            item = self.texts[number][0]
            # The lcs rule asks for at least the ratio, the difflib rule for more.
            enough = found >= ratio if self.rule == "lcs" else found > ratio
            if enough and (item.name not in best or found > best[item.name].ratio):
                shared = " ".join(words[position : position + self.ngram])
                best[item.name] = Match(item=item, ratio=found, words=shared)
        cut = self.rule == "difflib" and checks > 0 and sum(map(len, words)) + len(words) > max_characters
        return sorted(best.values(), key=lambda match: -match.ratio), cut

    def _candidates(self, document: np.ndarray) -> Iterator[tuple[int, int]]:
        """Yield (position in the document, entry of the index) of shared n-grams."""
        hashes = _hash_ngrams(document, self.ngram)
        first = np.searchsorted(self.hash_N, hashes, side="left")
        last = np.searchsorted(self.hash_N, hashes, side="right")
        for position in np.flatnonzero(last > first).tolist():
            for entry in range(int(first[position]), int(last[position])):
                ids = self.texts[int(self.text_N[entry])][1]
                place = int(self.place_N[entry])
                if np.array_equal(document[position : position + self.ngram], ids[place : place + self.ngram]):
                    yield position, entry

    def _whole_matches(self, words: list[str], document: np.ndarray) -> Iterator[Match]:
        for count, by_hash in sorted(self._whole.items()):
            hashes = _hash_ngrams(document, count)
            wanted = np.array(list(by_hash), dtype=np.uint64)
            for position in np.flatnonzero(np.isin(hashes, wanted)).tolist():
                for item, ids in by_hash[int(hashes[position])]:
                    if np.array_equal(document[position : position + count], ids):
                        yield Match(item=item, ratio=1.0, words=" ".join(words[position : position + count]))

    def _compare_lcs(self, document: np.ndarray) -> Callable[[int, int, int], float | None]:
        """Longest common subsequence of item and window, over the shorter of item and document, in words."""
        checked: dict[int, int] = {}  # item text -> start of the last document window that was compared

        def compare(number: int, position: int, place: int) -> float | None:
            ids = self.texts[number][1]
            start = position - place
            # A window reaches half an item further on both sides, so it covered alignments near this one.
            if number in checked and abs(start - checked[number]) <= len(ids) // 4:
                return None
            checked[number] = start
            slack = len(ids) // 2
            window = document[max(0, start - slack) : start + len(ids) + slack]
            return longest_common_subsequence(ids.tolist(), window.tolist()) / min(len(ids), len(document))

        return compare

    def _compare_difflib(
        self, words: list[str], ratio: float, max_characters: int
    ) -> Callable[[int, int, int], float | None]:
        """Characters in matching blocks, over those of the item, in the whole document or in windows of it."""
        text = " ".join(words)
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        whole = len(text) <= max_characters
        compared: dict[int, int] = {}  # item text -> position up to which it lay in a window that was compared
        substrings: dict[int, set[str]] = {}

        def compare(number: int, position: int, place: int) -> float | None:
            at, item = int(starts[position]), self.texts[number][2]
            if at < compared.get(number, 0):
                return None
            start = 0 if whole else max(0, at - max_characters // 2)
            compared[number] = len(text) if whole else max(at + 1, start + max_characters - len(item))
            window = text[start : start + max_characters]
            if start not in substrings:
                substrings.clear()
                substrings[start] = {window[i : i + LEAST_BLOCK] for i in range(len(window) - LEAST_BLOCK + 1)}
            return difflib_ratio(window, item, substrings[start], ratio)

        return compare


def difflib_ratio(document: str, item: str, substrings: set[str], least: float = 0.0) -> float:
    """Return the share of the item's characters in matching blocks (Cosmopedia's decontamination code).

    Args:
        document: Words joined by blanks; ``item`` likewise.
        substrings: All strings of :data:`LEAST_BLOCK` characters in the document. What they cover of the item is the
            most that blocks can.
        least: 0 is returned, without the slow comparison, where that is not more than this share.
    """
    covered = np.zeros(len(item), dtype=bool)
    for place in range(len(item) - LEAST_BLOCK + 1):
        if item[place : place + LEAST_BLOCK] in substrings:
            covered[place : place + LEAST_BLOCK] = True
    if covered.sum() <= least * len(item):
        return 0.0
    blocks = difflib.SequenceMatcher(None, document, item, autojunk=False).get_matching_blocks()
    matched = "".join(document[block.a : block.a + block.size] for block in blocks if block.size >= LEAST_BLOCK)
    return len(" ".join(matched.split())) / len(item)


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


def split_as_cosmopedia(text: str) -> list[str]:
    """Return runs of letters, digits and underscores, in lower case, without accents (NFD).

    Cosmopedia's code drops all marks that take no room, and with them vowels of Hindi, Arabic and Thai: items of other
    words would be found. Here only accents go, as in :mod:`core.data.words`.
    """
    if text.isascii():
        return _ASCII_WORDS.findall(text.lower())
    return _WORDS.findall(without_accents(unicodedata.normalize("NFD", text)).lower())


def _hash_ngrams(ids: np.ndarray, n: int) -> np.ndarray:
    """Return polynomial hashes of all n-grams of ``ids``, uint64 [len(ids) - n + 1]; arithmetic wraps."""
    if len(ids) < n:
        return np.zeros(0, dtype=np.uint64)
    values = ids.astype(np.uint64) + np.uint64(2)
    hashes = np.zeros(len(ids) - n + 1, dtype=np.uint64)
    for offset in range(n):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + values[offset : offset + len(hashes)]
    return hashes
