"""Words of a text for comparison: lower case, no accents, no punctuation."""

import re
import unicodedata

# Chinese, Japanese and Korean signs count as words of their own: their scripts put no spaces between words.
SIGNS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORDS = re.compile(rf"[{SIGNS}]|[^\W_{SIGNS}]+")
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
_ACCENTS = re.compile("[\u0300-\u036f]+")


def split_words(text: str, *, fold_numbers: bool = False) -> list[str]:
    """Return the words of ``text`` in order.

    Args:
        fold_numbers: Replace every number by ``0``, as DataTrove's deduplication does.
    """
    text = plain(text)
    if fold_numbers:
        text = _NUMBERS.sub("0", text)
    return _WORDS.findall(text)


def plain(text: str) -> str:
    """Return ``text`` in lower case and without accents."""
    text = text.lower()
    if text.isascii():
        return text
    # NFC again, so that syllables that NFD takes apart (Korean) are one sign each.
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)))
