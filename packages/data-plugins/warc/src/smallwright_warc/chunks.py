"""Chunked bodies (RFC 9112 §7.1), as archives have them: joined already, cut off, or not chunked whatever is said."""

import re

MAX_CHUNKS = 200_000
"""A body with more is refused: no page has a reason to come byte by byte, and it would take long."""
_HEAD = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]{0,1000})?\r?\n")
_CUT_HEAD = re.compile(rb"[0-9A-Fa-f]{1,16}[ \t]*\r?\Z")
_LINE_END = re.compile(rb"\r?\n")
_END = re.compile(rb"(?:[!-9;-~]{1,100}:[^\r\n]*(?:\r?\n|\Z)){0,100}(?:\r?\n|\Z)")
"""What may stand behind the last chunk: trailers and an empty line."""
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!|\?xml|(?:html|head|body|meta|title)\b)", re.IGNORECASE)
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""What no text has, in any charset."""


def dechunk(body: bytes, encoded: bool = False) -> bytes | None:
    """Join the chunks of a body; None where there are more than any page has.

    A body is chunked when the whole of it parses as chunks, the last of which may be cut off. Any other comes back
    unchanged: many crawlers store the text joined and leave the header, and its first line may be a year.

    Args:
        encoded: Whether the joined body is compressed; then broken chunks are joined as far as they go, for nothing
            can be read otherwise.
    """
    pieces: list[bytes] = []
    position = 0
    while position < len(body):
        head = _HEAD.match(body, position)
        if head is None:
            cut = pieces and _CUT_HEAD.match(body, position)
            return b"".join(pieces) if cut else _broken(body, pieces, position, encoded)
        size, begin = int(head.group(1), 16), head.end()
        if size == 0:
            end = _END.match(body, begin)
            whole = end is not None and (pieces or not body[end.end() :].strip())
            return b"".join(pieces) if whole else _broken(body, pieces, position, encoded)
        if len(pieces) >= MAX_CHUNKS:
            return None
        if begin + size >= len(body):
            if not pieces and begin + size > len(body) and not _begins_chunk(body[begin : begin + 512], encoded):
                return body
            return b"".join([*pieces, body[begin : begin + size]])
        line_end = _LINE_END.match(body, begin + size)
        if line_end is None and body[begin + size :] != b"\r":
            return _broken(body, pieces, position, encoded)
        pieces.append(body[begin : begin + size])
        position = line_end.end() if line_end is not None else len(body)
    return b"".join(pieces)


def _broken(body: bytes, pieces: list[bytes], position: int, encoded: bool) -> bytes:
    return b"".join([*pieces, body[position:]]) if encoded and pieces else body


def _begins_chunk(start: bytes, encoded: bool) -> bool:
    """Whether a first chunk that is cut off is one, by what it begins with; text may begin with a number as well."""
    if start.startswith(_COMPRESSED) or _MARKUP.match(start):
        return True
    return encoded and CONTROL.search(start) is not None
