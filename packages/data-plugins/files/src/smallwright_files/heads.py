"""A look into files before any work: whether they are whole, and have the field that is set as the text."""

import functools
import itertools
import sys
import time
from collections.abc import Sequence

import pyarrow.parquet as pq
from core import cli
from core.errors import InputError

from smallwright_files import formats
from smallwright_files.endings import kind_of
from smallwright_files.rows import Row, check_text
from smallwright_files.rows_config import RowsConfig
from smallwright_files.streams import BrokenStream, chunks, open_storage

FIRST_ROWS = 50
FIRST_BYTES = 1 << 22
LOOKING_SECONDS = 2.0
"""For whether files are whole, while planning."""


def reader_of(config: RowsConfig, file: str) -> formats.Reader:
    """Return what reads a file: of a hub dataset by its ending, else by the step."""
    if config.FORMAT == "by ending":
        return formats.READERS[kind_of(file)]
    if config.FORMAT == "parquet":
        return formats.read_parquet
    return formats.read_json if kind_of(file) == ".json" else formats.read_jsonl


def check_heads(config: RowsConfig, files: Sequence[str], where: str) -> None:
    """Check that some of the first rows have the field of the text, unless rows without text are kept.

    Args:
        where: Place of the settings, such as ``data.steps.read``.

    Raises:
        InputError: none has it; the message names the fields that they have.
    """
    if config.without_text == "fail":
        check_text({file: _first_rows(config, file, where) for file in files}, config.text, where)


def whole(config: RowsConfig, files: Sequence[str], where: str) -> list[str]:
    """Return the files whose footer or first block can be read, and warn of the others.

    Those that are not looked into within :data:`LOOKING_SECONDS` count as whole.

    Raises:
        InputError: none can be read.
    """
    end = time.monotonic() + LOOKING_SECONDS
    found = {file: _damage(config, file) if time.monotonic() < end else None for file in files}
    damaged = {file: reason for file, reason in found.items() if reason is not None}
    if damaged:
        first, reason = next(iter(damaged.items()))
        others = f", and so are {len(damaged) - 1:,} others" if len(damaged) > 1 else ""
        said = f"{first} is damaged ({reason}){others}"
        if len(damaged) == len(files):
            raise InputError(f"{where}: {said}: there is nothing to read. Give other files.")
        _warn(f"{said}; what can be read of {len(files):,} files is read, and the rest is counted as failed.")
    return [file for file in files if file not in damaged]


@functools.cache
def _warn(line: str) -> None:
    """Print a warning, once in a process: the runs of a sweep are planned one by one."""
    print(cli.printable(f"warning: {line}"), file=sys.stderr)


def _damage(config: RowsConfig, file: str) -> str | None:
    """Return what is wrong with the footer of Parquet, or why no line of another file can be read."""
    read = b""
    try:
        with open_storage(file) as storage:
            if reader_of(config, file) is formats.read_parquet:
                pq.ParquetFile(storage, pre_buffer=False).close()
            else:
                for piece in itertools.islice(chunks(storage), 2):  # damage is told behind what stands before it
                    read += piece
    except InputError:  # a storage that fails: reading will say so
        return None
    except BrokenStream as broken:
        return None if b"\n" in read else f"{broken.reason}: {broken}"
    except Exception as error:
        return f"{formats.BROKEN_PARQUET}: {str(error).splitlines()[0]}"
    return None


def _first_rows(config: RowsConfig, file: str, where: str) -> list[Row]:
    rows: list[Row] = []
    size = 0
    try:
        with open_storage(file) as storage:
            every = reader_of(config, file)(storage, config, lambda number: True, file)
            for row in itertools.islice(every, FIRST_ROWS):
                rows.append(row)
                size += sum(len(value) for value in (row.values or {}).values() if isinstance(value, (str, bytes)))
                if size > FIRST_BYTES:
                    break
    except formats.NoTextColumn as error:
        raise formats.NoTextColumn(f"{where}.{error}") from error
    except InputError:  # a storage that fails: reading will say so
        return []
    return rows
