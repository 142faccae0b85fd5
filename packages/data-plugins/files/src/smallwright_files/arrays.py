"""Objects of one JSON array, as many ``.json`` files of datasets are, read in bounded memory."""

import codecs
import json
import re
from collections.abc import Iterator

from smallwright_files.rows import NOT_AN_OBJECT, TOO_LONG, Row
from smallwright_files.streams import BrokenStream

BROKEN_ARRAY = "broken JSON array"
_BETWEEN = re.compile(r"[\s,]*")


def starts_array(piece: bytes) -> bool:
    """Say whether the first piece of a file begins an array."""
    return piece.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def read_array(pieces: Iterator[bytes], limit: int) -> Iterator[Row]:
    """Yield the objects in order. What no longer makes sense is one problem, and ends the file.

    Args:
        limit: Longest object in characters.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    parser = json.JSONDecoder()
    text, place, number = "", 0, 0
    opened = closed = False
    try:
        for piece in pieces:
            text, place = text[place:] + decoder.decode(piece), 0
            if closed and text.strip():
                break
            if closed:
                continue  # a stream may still turn out to be corrupt at its end
            if not opened:
                place, opened = text.index("[") + 1, True
            while True:
                matched = _BETWEEN.match(text, place)
                place = matched.end() if matched else place
                if place == len(text):
                    break
                if text[place] == "]":
                    closed, text, place = True, text[place + 1 :], 0
                    break
                try:
                    value, end = parser.raw_decode(text, place)
                except json.JSONDecodeError as error:
                    if len(text) - place > limit:
                        yield _problem(number, TOO_LONG, text[place:])
                        return
                    if text[place] not in '{["0123456789-tfnNI':
                        yield _problem(number, BROKEN_ARRAY, text[place:], str(error))
                        return
                    break  # the object may go on in the next piece
                yield (
                    Row(number, value) if isinstance(value, dict) else _problem(number, NOT_AN_OBJECT, text[place:end])
                )
                number, place = number + 1, end
    except BrokenStream as broken:
        yield _problem(number, broken.reason, text[place:], str(broken))
        return
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        yield _problem(number, BROKEN_ARRAY, text[place:], str(error))
        return
    if not closed:
        yield _problem(number, BROKEN_ARRAY, text[place:], "the file ends before its array")
    elif text.strip():
        yield _problem(number, BROKEN_ARRAY, text, "the array ends before the file")


def _problem(number: int, reason: str, raw: str, detail: str = "") -> Row:
    return Row(number, None, reason, raw[:8000].encode("utf-8", "replace"), detail)
