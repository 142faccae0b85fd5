"""ARC, versions 1 and 2, the format before WARC: a line of fields, then so many bytes, then an empty line.

The first record, ``filedesc:``, says how many fields a line has. A URL may hold spaces, so fields are counted from
the right. Reference: https://archive.org/web/researcher/ArcFileFormat.php
"""

import contextlib
import re
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import BinaryIO, cast

from smallwright_warc.containers import (
    CHUNK,
    GZIP_MAGIC,
    TRUNCATED,
    InflatedMember,
    Member,
    inspect_member,
    kind_of,
    only_zeros,
)
from smallwright_warc.entries import BAD_HEADERS, WRONG_LENGTH, ArchiveEntry

Wanted = Callable[[str, Mapping[str, str]], bool]
MAX_LINE = 64 * 1024
FIELDS = {b"1": 5, b"2": 10}
_URL = re.compile(rb"[a-zA-Z][a-zA-Z0-9+.-]{1,20}:")
_LINE_START = re.compile(rb"(?<=\n)[a-zA-Z][a-zA-Z0-9+.-]{1,20}:")


def is_arc(stream: BinaryIO, offset: int) -> bool:
    """Whether a record of an ARC file, plain or gzip, stands at ``offset``."""
    stream.seek(offset)
    head = _read(stream, 4096)
    if kind_of(head) == "gzip":
        try:
            head = zlib.decompressobj(31).decompress(head, 4096)
        except zlib.error:
            return False
    return head.startswith(b"filedesc:") or (offset > 0 and _is_line(head))


def arc_records(stream: BinaryIO, limit: int, wanted: Wanted, start: int) -> Iterator[ArchiveEntry]:
    """Yield the records of an ARC file from ``start`` on, and an entry with ``problem`` for what cannot be read.

    Args:
        limit: Longest content that is read, in bytes.
        wanted: Says by kind and headers whether a record's content is read.
    """
    size = stream.seek(0, 2)
    stream.seek(start)
    reader = _Reader(limit, wanted)
    if kind_of(stream.read(4)) != "gzip":
        yield from reader.records(stream, start)
        return
    place: int | None = start
    while place is not None and place < size and not only_zeros(stream, place):
        if not _is_member(stream, place):
            yield ArchiveEntry(place, problem=BAD_HEADERS)
            place = _next_member(stream, place, size)
            continue
        member = inspect_member(stream, place)
        yield from _member_entries(reader, stream, place, member)
        place = member.end if member.end is not None else _next_member(stream, place + 1, size)


def _member_entries(
    reader: "_Reader", stream: BinaryIO, place: int, member: Member
) -> Generator[ArchiveEntry, None, None]:
    """Yield the records of one gzip member; its damage belongs to the last of them."""
    end, damage = member.end, member.damage
    last: ArchiveEntry | None = None
    count = 0
    content = InflatedMember(stream, place, member.size, reader.limit + 4 * CHUNK)
    for entry in reader.records(cast(BinaryIO, content), 0):
        if last is not None:
            yield last
        entry.offset, entry.length = place, None
        last, count = entry, count + 1
    if last is None:
        if damage is not None:
            yield ArchiveEntry(place, problem=damage)
    elif damage is not None and (count == 1 or last.problem is not None):
        yield last.damaged(damage)
    else:
        if end is not None and count == 1:
            last.length = end - place
        yield last
        if damage is not None:
            yield ArchiveEntry(place, problem=damage)


class _Reader:
    """Reads records out of plain bytes, remembering what ``filedesc:`` said."""

    def __init__(self, limit: int, wanted: Wanted) -> None:
        self.limit, self._wanted = limit, wanted
        self._fields = FIELDS[b"1"]

    def records(self, stream: BinaryIO, position: int | None) -> Iterator[ArchiveEntry]:
        """Yield the records from ``position`` on; offsets are positions in ``stream``."""
        while position is not None:
            stream.seek(position)
            head = _read(stream, MAX_LINE)
            line = head.lstrip(b"\r\n\0")
            position += len(head) - len(line)
            if not line:
                if not head:
                    return
                continue
            line = line[: line.find(b"\n") + 1] or line
            headers = self._headers(line)
            if headers is None:
                following = _find(stream, position + 1)
                cut = following is None and not line.endswith(b"\n")
                yield ArchiveEntry(position, problem=TRUNCATED if cut else BAD_HEADERS)
                position = following
                continue
            entry = self._entry(stream, position, position + len(line), headers)
            position = position + entry.length if entry.length else _find(stream, position + len(line))
            yield entry

    def _headers(self, line: bytes) -> dict[str, str] | None:
        """Return a record line as WARC headers; None when it is none."""
        fields = _fields(line, self._fields) or _fields(line, FIELDS[b"1"])  # filedesc: of version 2 may have five
        if fields is None:
            return None
        when = fields[2].decode()
        return {
            "warc-target-uri": fields[0].decode("utf-8", "replace"),
            "warc-ip-address": fields[1].decode("latin-1")[:100],
            "warc-date": f"{when[:4]}-{when[4:6]}-{when[6:8]}T{when[8:10]}:{when[10:12]}:{when[12:]}Z",
            "content-type": "application/http; msgtype=response",
            "content-length": str(int(fields[-1])),
        }

    def _entry(self, stream: BinaryIO, position: int, begin: int, headers: dict[str, str]) -> ArchiveEntry:
        length = int(headers["content-length"])
        scheme = headers["warc-target-uri"].partition(":")[0].lower()
        kind = {"http": "response", "https": "response", "filedesc": "warcinfo"}.get(scheme, "resource")
        too_large = length > self.limit
        entry = ArchiveEntry(position, kind, headers, None, too_large)
        stream.seek(begin + length - 1)  # the byte before the content's end: there is one when the content is whole
        behind = _read(stream, MAX_LINE)
        if not behind:
            return entry.damaged(TRUNCATED)
        behind = behind[1:]
        rest = behind.lstrip(b"\r\n\0")
        if rest and len(rest) == len(behind) and not _is_line(rest):
            return entry.damaged(WRONG_LENGTH)  # before the content is read: many may be wrong
        entry.length = begin + length - position + len(behind) - len(rest)
        stream.seek(begin)
        if kind == "warcinfo":
            entry.block = _read(stream, min(length, MAX_LINE))
            self._fields = FIELDS.get(entry.block[:1], FIELDS[b"1"])
        elif not too_large and self._wanted(kind, headers):
            entry.block = _read(stream, length)
        return entry


def _fields(line: bytes, number: int) -> list[bytes] | None:
    """Split a record line into URL, address, date, ..., length; None when it is no such line."""
    fields = line.rstrip(b"\r\n").rsplit(b" ", number - 1)
    if len(fields) < number or not _URL.match(fields[0]):
        return None
    if not re.fullmatch(rb"\d{14}", fields[2]) or not re.fullmatch(rb"\d{1,12}", fields[-1]):
        return None
    return fields


def _is_line(head: bytes) -> bool:
    """Whether ``head`` begins with a record line."""
    line = head[:MAX_LINE].partition(b"\n")[0]
    return any(_fields(line, number) is not None for number in FIELDS.values())


def _find(stream: BinaryIO, position: int) -> int | None:
    """Find the first place from ``position`` on where a record line begins."""
    position = max(0, position - 1)
    while True:
        stream.seek(position)
        window = _read(stream, CHUNK)
        final = len(window) < CHUNK
        for match in _LINE_START.finditer(window):
            if not final and match.start() > CHUNK - MAX_LINE:
                break
            if _is_line(window[match.start() : match.start() + MAX_LINE]):
                return position + match.start()
        if final:
            return None
        position += CHUNK - MAX_LINE


def _next_member(stream: BinaryIO, position: int, size: int) -> int | None:
    """Find the first gzip member from ``position`` on that begins with a record line."""
    while position < size:
        stream.seek(position)
        window = _read(stream, CHUNK)
        place = window.find(GZIP_MAGIC)
        while place >= 0:
            with contextlib.suppress(zlib.error):
                if _is_line(zlib.decompressobj(31).decompress(window[place : place + 4096], 4096)):
                    return position + place
            place = window.find(GZIP_MAGIC, place + 1)
        if position + len(window) >= size:
            return None
        position += max(1, len(window) - 4096)
    return None


def _is_member(stream: BinaryIO, offset: int) -> bool:
    stream.seek(offset)
    return stream.read(3) == GZIP_MAGIC


def _read(stream: BinaryIO, size: int) -> bytes:
    """Read exactly ``size`` bytes, or up to the end."""
    data = stream.read(size)
    if len(data) == size:
        return data
    pieces = [data]
    left = size - len(data)
    while data and left and (data := stream.read(left)):
        pieces.append(data)
        left -= len(data)
    return b"".join(pieces)
