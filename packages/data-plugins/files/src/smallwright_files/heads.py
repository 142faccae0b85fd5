"""A look at the first rows of files, before any work: whether they have the field that is set as the text."""

import itertools
from collections.abc import Sequence

from core.errors import InputError

from smallwright_files import formats
from smallwright_files.endings import kind_of
from smallwright_files.rows import Row, check_text
from smallwright_files.rows_config import RowsConfig
from smallwright_files.streams import open_storage

FIRST_ROWS = 50
FIRST_BYTES = 1 << 22


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
