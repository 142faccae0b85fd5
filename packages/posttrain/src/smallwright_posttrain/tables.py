"""Read the rows of a table: comma-, semicolon- or tab-separated values with the names of the columns in the first line.

Cells are texts. One that is a list of messages, as JSON or as Python or NumPy writes it (pandas does), becomes that
list; an empty one is None.
"""

import ast
import contextlib
import csv
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from smallwright_posttrain.rows import ROLE_KEYS, BadRow

SEPARATORS = ",\t;"
_LIST_OF_NUMPY = re.compile(r"\}\s*\n\s*\{")
"""Between the items of an array as NumPy writes it; within a text of an item a new line is written ``\\n``."""
_ENDLESS = "a quote that is not closed: nothing behind it can be read"
_NOT_A_ROW = "not comma-separated: text stands beside a quoted cell"
_OTHER_CELLS = "not as many cells as the first line names"
_TOO_LONG = "a cell longer than a row may be"


def read(file: IO[bytes], most: int) -> Iterator[tuple[int, Any]]:
    """Yield (number, row) from the line behind the names; what cannot be read is a :class:`BadRow`.

    Bytes that are not UTF-8 are in the cells as ``surrogateescape`` writes them.

    Args:
        most: Bytes that a line, and characters that a cell may have.
    """
    csv.field_size_limit(most)  # the module's own 131,072 is less than a long conversation
    lines = (line.decode("utf-8", "surrogateescape") for line in iter(lambda: file.readline(most + 1), b""))
    head = next((line for line in lines if line.strip()), "")
    # Strict: else text beside quotes would be changed without a word.
    rows = csv.reader(lines, delimiter=max(SEPARATORS, key=head.count), strict=True)
    names = [name.strip() for name in next(csv.reader([head], delimiter=rows.dialect.delimiter), [])]
    number = 0
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            number += 1
            yield number, BadRow(_reason(str(error)))
            continue
        if cells is None:
            return
        if cells:
            number += 1
            yield number, _row(names, cells)


def _reason(error: str) -> str:
    if "unexpected end" in error:
        return _ENDLESS
    return _TOO_LONG if "larger than" in error else _NOT_A_ROW


def _row(names: list[str], cells: list[str]) -> Any:
    if len(cells) != len(names):
        return BadRow(_OTHER_CELLS)
    return {name: _value(cell) for name, cell in zip(names, cells, strict=True) if name}


def _of_python(text: str) -> Any:
    return ast.literal_eval(_LIST_OF_NUMPY.sub("}, {", text))


def _value(cell: str) -> Any:
    text = cell.strip()
    if not text:
        return None
    for parse in (json.loads, _of_python) if text.startswith("[{") and text.endswith("]") else ():
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            value = parse(text)
            if isinstance(value, list) and all(isinstance(item, dict) and set(ROLE_KEYS) & set(item) for item in value):
                return value
    return cell
