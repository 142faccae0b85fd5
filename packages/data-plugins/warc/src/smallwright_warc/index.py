"""Rows of an index of web archives: which record is where.

Read are tables with the columns of Common Crawl's columnar index (https://commoncrawl.org/columnar-index) as Parquet,
CSV or JSON lines, and CDXJ lines as of Common Crawl's and pywb's indexes: key, timestamp, and a JSON object.
"""

import csv
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any
from urllib.parse import unquote

from core.storage import open_file

COLUMNS = {
    "url": ("url",),
    "filename": ("warc_filename", "filename"),
    "offset": ("warc_record_offset", "offset"),
    "length": ("warc_record_length", "length"),
    "time": ("fetch_time", "timestamp"),
    "status": ("fetch_status", "status"),
    "languages": ("content_languages", "languages"),
}
"""Fields of a row, and the column names that indexes give them."""
MAX_LINE = 1 << 20
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")


@dataclasses.dataclass(frozen=True, kw_only=True)
class IndexRow:
    """Where one record is, and what the index says of it."""

    filename: str
    offset: int
    length: int | None
    url: str = ""
    time: str = ""
    status: int | None = None
    languages: str = ""


def read_rows(file: str) -> Iterator[IndexRow | None]:
    """Yield the rows of an index file; None for a row that names no record.

    Raises:
        OSError, ValueError: the file cannot be read on.
    """
    for values in _values(file):
        yield parse_row(values) if values is not None else None


def parse_row(values: Mapping[str, Any]) -> IndexRow | None:
    """Return the row that a mapping of column names to values holds; None when it names no record."""
    found: dict[str, Any] = {}
    for name, columns in COLUMNS.items():
        value = next((values[column] for column in columns if values.get(column) is not None), None)
        if value is not None and not isinstance(value, (str, int, float)):
            value = value.isoformat() if hasattr(value, "isoformat") else None  # dates of Parquet
        found[name] = value
    filename = str(found["filename"] or "").strip()
    offset, length = whole_number(found["offset"]), whole_number(found["length"])
    if offset is None or not is_below(filename) or (found["length"] and not length):
        return None
    return IndexRow(
        filename=filename,
        offset=offset,
        length=length,
        url=str(found["url"] or ""),
        time=_iso(str(found["time"] or "")),
        status=whole_number(found["status"]),
        languages=str(found["languages"] or ""),
    )


def is_below(name: str) -> bool:
    """Whether a file's name that is put behind a folder or a URL stays below it."""
    parts = re.split(r"[/\\\\]", unquote(name))
    return bool(name.strip("/ ")) and ".." not in parts and "\0" not in name and "::" not in name


def whole_number(value: Any) -> int | None:
    """Return a whole number from 0 to 2^63 - 1; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value.strip()):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None


def _iso(time: str) -> str:
    """Return a date and time in the form that WARC uses: from 14 digits, or from ``YYYY-MM-DD hh:mm:ss[.000]``."""
    if re.fullmatch(r"\d{14}", time):
        return f"{time[:4]}-{time[4:6]}-{time[6:8]}T{time[8:10]}:{time[10:12]}:{time[12:]}Z"
    match = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", time)
    return f"{match[1]}T{match[2]}Z" if match else ""


def _values(file: str) -> Iterator[Mapping[str, Any] | None]:
    """Yield the columns of each row; None for a line that is no row."""
    name = file.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    if name.endswith(".parquet"):
        yield from _from_parquet(file)
        return
    with open_file(file, "rt", encoding="utf-8", errors="replace", compression="infer", newline="") as lines:
        if name.endswith(".csv"):
            yield from _from_csv(lines)
        else:
            for line in _lines(lines):
                yield _from_line(line) if line is not None else None


def _lines(file: IO[str]) -> Iterator[str | None]:
    """Yield lines that are not empty; None for one that is too long to be a row."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith("\n"):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith("\n"):
                pass
            yield None
        elif line.strip():
            yield line


def _from_line(line: str) -> Mapping[str, Any] | None:
    """Read a JSON object, alone or behind the key and timestamp of CDXJ."""
    start = line.find("{")
    before = line[:start].split() if start >= 0 else []
    if start < 0 or len(before) > 2:
        return None
    try:
        values = json.loads(line[start:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    return {"timestamp": before[1], **values} if len(before) == 2 else values


def _from_csv(file: IO[str]) -> Iterator[Mapping[str, Any] | None]:
    reader = csv.reader(line if line is not None else "\n" for line in _lines(file))
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None
            continue
        if header is None:
            header = [cell.strip().lstrip("\ufeff") for cell in cells]
        elif len(cells) != len(header):
            yield None
        else:
            yield {name: cell for name, cell in zip(header, cells, strict=True) if cell}


def _from_parquet(file: str) -> Iterator[Mapping[str, Any] | None]:
    import pyarrow.parquet as pq

    wanted = {column for columns in COLUMNS.values() for column in columns}
    with open_file(file, "rb") as stream, pq.ParquetFile(stream) as table:
        columns = [column for column in table.schema_arrow.names if column in wanted]
        for batch in table.iter_batches(batch_size=10_000, columns=columns):
            yield from batch.to_pylist()
