"""From the bytes of a page to its text, with a guess where nothing is declared."""

from collections import Counter

from core.data import charsets
from resiliparse.parse.encoding import detect_encoding

WINDOW = 1 << 11
WINDOWS = 32


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

    One odd byte makes the detector say UTF-8, its answer where it knows none; so then parts of the page are asked for.
    """
    label = detect_encoding(data)
    if label and charsets.encoding_of(label) != "utf-8":
        return label
    parts = (data[start : start + WINDOW] for start in range(0, len(data), WINDOW))
    beyond = [part for part in parts if not part.isascii()][:WINDOWS]
    votes = Counter(guess for part in beyond if (guess := detect_encoding(part)) and guess.lower() != "utf-8")
    return votes.most_common(1)[0][0] if votes else None
