"""Rows of each kind of file, in bounded memory; what cannot be read is one row with a problem."""

import contextlib
import csv
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from core.errors import InputError

from smallwright_files.arrays import read_array, starts_array
from smallwright_files.arrow_values import to_row, to_rows
from smallwright_files.endings import ROWS, kind_of
from smallwright_files.rows import INVALID_JSON, NOT_AN_OBJECT, NOT_UTF8, TOO_LONG, Row
from smallwright_files.rows_config import RowsConfig
from smallwright_files.streams import BrokenStream, Storage, chunks, lines

BATCH_ROWS = 64
"""Rows of a columnar file turned into Python values at a time: a row may hold 16 MB."""
_PYTHON_JSON = re.compile(rb"NaN|Infinity|\\u[dD][89a-fA-F]|[eE]\+?[0-9]{3}")
"""What Python's json writes and orjson refuses: NaN, infinity, 1e400, lone surrogates. Lines that have any of these are
parsed by Python's json instead."""
_LARGE = re.compile(rb"[0-9]{19}")
"""An integer that may have more than 64 bits, of which orjson makes a float."""
BROKEN_PARQUET = "broken Parquet"
BROKEN_ARROW = "broken Arrow file"


class NoTextColumn(InputError):
    """A file of columns has none of the name that is set as ``text``."""


Wanted = Callable[[int], bool]
Reader = Callable[[Storage, RowsConfig, Wanted, str], Iterator[Row]]


def read_jsonl(storage: Storage, config: RowsConfig, wanted: Wanted, file: str) -> Iterator[Row]:
    """Yield the object of each line; blank lines are left out."""
    return _line_rows(chunks(storage), config, wanted)


def _line_rows(pieces: Iterator[bytes], config: RowsConfig, wanted: Wanted) -> Iterator[Row]:
    number = -1
    try:
        for number, (line, overlong) in enumerate(lines(pieces, config.max_row_bytes)):
            if number == 0:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not wanted(number) or not line.strip():
                continue
            yield _problem(number, TOO_LONG, line) if overlong else _parse(number, line)
    except BrokenStream as broken:
        if wanted(number + 1):
            yield _problem(number + 1, broken.reason, broken.partial, str(broken))


def read_json(storage: Storage, config: RowsConfig, wanted: Wanted, file: str) -> Iterator[Row]:
    """Yield the objects of a ``.json`` file: those of one array where it is one, else of its lines."""
    pieces = chunks(storage)
    try:
        first = next(pieces, b"")
    except BrokenStream as broken:
        if wanted(0):
            yield _problem(0, broken.reason, b"", str(broken))
        return
    whole = itertools.chain((first,), pieces)
    rows = read_array(whole, config.max_row_bytes) if starts_array(first) else _line_rows(whole, config, wanted)
    yield from (row for row in rows if wanted(row.number))


def _parse(number: int, line: bytes) -> Row:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            value = json.loads(line) if _PYTHON_JSON.search(line) else None
        except (ValueError, RecursionError):
            value = None
        if value is None:
            return _problem(number, INVALID_JSON if _is_utf8(line) else NOT_UTF8, line, str(error))
    if not isinstance(value, dict):
        return _problem(number, NOT_AN_OBJECT, line)
    for inner in value.values():
        kind = type(inner)
        if (kind is dict or kind is list or (kind is float and abs(inner) >= 2**63)) and _LARGE.search(line):
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(line)
            break
    return Row(number, value)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _problem(number: int, reason: str, raw: bytes = b"", detail: str = "") -> Row:
    return Row(number, None, reason, raw[:8000], detail)


def read_csv(storage: Storage, config: RowsConfig, wanted: Wanted, file: str) -> Iterator[Row]:
    """Yield the rows of a CSV file with a header; values are strings."""
    csv.field_size_limit(min(config.max_row_bytes, 2**31 - 1))
    overlong: list[bytes] = []
    ending: list[BrokenStream] = []

    def text() -> Iterator[str]:
        try:
            for number, (line, long) in enumerate(lines(chunks(storage), config.max_row_bytes)):
                if long:
                    overlong.append(line[:8000])
                else:
                    line = line.removeprefix(b"\xef\xbb\xbf" if number == 0 else b"")
                    yield line.decode("utf-8", "surrogateescape") + "\n"  # told below, where its row is known
        except BrokenStream as broken:
            ending.append(broken)

    reader = csv.reader(text(), delimiter="\t" if kind_of(file) == ".tsv" else ",", strict=True)
    header: list[str] | None = None
    number = 0
    while True:
        row: Row | None = None
        try:
            cells = next(reader, None)
            if cells is not None and header is None:
                header = cells
                continue
            if cells:
                if not all(cell.isascii() or _is_text(cell) for cell in cells):
                    row = _problem(number, NOT_UTF8, ",".join(cells)[:8000].encode("utf-8", "surrogateescape"))
                elif len(cells) == len(header or ()):
                    row = Row(number, dict(zip(header or (), cells, strict=True)))
                else:
                    row = _problem(number, "wrong number of fields", ",".join(cells)[:8000].encode("utf-8", "replace"))
        except csv.Error as error:
            cells = []
            row = _problem(number, "invalid CSV", detail=str(error))
        for line in overlong:
            if wanted(number):
                yield _problem(number, TOO_LONG, line)
            number += 1
        overlong.clear()
        if row is not None:
            row.number = number
            if wanted(number):
                yield row
            number += 1
        if cells is None:
            break
    if ending and wanted(number):
        yield _problem(number, ending[0].reason, ending[0].partial, str(ending[0]))


def _is_text(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_parquet(storage: Storage, config: RowsConfig, wanted: Wanted, file: str) -> Iterator[Row]:
    """Yield the rows, a row group at a time. A broken row group is as many problems as it has unread rows.

    Raises:
        InputError: the file has no such text column.
    """
    try:
        parquet = pq.ParquetFile(storage, pre_buffer=False)
        columns = _columns(parquet.schema_arrow.names, config, file)
    except InputError:
        raise
    except Exception as error:
        _check_storage(storage, error)
        if wanted(0):
            yield _problem(0, BROKEN_PARQUET, detail=str(error))
        return
    number = 0
    with parquet:
        for group in range(parquet.num_row_groups):
            end = number + parquet.metadata.row_group(group).num_rows
            detail = "fewer rows than its footer says"
            try:
                batches = parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False)
                for batch in batches:
                    yield from _batch_rows(batch, number, config, wanted)
                    number += batch.num_rows
            except InputError:
                raise
            except Exception as error:
                _check_storage(storage, error)
                detail = str(error)
            while number < end:
                if wanted(number):
                    yield _problem(number, BROKEN_PARQUET, detail=detail)
                number += 1


def read_arrow(storage: Storage, config: RowsConfig, wanted: Wanted, file: str) -> Iterator[Row]:
    """Yield the rows of an Arrow IPC file or stream, as ``datasets`` writes them.

    Raises:
        InputError: the file has no such text column.
    """
    number = 0
    try:
        head = storage.read(6)
        storage.seek(0)
        opened: Any = pa.ipc.open_file(storage) if head == b"ARROW1" else pa.ipc.open_stream(storage)
        batches = (opened.get_batch(i) for i in range(opened.num_record_batches)) if head == b"ARROW1" else iter(opened)
        columns = _columns(opened.schema.names, config, file)
        for batch in batches:
            batch = batch.select(columns) if columns is not None else batch
            # Arrow trusts the offsets in a file: without this, a wrong one reads memory outside of the batch.
            batch.validate(full=True)
            for start in range(0, batch.num_rows, BATCH_ROWS):
                piece = batch.slice(start, BATCH_ROWS)
                yield from _batch_rows(piece, number, config, wanted)
                number += piece.num_rows
    except InputError:
        raise
    except Exception as error:
        _check_storage(storage, error)
        if wanted(number):
            yield _problem(number, BROKEN_ARROW, detail=str(error))


def _check_storage(storage: Storage, error: Exception) -> None:
    if storage.failure is not None:
        raise storage.failure from error


def _columns(names: list[str], config: RowsConfig, file: str) -> list[str] | None:
    """Return the columns to read, None for all; the text column must be there."""
    if config.without_text == "fail" and config.text not in names and config.text.split(".")[0] not in names:
        raise NoTextColumn(f"text={config.text}: {file} has no such column. Its columns: {', '.join(names[:30])}.")
    if config.metadata is None:
        return None
    asked = [config.text, config.id, config.url, *config.metadata]
    found = [name if name in names else name.split(".")[0] for name in asked if name]
    return [name for name in dict.fromkeys(found) if name in names]


def _batch_rows(batch: pa.RecordBatch, first: int, config: RowsConfig, wanted: Wanted) -> Iterator[Row]:
    numbers = [number for number in range(first, first + batch.num_rows) if wanted(number)]
    if not numbers:
        return
    overlong = _overlong(batch, config)
    if overlong is None:
        chosen = batch if len(numbers) == batch.num_rows else batch.take([number - first for number in numbers])
        try:
            values = to_rows(chosen)
        except (UnicodeDecodeError, ValueError, OverflowError):
            pass  # one row is at fault: below, each is converted alone
        else:
            yield from map(Row, numbers, values)
            return
    for number in numbers:
        if overlong is not None and overlong[number - first]:
            yield _problem(number, TOO_LONG)
            continue
        try:
            text = config.text if config.text in batch.schema.names else config.text.partition(".")[0]
            yield Row(number, to_row(batch, number - first, text))
        except UnicodeDecodeError as error:
            yield _problem(number, NOT_UTF8, b"", str(error))


def _overlong(batch: pa.RecordBatch, config: RowsConfig) -> list[bool] | None:
    """Say which rows' texts are too long to be made Python strings of; None when no text is."""
    if config.text not in batch.schema.names:
        return None
    column = batch.column(batch.schema.names.index(config.text))
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if not any(is_kind(column.type) for is_kind in kinds):
        return None
    sizes = pc.greater(pc.fill_null(pc.binary_length(column), 0), config.max_row_bytes)
    return sizes.to_pylist() if pc.any(sizes).as_py() else None


READERS: dict[str, Reader] = {
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".arrow": read_arrow,
}
assert set(READERS) == set(ROWS), "an ending without a reader, or a reader without an ending"
