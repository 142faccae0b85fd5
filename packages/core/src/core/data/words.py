"""What a word is, for every step that counts words or compares texts by them.

A word is a run of letters and digits, each with what is attached to it: combining marks, which are the vowels of Hindi
and the tones of Thai, and signs that are not seen, such as the joiners of Persian and Sinhala. ``\\w`` of Python's
regular expressions leaves both out and would cut words at them (Unicode Technical Standard 18, annex C, has them in).
Python's own tables of Unicode decide what is a letter and what a mark.
"""

import re
import unicodedata
from collections.abc import Iterable

_INVISIBLE = "\u00ad\u061c\u180b-\u180f\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
_INVISIBLE_16 = "\U000e0001-\U000e007f\U000e0100-\U000e01ef"
"""Soft hyphens, direction marks, word joiners, variation selectors, tags; those beyond 16 bits apart. The zero-width
space is not among them: it stands between words."""
_ACCENTS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
"""Marks of Latin, Greek and Cyrillic letters, and of mathematics. The letter stays what it is without them; in other
scripts, and in their own blocks of Unicode, marks make another word of it."""
_BLOCKS_WITHOUT_SPACES = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAADF)),  # Thai, Lao, Burmese, Tai Viet
    *((0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF)),  # Khmer, Tai Le, New Tai Lue, Tai Tham
    *((0x1B00, 0x1B7F), (0xA980, 0xA9DF)),  # Balinese, Javanese
    *((0x3005, 0x3007), (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),  # Japanese, Chinese
    *((0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),  # Korean, more Chinese
)


def _class_of(codes: Iterable[int]) -> str:
    """Return code points, in order, as the inside of a character class."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def _marks(first: int, end: int) -> str:
    return _class_of(code for code in range(first, end) if unicodedata.category(chr(code))[0] == "M")


# Classes of a regular expression are quick within 16 bits. Behind most words stands a blank, which the first look-ahead
# knows; the second one keeps all other signs from the many marks beyond 16 bits.
ATTACHED = (
    rf"(?![\x00-\x7f])(?:[{_marks(0x300, 0x10000)}\u200c\u200d{_INVISIBLE}]|"
    rf"(?![\x00-\uffff])[{_marks(0x10000, 0x1F000)}{_INVISIBLE_16}])"
)
"""Pattern of what belongs to the letter before it: combining marks, joiners, and signs that are not seen."""
SIGNS = _class_of(
    code
    for first, last in sorted(_BLOCKS_WITHOUT_SPACES)
    for code in range(first, last + 1)
    if chr(code).isalpha() or code == 0x3007
)
"""Letters of scripts that put no spaces between words, as the inside of a character class. Where texts are compared,
each of them, with its marks, counts as a word."""


def word_pattern(letter: str) -> str:
    """Return a pattern of words: letters as ``letter`` has them, each with what is attached to it.

    Args:
        letter: A character class, such as ``\\w``.
    """
    return rf"{letter}++(?:(?:{ATTACHED})++{letter}*+)*+"


_LETTER = rf"[^\W_{SIGNS}]"
# Words of ASCII letters are found in half the time, and what is ASCII and no letter or digit begins no word.
_WORDS = re.compile(
    rf"[A-Za-z0-9]++(?![^\x00-\x7f])|"
    rf"(?![\x00-/:-@\[-`{{-\x7f])(?:{word_pattern(_LETTER)}|[{SIGNS}](?:{ATTACHED})*+)"
)
_ASCII_WORDS = re.compile(r"[^\W_]+", re.ASCII)
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
_DROPPED = re.compile(f"[{_ACCENTS}{_INVISIBLE}{_INVISIBLE_16}]")


def split_words(text: str, *, fold_numbers: bool = False) -> list[str]:
    """Return the words of ``text`` in order, for comparison: lower case, no accents, no punctuation.

    Args:
        fold_numbers: Replace every number by ``0``, as DataTrove's deduplication does.
    """
    text = plain(text)
    if fold_numbers:
        text = _NUMBERS.sub("0", text)
    return (_ASCII_WORDS if text.isascii() else _WORDS).findall(text)


def plain(text: str) -> str:
    """Return ``text`` in lower case, without accents and without what is not seen."""
    text = text.lower()
    if text.isascii():
        return text
    # NFC again, so that syllables that NFD takes apart (Korean) are one sign each.
    return unicodedata.normalize("NFC", without_accents(unicodedata.normalize("NFD", text)))


def without_accents(text: str) -> str:
    """Return ``text``, which is in NFD, without accents and without what is not seen."""
    return _DROPPED.sub("", text)
