"""From a row of any kind of file to a document."""

import dataclasses
import datetime
import decimal
from collections.abc import Mapping
from typing import Any

import orjson
from datatrove.data import Document

from smallwright_files.config import RowsConfig

INVALID_JSON = "invalid JSON"
NOT_AN_OBJECT = "not an object"
NOT_UTF8 = "not UTF-8"
NO_TEXT = "no text"
TOO_LONG = "too long"
SHOWN = 2000
"""Characters kept of a row that cannot be read."""


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


def to_document(row: Row, name: str, config: RowsConfig, about: Mapping[str, Any]) -> tuple[Document, str | None]:
    """Return the document of a row and, where it cannot be one, the reason.

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
    text = _pull(rest, config.text)
    given = _pull(rest, config.id)
    url = _pull(rest, config.url)
    metadata: dict[str, Any] = {"url": clean(url)} if isinstance(url, str) and url else {}
    _add_fields(metadata, rest, config)
    metadata |= place
    if given is not None and given != "" and isinstance(given, (str, int)):
        identity = clean(str(given))
    document = Document(text=clean(text) if isinstance(text, str) else "", id=identity, metadata=metadata)
    if not document.text.strip():
        return document, NO_TEXT if config.without_text == "fail" else None
    if len(document.text) * 4 > config.max_row_bytes and len(document.text.encode()) > config.max_row_bytes:
        document.text = document.text[:SHOWN]
        return document, TOO_LONG
    return document, None


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


def _add_fields(metadata: dict[str, Any], rest: Mapping[str, Any], config: RowsConfig) -> None:
    left_out: list[str] = []
    room = config.max_metadata_bytes
    for key, value in rest.items():
        if value is None or (config.metadata is not None and key not in config.metadata):
            continue
        if isinstance(value, str):
            value = clean(value)
            size = len(value) if value.isascii() else len(value.encode())
        elif isinstance(value, (bool, int, float)):
            size = 8
        else:
            encoded = _encode(value)
            size = room + 1 if encoded is None else len(encoded)
            if encoded is not None and size <= room:
                value = orjson.loads(encoded)
        size += len(key)
        if size > room:
            left_out.append(clean(key)[:100])
            continue
        room -= size
        # The column ``score`` holds numbers; what is none of them keeps its value under another name.
        if key == "score" and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
            value = float(value)
        elif key == "score" and not isinstance(value, float):
            key = "original_score"
        metadata.setdefault(clean(key), value)  # the field that is set as ``url`` wins over one called url
    if left_out:
        metadata["left_out"] = left_out[:20]


def _encode(value: Any) -> bytes | None:
    """Return a value as JSON; None where it has no place in metadata (bytes, too deep, too large a number)."""
    try:
        return orjson.dumps(value, default=_default, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, RecursionError):
        return None


def _default(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    raise TypeError(type(value).__name__)
