"""From bytes to text: a declared charset is believed only where the page's bytes are valid in it."""

import codecs

from core.data.pages import Utf8Text
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
UNMARKED = ((b"<\0!\0", "utf-16-le"), (b"<\0h\0", "utf-16-le"), (b"\0<\0!", "utf-16-be"), (b"\0<\0h", "utf-16-be"))
"""How a page in UTF-16 begins that has no byte order mark."""


def decode_page(data: bytes, declared: str = "") -> tuple[str, str]:
    """Decode a page and return its text and the charset used.

    The first of these that applies is taken:

    1. a byte order mark, or the zero bytes of UTF-16;
    2. UTF-8, where the bytes beyond ASCII are valid UTF-8, whatever is declared: other text almost never is by chance;
    3. the charset of the HTTP header, then that of the page's ``<meta>``, where the bytes are valid in it;
    4. what detection says.

    Bytes that still cannot be decoded become U+FFFD.

    Args:
        declared: Charset of the HTTP header, or empty. Only labels of the HTML standard are used, never Python's.
    """
    for bom, name in BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, "replace"), name
    for start, name in UNMARKED:
        if data.startswith(start):
            return data.decode(name, "replace"), name
    declared_codec = _codec(declared)
    if data.isascii() and declared_codec in (None, "utf-8", "cp1252") and b"\x1b$" not in data:
        return Utf8Text.decode(data), "utf-8"
    if not data.isascii():
        text = _decode_utf8(data)
        if text is not None and not text.isascii():
            return text, "utf-8"
    from_meta = detect_encoding(data, from_html_meta=True) if b"<meta" in data[:4096].lower() else None
    for codec in (declared_codec, _codec(from_meta or "")):
        if codec is not None and codec != "utf-8" and (text := _decode(data, codec)) is not None:
            return text, codec
    detected = _codec(detect_encoding(data) or "") or "cp1252"
    return data.decode(detected, "replace"), detected


def _codec(label: str) -> str | None:
    """Python's codec for a label of the HTML standard; None for other labels, and where Python has none."""
    name = map_encoding_to_html5(label, fallback_utf8=False) if label else None
    try:
        return name if name and codecs.lookup(name) else None
    except LookupError:
        return None


def _decode_utf8(data: bytes) -> str | None:
    try:
        return Utf8Text.decode(data)
    except UnicodeDecodeError as error:
        return _decode(data, "utf-8") if error.start > len(data) - 4 else None


def _decode(data: bytes, name: str) -> str | None:
    """Decode strictly, but forgive a character cut off at the very end, as truncated pages have."""
    try:
        return codecs.getincrementaldecoder(name)("strict").decode(data)
    except UnicodeError:
        return None
