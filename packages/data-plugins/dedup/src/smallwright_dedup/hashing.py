"""64-bit hashes of words and of word n-grams, computed over whole batches of texts by numpy.

A word is hashed without ever being a Python string: the code points of a batch are one array, a word is a stretch of
it, and its hash is the difference of two prefix sums of ``code point * base^position``, divided by the power of its
start (bases are odd, so they have inverses modulo 2^64). That is several times as fast as splitting texts and joining
n-grams. The words are those of :func:`core.data.words.split_words`, which a test holds.
"""

import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from core.data.words import ATTACHED, SIGNS, plain

# An attached sign goes with the letter before it; each sign, and each punctuation mark, is a word by itself.
SEPARATOR, WORD, DIGIT, ATTACH, SIGN, PUNCTUATION = range(6)
PIECE = 1 << 16
"""Characters hashed at a time: bounds the memory of a long page, and keeps the arrays in the processor's cache."""
_LAST = 0x40000  # no letter or digit of Unicode is above
_BASE = np.uint64(0x9E3779B97F4A7C15)
_BASE_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_WORD_BASE = np.uint64(0xD6E8FEB86659FD93)


def spread(values: np.ndarray) -> np.ndarray:
    """Mix the bits of uint64 values (the finalizer of SplitMix64): every bit comes to depend on every other."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hash_words(
    texts: Sequence[str], *, fold_numbers: bool = False, verbatim: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of the words of all texts, one after another, uint64 [words], and where each text begins and
    the last one ends, int64 [texts + 1].

    Args:
        fold_numbers: Every number counts as ``0``.
        verbatim: Keep case and accents, and take each punctuation mark for a word, as DCLM's Bloom filter does.
    """
    prepare: Callable[[str], str] = str if verbatim else plain
    hashes: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    batch: list[str] = []
    size = 0

    def finish() -> None:
        batch_hashes, batch_counts = _hash_batch(batch, prepare, fold_numbers, verbatim)
        hashes.append(batch_hashes)
        counts.append(batch_counts)
        batch.clear()

    for text in texts:
        if size + len(text) > PIECE:
            finish()
            size = 0
        if len(text) > PIECE:
            pieces = [_hash_batch([piece], prepare, fold_numbers, verbatim)[0] for piece in _pieces(text)]
            hashes += pieces
            counts.append(np.array([sum(map(len, pieces))]))
            continue
        batch.append(text)
        size += len(text)
    finish()
    return np.concatenate(hashes), np.concatenate([[0], *counts]).cumsum()


def hash_ngrams(words: np.ndarray, starts: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of the word n-grams of each text, in the form of :func:`hash_words`.

    A text with fewer than ``n`` words is one n-gram as a whole; one without words has none.
    """
    counts = np.diff(starts)
    if not len(words):
        return np.zeros(0, dtype=np.uint64), np.zeros(len(starts), dtype=np.int64)
    padded = np.concatenate([words, np.zeros(n - 1, dtype=np.uint64)])
    hashes = padded[: len(words)].copy()
    for offset in range(1, n):
        hashes *= _WORD_BASE
        hashes += padded[offset : offset + len(words)]
    begins = np.ones(len(words), dtype=bool)  # n-grams that lie within one text
    for text in np.flatnonzero(counts):
        begins[max(starts[text] + 1, starts[text + 1] - n + 1) : starts[text + 1]] = False
    for text in np.flatnonzero((counts > 0) & (counts < n)):
        short = int(counts[text])
        for word in words[starts[text] : starts[text + 1]].tolist():
            short = (short * int(_WORD_BASE) + word) % (1 << 64)
        hashes[starts[text]] = short
    sizes = np.where(counts > 0, np.maximum(1, counts - n + 1), 0)
    return spread(hashes[begins]), np.concatenate([[0], sizes]).cumsum()


def hash_text(text: str) -> int:
    """Return a 64-bit hash of one short string, such as the value of a metadata key."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text at white space where there is some."""
    start = 0
    while start < len(text):
        end = start + PIECE
        if end < len(text):
            space = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
            end = space if space > 0 else end
        yield text[start:end]
        start = end


def _hash_batch(
    texts: Sequence[str], prepare: Callable[[str], str], fold_numbers: bool, verbatim: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of the words of ``texts``, and the number of words of each.

    Legend: C code points of the batch, K those that are in words, W words, A attached signs.
    """
    prepared = [prepare(text) for text in texts]
    codes_C, kinds_C = _codes_and_kinds("\n".join(prepared), verbatim)
    place_A = np.flatnonzero(kinds_C == ATTACH)
    based_C = _of_their_letters(kinds_C, place_A) if len(place_A) else kinds_C
    inside_C = based_C != SEPARATOR
    dropped_C = None
    if fold_numbers:
        number_C = _numbers(codes_C, kinds_C)
        inside_C |= number_C
        dropped_C = np.zeros_like(number_C)
        np.logical_and(number_C[1:], number_C[:-1], out=dropped_C[1:])
        codes_C = np.where(number_C, codes_C.dtype.type(ord("0")), codes_C)
    start_C = inside_C.copy()
    start_C[1:] &= ~inside_C[:-1]
    alone_C = based_C >= SIGN
    if alone_C.any():
        start_C |= alone_C
        start_C[1:] |= alone_C[:-1] & inside_C[1:]
        start_C[place_A] = False
    if dropped_C is not None:
        inside_C &= ~dropped_C
    place_K = np.flatnonzero(inside_C)
    if not len(place_K):
        return np.zeros(0, dtype=np.uint64), np.zeros(len(texts), dtype=np.int64)
    codes_K = codes_C.take(place_K).astype(np.uint64)
    start_W = np.flatnonzero(start_C.take(place_K))
    power_K, inverse_K = _powers(max(len(codes_K), 2 * PIECE))
    codes_K += np.uint64(1)
    codes_K *= power_K[: len(codes_K)]
    prefix_K = np.zeros(len(codes_K) + 1, dtype=np.uint64)
    np.cumsum(codes_K, out=prefix_K[1:])
    end_W = np.append(start_W[1:], len(codes_K))
    hash_W = spread((prefix_K.take(end_W) - prefix_K.take(start_W)) * inverse_K.take(start_W))
    text_ends = np.cumsum([len(text) + 1 for text in prepared])
    return hash_W, np.diff(np.searchsorted(place_K.take(start_W), text_ends), prepend=0)


def _codes_and_kinds(text: str, verbatim: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return code points, uint8 or uint32 [characters], and what they are, uint8 [characters]."""
    if text.isascii():
        raw = text.encode("ascii")
        kinds = raw.translate(_kinds(verbatim)[:256].tobytes())
        return np.frombuffer(raw, dtype=np.uint8), np.frombuffer(kinds, dtype=np.uint8)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return codes, _kinds(verbatim).take(codes, mode="clip")


def _of_their_letters(kinds_C: np.ndarray, place_A: np.ndarray) -> np.ndarray:
    """Return ``kinds_C`` with the kind of its letter for what is attached to one; without a letter, a separator.

    Args:
        place_A: Where the attached signs are.
    """
    follows_A = np.diff(place_A, prepend=-2) == 1
    letter_A = np.maximum.accumulate(np.where(follows_A, -1, place_A - 1))
    based_C = kinds_C.copy()
    based_C[place_A] = np.where(letter_A < 0, SEPARATOR, kinds_C[letter_A])
    return based_C


def _numbers(codes_C: np.ndarray, kinds_C: np.ndarray) -> np.ndarray:
    """Mark digits, and points and commas with a digit on both sides, as ``\\d+(?:[.,]\\d+)*`` matches them."""
    digit_C = kinds_C == DIGIT
    number_C = digit_C.copy()
    point = np.flatnonzero(digit_C[:-2] & digit_C[2:]) + 1
    number_C[point[(codes_C[point] == ord(".")) | (codes_C[point] == ord(","))]] = True
    return number_C


@functools.cache
def _kinds(verbatim: bool) -> np.ndarray:
    """Return what each code point is: uint8 [code points]; the last entry stands for all above."""
    codes = np.arange(_LAST, dtype=np.uint32)
    characters = codes.tobytes().decode("utf-32-le", "surrogatepass")
    kinds = np.full(_LAST + 1, SEPARATOR, dtype=np.uint8)
    word = r"\w" if verbatim else r"[^\W_]"
    patterns = [(rf"{word}+", WORD), (r"\d+", DIGIT), (rf"[{SIGNS}]+", SIGN), (ATTACHED, ATTACH)]
    if verbatim:
        kinds[:] = PUNCTUATION
        patterns.insert(0, (r"\s+", SEPARATOR))
    for pattern, kind in patterns:
        found = "".join(re.findall(pattern, characters))
        kinds[np.frombuffer(found.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)] = kind
    return kinds


@functools.lru_cache(maxsize=2)
def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the powers 0 to count of the base and of its inverse: two times uint64 [count + 1]."""
    power = np.cumprod(np.concatenate([[np.uint64(1)], np.full(count, _BASE, dtype=np.uint64)]))
    inverse = np.cumprod(np.concatenate([[np.uint64(1)], np.full(count, _BASE_INVERSE, dtype=np.uint64)]))
    return power, inverse
