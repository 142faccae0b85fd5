"""Read the rows of a file: one JSON object a line, a JSON array, objects over several lines, Parquet, or a table.

What the file is shows in its content, not in its name, but for tables (``.csv``, ``.tsv``); gzip is unpacked. A row
that cannot be read is a :class:`BadRow`.
"""

import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from core.errors import InputError

from smallwright_posttrain import tables
from smallwright_posttrain.rows import BadRow

TABLES = (".csv", ".tsv")
ENDINGS = (".jsonl", ".json", ".ndjson", ".parquet", *TABLES)
PACKED = ".gz"
# Far above any real example: it bounds what a hostile or broken file can make us hold.
MAX_ROW_BYTES = 16 * 1024 * 1024
FIRST_BYTES = 4096
CHUNK = 1 << 16
NOT_UTF8 = "not UTF-8: convert the file to UTF-8"

SETS = ("data", "train", "rows", "examples", "instances", "samples")
"""Keys under which a file that is one object has its rows."""

_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")
_UTF16_AND_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")

Numbered = Iterator[tuple[int, Any]]


def is_file_name(name: str) -> bool:
    """Whether a setting can only name a file of a form that is read here."""
    return name.removesuffix(PACKED).endswith(ENDINGS)


def read_rows(path: Path, where: str) -> Numbered:
    """Yield (number, value): an object, a list of messages, or a :class:`BadRow`.

    The number is that of the line for one object a line, and else that of the row, from 1.

    Args:
        where: The setting that names the file, for messages.

    Raises:
        InputError: the file cannot be read, or is in no form that is read here.
    """
    try:
        with path.open("rb") as file:
            first = file.read(FIRST_BYTES)
        if first.startswith(b"PAR1"):
            yield from _parquet(path)
            return
        table = path.name.removesuffix(PACKED).endswith(TABLES)
        with gzip.open(path, "rb") if first.startswith(b"\x1f\x8b") else path.open("rb") as file:
            _begin(cast(IO[bytes], file), where)
            yield from _table(cast(IO[bytes], file)) if table else _json(cast(IO[bytes], file))
    except (OSError, EOFError) as error:  # gzip ends a file that is cut off with EOFError
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{where}: cannot be read ({reason}).") from None


def _begin(file: IO[bytes], where: str) -> None:
    """Go to where the text begins, behind the mark that it is UTF-8."""
    first = file.read(FIRST_BYTES)
    if first.startswith(_UTF16_AND_32) or b"\0" in first:
        raise InputError(f"{where}: not UTF-8 (it looks like UTF-16, or is no text); convert the file to UTF-8.")
    file.seek(0)
    if first.startswith(b"\xef\xbb\xbf"):
        file.seek(3)


def _table(file: IO[bytes]) -> Numbered:
    for number, row in tables.read(file, MAX_ROW_BYTES):
        bad = isinstance(row, dict) and any(isinstance(cell, str) and _escaped(cell) for cell in row.values())
        yield number, BadRow(NOT_UTF8) if bad else row


def _json(file: IO[bytes]) -> Numbered:
    start = file.tell()
    by_line = _one_a_line(file)
    file.seek(start)
    return _lines(file) if by_line else _values(file)


def _one_a_line(file: IO[bytes]) -> bool:
    """Whether the first line that is not blank is a row, good or bad, and not the beginning of something longer."""
    line = b"\n"
    while line and not line.strip():
        line = file.readline(MAX_ROW_BYTES)
    text = line.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos < len(text)  # what ends too early goes on in the next line
    except RecursionError:
        return True
    if isinstance(value, dict):
        return _contained(value) is None
    rest = file.read(FIRST_BYTES)
    return bool(rest.strip())


def _lines(file: IO[bytes]) -> Numbered:
    number = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_ROW_BYTES)
            yield number, BadRow(f"a row longer than {MAX_ROW_BYTES} bytes")
        elif line.strip():
            yield number, _parse(line)


def _parse(line: bytes) -> Any:
    try:
        value = json.loads(line.decode("utf-8").strip().removesuffix(","))
    except UnicodeDecodeError:
        return BadRow(NOT_UTF8)
    except (ValueError, RecursionError):
        return BadRow("not valid JSON")
    return _row(value)


def _row(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return {"messages": value}
    return value if isinstance(value, dict) else BadRow("not a JSON object")


def _values(file: IO[bytes]) -> Numbered:
    """Yield the objects of an array, or of a file of objects over several lines, one at a time."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
    decoder = json.JSONDecoder()
    buffer, position, number, size = "", 0, 0, CHUNK
    while True:
        between = _BETWEEN.match(buffer, position)
        position = between.end() if between else position
        try:
            value, end = decoder.raw_decode(buffer, position)
        except (ValueError, RecursionError):
            more = text.read(size) if len(buffer) - position <= MAX_ROW_BYTES else ""
            if more:
                buffer, position, size = (
                    buffer[position:] + more,
                    0,
                    2 * size,
                )  # doubled: a long row is not read n times
                continue
            if position < len(buffer):
                yield number + 1, BadRow("not valid JSON from here to the end of the file")
            return
        raw, position, size = buffer[position:end], end, CHUNK
        for row in _contained(value) or [value]:
            number += 1
            yield number, BadRow(NOT_UTF8) if _escaped(raw) else _row(row)


def _escaped(text: str) -> bool:
    """Whether bytes that are not UTF-8 came into the text, as ``surrogateescape`` writes them."""
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)


def _contained(value: Any) -> list[Any] | None:
    """Return the rows of an object that holds a whole set, such as ``{"data": [...]}``."""
    lists = [value[key] for key in SETS if isinstance(value.get(key), list)] if isinstance(value, dict) else []
    if len(lists) != 1 or not lists[0] or not isinstance(lists[0][0], dict):
        return None
    return None if {"role", "from"} & set(lists[0][0]) else lists[0]  # those are the turns of one conversation


def _parquet(path: Path) -> Numbered:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as Parquet: {str(error).splitlines()[0]}") from None
