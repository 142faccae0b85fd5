"""Repeated lines, paragraphs and word n-grams (Gopher, arXiv 2112.11446, appendix A.1.1 and table A1).

Decisions and reasons are those of DataTrove's ``GopherRepetitionFilter`` with ``lines: lf``; a test compares them. By
default white space at the end of a line does not count: to DataTrove the blank lines of a text with CRLF are repeated
lines. The computation is ours. DataTrove joins every n-gram of every size into a string. Here a rolling hash gives an
upper bound of each share; n-grams become strings only where the bound is above the threshold. Equal strings have equal
hashes, so a collision can only raise a bound: that costs time, and never changes a decision.
"""

import functools
import itertools
import operator
import re
from collections import Counter

import numpy as np
from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document

from smallwright_quality.config import GopherRepetitionConfig
from smallwright_quality.words import lines_of, words_of

_PARAGRAPH_BREAK = re.compile(r"\n{2,}")
_BASE = 0x9E3779B97F4A7C15
LARGEST_HASHED = 1 << 22
"""Characters; longer texts are counted without bounds, in the same linear time and less memory."""
LARGEST_TABLE = 1 << 18
"""Powers kept between documents."""

Array = np.ndarray


class GopherRepetition(DocumentStep):
    """Reject documents that repeat themselves.

    Reasons: ``empty``, ``dup_para_frac``, ``dup_para_char_frac``, ``dup_line_frac``, ``dup_line_char_frac``,
    ``top_<n>_gram``, ``duplicated_<n>_n_grams``.
    """

    config: GopherRepetitionConfig

    def __init__(self, config: GopherRepetitionConfig) -> None:
        super().__init__(config)
        top = [(n, getattr(config, f"top_{n}_gram")) for n in (2, 3, 4)]
        repeated = [(n, getattr(config, f"dup_{n}_gram")) for n in range(5, 11)]
        self.top = [(n, share) for n, share in top if share is not None]
        self.repeated = [(n, share) for n, share in repeated if share is not None]

    def process_document(self, document: Document) -> Document:
        text = "\n".join(lines_of(document.text, self.config))
        if not text:
            raise Rejection("empty")
        self._check_parts(text)
        if self.top or self.repeated:
            self._check_ngrams(words_of(document.text, self.config), len(text))
        return document

    def _check_parts(self, text: str) -> None:
        config = self.config
        stripped = text.strip()
        paragraphs = _PARAGRAPH_BREAK.split(stripped) if "\n\n" in stripped else [stripped]
        repeated, characters = repeated_parts(paragraphs)
        if config.dup_para_frac is not None and repeated / len(paragraphs) > config.dup_para_frac:
            raise Rejection("dup_para_frac")
        if config.dup_para_char_frac is not None and characters / len(text) > config.dup_para_char_frac:
            raise Rejection("dup_para_char_frac")
        lines = _lines(text)
        repeated, characters = repeated_parts(lines)
        if config.dup_line_frac is not None and repeated / len(lines) > config.dup_line_frac:
            raise Rejection("dup_line_frac")
        if config.dup_line_char_frac is not None and characters / len(text) > config.dup_line_char_frac:
            raise Rejection("dup_line_char_frac")

    def _check_ngrams(self, words: list[str], length: int) -> None:
        ends = list(itertools.accumulate(map(len, words), initial=0))
        joined = "".join(words)
        bounds = Bounds(joined, ends) if len(joined) <= LARGEST_HASHED else None
        for n, share in self.top:
            if len(words) < n or (bounds is not None and bounds.top(n, share * length) / length <= share):
                continue
            if _top_characters(words, ends, n) / length > share:
                raise Rejection(f"top_{n}_gram")
        for n, share in self.repeated:
            if len(words) < n or (bounds is not None and bounds.repeated(n, share * length) / length <= share):
                continue
            if _repeated_characters(joined, ends, n) / length > share:
                raise Rejection(f"duplicated_{n}_n_grams")


def repeated_parts(parts: list[str]) -> tuple[int, int]:
    """Return how many of ``parts`` were there before, and their characters."""
    if len(set(parts)) == len(parts):  # most documents are decided here
        return 0, 0
    seen: set[str] = set()
    repeated = characters = 0
    for part in parts:
        if part in seen:
            repeated += 1
            characters += len(part)
        else:
            seen.add(part)
    return repeated, characters


def _lines(text: str) -> list[str]:
    """Split at runs of line breaks; a break at the start or end leaves an empty line, as ``re.split`` has it."""
    if "\n" not in text:
        return [text]
    lines = [line for line in text.split("\n") if line]
    return [*([""] if text[0] == "\n" else []), *lines, *([""] if text[-1] == "\n" else [])]


class Bounds:
    """Upper bounds of the characters in repeated n-grams, by a rolling hash modulo 2^64 over the joined words.

    Args:
        joined: All words without spaces.
        ends: Offset in ``joined`` where each word starts, and the length of ``joined``: words + 1 numbers.

    Shapes: W words, N = W - n + 1 n-grams.
    """

    def __init__(self, joined: str, ends: list[int]) -> None:
        powers, inverse_powers = _powers(len(joined))
        if joined.isascii():
            codes = np.frombuffer(joined.encode("ascii"), dtype=np.uint8).astype(np.uint64)
        else:
            codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        prefix = np.zeros(len(joined) + 1, dtype=np.uint64)
        np.cumsum(codes * powers[: len(joined)], out=prefix[1:])
        self.ends_W = np.array(ends)
        self.prefix_W = prefix[self.ends_W]
        self.inverse_W = inverse_powers[self.ends_W]

    def _ngrams(self, n: int) -> tuple[Array, Array]:
        """Return hash and length of each n-gram."""
        hashes_N = (self.prefix_W[n:] - self.prefix_W[:-n]) * self.inverse_W[:-n]
        return hashes_N, self.ends_W[n:] - self.ends_W[:-n]

    def top(self, n: int, enough: float) -> int:
        """Bound count times length, with n - 1 spaces, of the most frequent n-gram.

        Args:
            enough: A bound of at most this many characters need not be any tighter.
        """
        hashes_N, lengths_N = self._ngrams(n)
        longest = int(lengths_N.max()) + n - 1
        most = int(enough) // longest
        sorted_N = np.sort(hashes_N)
        if most and not np.any(sorted_N[most:] == sorted_N[:-most]):  # no n-gram comes more often than that
            return most * longest
        order_N = np.argsort(hashes_N)
        starts = np.concatenate(([0], np.flatnonzero(sorted_N[1:] != sorted_N[:-1]) + 1))
        counts = np.concatenate((starts[1:], [len(sorted_N)])) - starts
        return int((counts * (np.maximum.reduceat(lengths_N[order_N], starts) + n - 1)).max())

    def repeated(self, n: int, enough: float) -> int:
        """Bound the characters in n-grams seen before. A bound of at most ``enough`` need not be any tighter."""
        hashes_N, lengths_N = self._ngrams(n)
        sorted_N = np.sort(hashes_N)
        repeats = int(np.count_nonzero(sorted_N[1:] == sorted_N[:-1]))
        coarse = repeats * int(lengths_N.max())
        if coarse <= enough:
            return coarse
        # The n-grams that are counted had come before and do not overlap. So they have at most as many characters as
        # the words that lie in any n-gram that had come before.
        order_N = np.argsort(hashes_N, kind="stable")
        later = order_N[1:][hashes_N[order_N[1:]] == hashes_N[order_N[:-1]]]
        depth_W = np.zeros(len(self.ends_W), dtype=np.int64)
        depth_W[later] += 1
        depth_W[later + n] -= 1
        return int(np.diff(self.ends_W)[np.cumsum(depth_W)[:-1] > 0].sum())


def _powers(length: int) -> tuple[Array, Array]:
    """Return the powers of the base and of its inverse modulo 2^64, at least ``length`` + 1 of each."""
    if length >= LARGEST_TABLE:
        return _make_powers(length + 1)
    return _kept_powers(max(1 << 12, 1 << (length + 1).bit_length()))


def _make_powers(size: int) -> tuple[Array, Array]:
    factors = np.full((2, size), _BASE, dtype=np.uint64)
    factors[1] = pow(_BASE, -1, 1 << 64)
    factors[:, 0] = 1
    powers, inverse_powers = np.cumprod(factors, axis=1)
    return powers, inverse_powers


_kept_powers = functools.lru_cache(maxsize=8)(_make_powers)


def _top_characters(words: list[str], ends: list[int], n: int) -> int:
    """Return count times length of the most frequent n-gram, the first one of several; its words have spaces between
    them."""
    spaced = " ".join(words)
    # Word i starts at ends[i] + i of the spaced text: each word before it brings one space.
    pairs = zip(ends, ends[n:], strict=False)
    counts = Counter([spaced[start + i : end + i + n - 1] for i, (start, end) in enumerate(pairs)])
    ngram, count = max(counts.items(), key=operator.itemgetter(1))
    return len(ngram) * count


def _repeated_characters(joined: str, ends: list[int], n: int) -> int:
    """Count characters in n-grams seen before; after a repeated one, the next starts behind its last word."""
    ngrams = [joined[start:end] for start, end in zip(ends, ends[n:], strict=False)]
    seen: set[str] = set()
    repeated = position = 0
    while position < len(ngrams):
        ngram = ngrams[position]
        if ngram in seen:
            repeated += len(ngram)
            position += n
        else:
            seen.add(ngram)
            position += 1
    return repeated
