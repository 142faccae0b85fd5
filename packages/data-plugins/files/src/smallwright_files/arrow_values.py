"""Values of Arrow columns as Python has them, where Arrow's own conversion gives none.

Python's times end at microseconds and at the year 9999. Arrow turns nanoseconds into Pandas' times where Pandas is
installed, and otherwise refuses them; here they are written as ISO 8601 writes them.
"""

import datetime
from typing import Any

import pyarrow as pa

from smallwright_files.rows import Unreadable

BEFORE = datetime.datetime(1970, 1, 1)


def to_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of a batch.

    Raises:
        UnicodeDecodeError, ValueError, OverflowError: some value cannot be Python's.
    """
    if not any(_in_nanoseconds(field.type) for field in batch.schema):
        return list(batch.to_pylist())
    columns = [_column(batch.column(number)) for number in range(batch.num_columns)]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def to_row(batch: pa.RecordBatch, number: int, needed: str) -> dict[str, Any]:
    """Return one row, with :class:`Unreadable` for values that cannot be Python's.

    Raises:
        UnicodeDecodeError: the text in the column ``needed`` is not UTF-8.
    """
    row: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = _column(column.slice(number, 1))[0]
        except (ValueError, OverflowError) as error:
            if name == needed and isinstance(error, UnicodeDecodeError):
                raise
            row[name] = Unreadable()
    return row


def _column(column: pa.Array) -> list[Any]:
    kind = column.type
    if not _in_nanoseconds(kind):
        return list(column.to_pylist())
    try:
        return [_written(value, kind) for value in column.cast(_as_numbers(kind)).to_pylist()]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # a kind of nesting that Arrow does not cast
        return list(column.to_pylist())


def _in_nanoseconds(kind: pa.DataType) -> bool:
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind) or pa.types.is_duration(kind):
        return bool(kind.unit == "ns")
    if pa.types.is_struct(kind):
        return any(_in_nanoseconds(kind.field(number).type) for number in range(kind.num_fields))
    return _is_list(kind) and _in_nanoseconds(kind.value_type)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _as_numbers(kind: pa.DataType) -> pa.DataType:
    """Return a type with numbers where ``kind`` has nanoseconds."""
    if not _in_nanoseconds(kind):
        return kind
    if pa.types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return pa.struct([field.with_type(_as_numbers(field.type)) for field in fields])
    if not _is_list(kind):
        return pa.int64()
    inner = kind.value_field.with_type(_as_numbers(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(inner, kind.list_size)
    return pa.large_list(inner) if pa.types.is_large_list(kind) else pa.list_(inner)


def _written(value: Any, kind: pa.DataType) -> Any:
    """Return a value with its nanoseconds written out."""
    if value is None or not _in_nanoseconds(kind):
        return value
    if pa.types.is_struct(kind):
        return {name: _written(inner, kind.field(name).type) for name, inner in value.items()}
    if _is_list(kind):
        return [_written(inner, kind.value_type) for inner in value]
    if pa.types.is_duration(kind):
        return value / 1_000_000_000
    seconds, nanoseconds = divmod(value, 1_000_000_000)
    moment = BEFORE + datetime.timedelta(seconds=seconds)
    fraction = f".{nanoseconds:09d}" if nanoseconds % 1000 else f".{nanoseconds // 1000:06d}" if nanoseconds else ""
    if pa.types.is_time64(kind):
        return moment.time().isoformat() + fraction
    return moment.isoformat() + fraction + ("" if kind.tz is None else "+00:00")
