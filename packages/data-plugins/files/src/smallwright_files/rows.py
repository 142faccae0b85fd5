"""From a row of any kind of file to a document."""

import base64
import dataclasses
import datetime
import decimal
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from core.data.charsets import BOMS, declared_in, decode_page
from core.errors import InputError
from datatrove.data import Document

from smallwright_files.rows_config import RowsConfig

INVALID_JSON = "invalid JSON"
NOT_AN_OBJECT = "not an object"
NOT_UTF8 = "not UTF-8"
NO_TEXT = "no text"
TOO_LONG = "too long"
SHOWN = 2000
"""Characters kept of a row that cannot be read."""
SIZE, KIND = "their size", "their kind"
"""Why fields are left out: too large, or nothing that metadata can hold."""


class Unreadable:
    """A value that cannot be read out of its column, such as a time after the year 9999."""


@dataclasses.dataclass(slots=True)
class Row:
    """A row of a file, or a place where it could not be read."""

    number: int
    """Place in the file, from 0; for lines of text the number of the line."""
    values: dict[str, Any] | None = None
    problem: str | None = None
    """Why it cannot be read: a short, countable phrase."""
    raw: bytes = b""
    """The start of what could not be read."""
    detail: str = ""
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    """Fields that did not go to the document's metadata, and why: filled by :func:`to_document`."""


def take(values: Mapping[str, Any], path: str) -> tuple[Any, dict[str, Any]]:
    """Return the field at a dotted path, None where there is none, and the row without it.

    A key with a dot in it is found before a nested one. Items of lists are found by number and left in the row.
    """
    if path in values:
        return values[path], {key: value for key, value in values.items() if key != path}
    head, dot, tail = path.partition(".")
    inner = values.get(head)
    if not dot or inner is None:
        return None, dict(values)
    if isinstance(inner, Mapping):
        found, left = take(inner, tail)
        without = {key: value for key, value in values.items() if key != head}
        return found, {**without, head: left} if left else without
    while dot and isinstance(inner, (list, tuple)):
        index, dot, tail = tail.partition(".")
        if not index.isdecimal() or int(index) >= len(inner):
            return None, dict(values)
        inner = inner[int(index)]
    if dot or tail:
        inner = take(inner, tail)[0] if isinstance(inner, Mapping) else None
    return inner, dict(values)


def check_text(files: Mapping[str, Sequence[Row]], text: str, where: str) -> None:
    """Check that some row of the first ones of files has the field that is set as its text.

    Args:
        where: The step's settings, as the user writes them.

    Raises:
        InputError: there are rows, and none has it; the message names the fields that they have.
    """
    rows = [row.values for several in files.values() for row in several if row.values is not None]
    if not rows or any(text in row or text.partition(".")[0] in row for row in rows):
        return
    lengths: dict[str, int] = {}
    for row in rows:
        _add_lengths(lengths, row, "")
    longest = max(lengths, key=lambda name: lengths[name], default=None)
    known = ", ".join(list(lengths)[:30]) or "none"
    fix = f"Name the field of the text, such as {where}.text={longest}." if lengths.get(longest or "") else ""
    first = next(file for file, several in files.items() if any(row.values is not None for row in several))
    raise InputError(
        f"{where}.text={text}: the rows of {first} have no such field. Their fields: {known}. {fix}".strip()
    )


def _add_lengths(lengths: dict[str, int], row: Mapping[str, Any], before: str) -> None:
    """Add up the characters of each field of a row, by its dotted name."""
    for key, value in row.items():
        name = f"{before}{clean(str(key))[:100]}"
        if isinstance(value, Mapping) and value and before.count(".") < 3:
            _add_lengths(lengths, value, f"{name}.")
        else:
            lengths[name] = lengths.get(name, 0) + (len(value) if isinstance(value, (str, bytes)) else 0)


def to_document(row: Row, name: str, config: RowsConfig, about: Mapping[str, Any]) -> tuple[Document, str | None]:
    """Return the document of a row and, where it cannot be one, the reason.

    Fields of the row that are called as what is said about every row keep their values as ``original_<name>``.

    Args:
        name: Name of the file, for ids and ``metadata["file"]``.
        about: Further metadata of every document of the file.
    """
    identity = f"{name}:{row.number}"
    place = {"file": name, "row": row.number, **about}
    if row.values is None:
        text = row.raw[:SHOWN].decode("utf-8", "replace")
        return Document(text=text, id=identity, metadata={**place, "error": row.detail[:500]}), row.problem
    rest = dict(row.values)
    text, given, url = _pull(rest, config.text), _pull(rest, config.id), _pull(rest, config.url)
    undecoded = False
    if isinstance(text, bytes):
        text, undecoded = as_text(text)
    if isinstance(given, bytes):
        given = as_text(given)[0]
    if isinstance(url, bytes):
        url = as_text(url)[0]
    metadata: dict[str, Any] = {"url": clean(url)} if isinstance(url, str) and url else {}
    identity = _identity(given) or identity
    # What is none of what it is set as stays a field of the row.
    if text is not None and not isinstance(text, str):
        rest.setdefault(config.text, text)
    if url is not None and not isinstance(url, str):
        rest.setdefault(str(config.url), url)
    if isinstance(given, (list, dict, Unreadable)):
        rest.setdefault(str(config.id), given)
    _add_fields(metadata, rest, config, place, row)
    metadata |= place
    document = Document(text=clean(text) if isinstance(text, str) else "", id=identity, metadata=metadata)
    if undecoded:
        document.text = document.text[:SHOWN]
        return document, NOT_UTF8
    if not document.text.strip():
        return document, NO_TEXT if config.without_text == "fail" else None
    if len(document.text) * 4 > config.max_row_bytes and len(document.text.encode()) > config.max_row_bytes:
        document.text = document.text[:SHOWN]
        return document, TOO_LONG
    return document, None


def _identity(value: Any) -> str:
    """Return a row's own id as text; empty where it is none."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        value = "" if not math.isfinite(value) else int(value) if value.is_integer() else value
    return str(value) if isinstance(value, (str, int, float, decimal.Decimal, uuid.UUID)) else ""


def as_text(value: bytes) -> tuple[str, bool]:
    """Return bytes as text, and whether they are none.

    Columns without the annotation that says UTF-8 hold bytes, as Impala, Hive and some of Spark's writers leave them;
    so do columns of pages as they were fetched, in the charset that the page declares.
    """
    try:
        return value.decode("utf-8-sig"), False
    except UnicodeDecodeError:
        in_utf_16 = any(value.startswith(bom) for bom, _ in BOMS) and b"<" in value[:64]
        page = decode_page(value) if in_utf_16 or declared_in(value) else None
        return (value.decode("utf-8", "replace"), True) if page is None else (str(page[0]), False)


def _pull(rest: dict[str, Any], path: str | None) -> Any:
    """Take the field at a path out of ``rest``."""
    if path is None:
        return None
    if path in rest:
        return rest.pop(path)
    found, left = take(rest, path)
    rest.clear()
    rest.update(left)
    return found


def clean(text: str) -> str:
    """Replace lone surrogates, which JSON can hold and UTF-8 cannot."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _add_fields(
    metadata: dict[str, Any], rest: Mapping[str, Any], config: RowsConfig, place: Mapping[str, Any], row: Row
) -> None:
    room = config.max_metadata_bytes
    is_set = "url" if config.url or "url" in metadata else ""
    for key, value in rest.items():
        if value is None or (config.metadata is not None and key not in config.metadata):
            continue
        name = clean(key)
        if isinstance(value, bytes):
            value = _from_bytes(value)
        if isinstance(value, str):
            value = clean(value)
            size = len(value) if value.isascii() else len(value.encode())
        elif isinstance(value, (bool, int, float)):
            size = 8 if not isinstance(value, int) or value.bit_length() < 64 else value.bit_length() // 3
        else:
            value, size = _plain(value, room)
            if value is None:
                row.left_out[name[:100]] = KIND
                continue
        size += len(key)
        if size > room:
            row.left_out[name[:100]] = SIZE
            continue
        room -= size
        # The column ``score`` holds numbers; what is none of them keeps its value under another name.
        if name == "score" and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
            value = float(value)
        elif (
            name in place
            or name == is_set
            or name == "left_out"
            or name in metadata
            or (name == "score" and not isinstance(value, float))
        ):
            name = f"original_{name}"
            while name in metadata or name in rest:
                name = f"original_{name}"
        metadata[name] = value
    if row.left_out:
        metadata["left_out"] = list(row.left_out)[:20]


def _from_bytes(value: bytes) -> str:
    """Return bytes as the text that they are, otherwise in base64."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode("ascii")


def _plain(value: Any, room: int) -> tuple[Any, int]:
    """Return a value as what JSON has, and its length as JSON; None where it has no place in metadata."""
    try:
        encoded = orjson.dumps(value, default=_default, option=orjson.OPT_NON_STR_KEYS)
        return (orjson.loads(encoded) if len(encoded) <= room else value), len(encoded)
    except (TypeError, ValueError, RecursionError):
        pass
    try:  # integers beyond 64 bits
        written = clean(json.dumps(value, default=_default, ensure_ascii=False))
        size = len(written.encode())
        return (json.loads(written, parse_constant=lambda constant: None) if size <= room else value), size
    except (TypeError, ValueError, RecursionError):
        return None, 0


def _default(value: Any) -> Any:
    if isinstance(value, bytes):
        return _from_bytes(value)
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(type(value).__name__)
