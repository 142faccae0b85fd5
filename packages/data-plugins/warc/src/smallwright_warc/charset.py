"""From the bytes of a page to its text, with a guess where nothing is declared."""

import itertools
from collections import Counter

from core.data import charsets
from resiliparse.parse.encoding import detect_encoding

WINDOW, WINDOWS = 1 << 11, 32
UNLIKELY = ("utf-8", "mac-cyrillic", "mac-roman")
ODD = bytes((*range(0x80, 0xA0), 0xFF))


def decode_page(data: bytes, declared: str = "") -> tuple[str, str]:
    """Decode a page and return its text and the charset used, as :func:`core.data.charsets.decode_page` does.

    Args:
        declared: Charset of the HTTP header, or empty.
    """
    found = charsets.decode_page(data, declared, _detect)
    assert found is not None, "detection always says something"
    return found


def _detect(data: bytes) -> str | None:
    """Guess the charset of a page that is not UTF-8.

    A single odd byte is enough to make the detector give up, so it is asked again without the bytes that mean nothing
    in most charsets, and then about parts of the page.
    """
    if name := _guess(data) or _guess(data.translate(None, ODD)):
        return name
    parts = (data[start : start + WINDOW] for start in range(0, len(data), WINDOW))
    beyond = itertools.islice((part for part in parts if not part.isascii()), WINDOWS)
    votes = Counter(name for part in beyond if (name := _guess(part)))
    return votes.most_common(1)[0][0] if votes else None


def _guess(data: bytes) -> str | None:
    # Its own mapping of names says UTF-8 for those that it does not know, Korean's among them.
    name = charsets.encoding_of(detect_encoding(data, html5_compatible=False) or "")
    return None if name is None or name in UNLIKELY else name
