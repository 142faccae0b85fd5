"""Records of one web archive file, whatever state the file is in.

FastWARC parses; this module adds what a corpus builder needs beyond it. FastWARC ends in silence where a gzip stream
is cut off, and stops for good at the first broken byte. Here a cut is found by walking the last gzip member, and
reading goes on at the next record that can be read; each broken part is reported once.
"""

import dataclasses
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord

GZIP_MAGIC = b"\x1f\x8b\x08"
OTHER_MAGICS = (b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18", b"\x04\x22\x4d\x18")  # zstd, its dictionary frame, lz4
CHUNK = 1 << 20
READ_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zlib.error)

TRUNCATED = "truncated record"
CORRUPT_GZIP = "corrupt gzip"
BAD_HEADERS = "bad WARC headers"
NOT_WARC = "not a WARC file"
ARC = "ARC is not supported"
EMPTY = "empty file"


@dataclasses.dataclass(frozen=True)
class ArchiveEntry:
    """A record, or a place where the file could not be read."""

    offset: int
    """Byte offset in the file as stored (for gzip: of the member)."""
    kind: str = "unknown"
    """``response``, ``request``, ``warcinfo`` ... in FastWARC's words."""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    """WARC headers, names in lower case."""
    block: bytes | None = None
    """Content of a wanted record; None when it is not wanted, too large or broken."""
    too_large: bool = False
    problem: str | None = None
    """Why the record, or this place, cannot be read."""


class Archive:
    """One archive file, open for reading.

    Args:
        stream: Seekable binary stream of the stored bytes.
        max_record_bytes: Records with a longer block are not read.
        wanted: Record types whose block is read.
    """

    def __init__(
        self, stream: BinaryIO, max_record_bytes: int, wanted: frozenset[str] = frozenset({"response"})
    ) -> None:
        self._stream = stream
        self._limit = max_record_bytes
        self._wanted = wanted
        self._size = stream.seek(0, 2)
        stream.seek(0)
        head = stream.read(4)
        self._gzip = head.startswith(GZIP_MAGIC)
        self._opaque = head.startswith(OTHER_MAGICS) or head[1:4] == OTHER_MAGICS[1]

    def entries(self) -> Iterator[ArchiveEntry]:
        """Yield every record, and one entry with ``problem`` for each part that cannot be read."""
        if self._size == 0:
            yield ArchiveEntry(0, problem=EMPTY)
            return
        if self._is_arc():
            yield ArchiveEntry(0, problem=ARC)
            return
        offset: int | None = 0
        while offset is not None and offset < self._size:
            last: ArchiveEntry | None = None
            error: Exception | None = None
            try:
                self._stream.seek(offset)
                for record in ArchiveIterator(self._stream, parse_http=False):
                    last = self._entry(record)
                    yield last
                    if last.problem is not None:
                        break
            except READ_ERRORS as caught:
                error = caught
            place, offset, problem = self._where_next(offset, last, error)
            if problem is not None:
                yield ArchiveEntry(place, problem=problem)

    def _entry(self, record: WarcRecord) -> ArchiveEntry:
        offset, kind, length = record.stream_pos, str(record.record_type), record.content_length
        headers = {name.lower(): value for name, value in record.headers.to_tuples()}
        if "content-length" not in headers:
            return ArchiveEntry(offset, kind, headers, problem=self._why_no_length(offset))
        if kind not in self._wanted or length > self._limit:
            # Skipped by decompressing piece by piece: constant memory, and it shows whether the record is whole.
            skipped = record.reader.consume()
            problem = TRUNCATED if skipped < length else None
            return ArchiveEntry(offset, kind, headers, too_large=length > self._limit, problem=problem)
        block = bytearray()
        while len(block) < length and (piece := record.reader.read(min(CHUNK, length - len(block)))):
            block += piece
        if len(block) < length:
            return ArchiveEntry(offset, kind, headers, problem=TRUNCATED)
        return ArchiveEntry(offset, kind, headers, block=bytes(block))

    def _why_no_length(self, offset: int) -> str:
        """Say whether headers without a length are wrong, or cut off before it."""
        if self._gzip and self._is_member(offset):
            return self._member_end(offset)[1] or BAD_HEADERS
        self._stream.seek(offset)
        return BAD_HEADERS if re.search(rb"\n\r?\n", self._stream.read(1 << 16)) else TRUNCATED

    def _where_next(
        self, offset: int, last: ArchiveEntry | None, error: Exception | None
    ) -> tuple[int, int | None, str | None]:
        """Say what stopped the iteration that began at ``offset``: (place, where to go on, problem)."""
        if self._opaque:
            if error is None:
                return offset, None, None
            return offset, None, NOT_WARC if last is None else "corrupt compression"
        if not self._gzip:
            return self._where_next_plain(offset, last, error)
        if last is None:
            end, problem = self._member_end(offset)
            if error is None and (problem is None or self._only_zeros(offset)):
                return offset, None, None
            if problem is None:
                problem = NOT_WARC if offset == 0 else BAD_HEADERS
            return offset, self._next_record(end or offset + 1), problem
        place = last.offset if self._is_member(last.offset) else offset
        reported = last.problem is not None
        while place < self._size:
            end, problem = self._member_end(place)
            if problem is not None:
                if reported or self._only_zeros(place):
                    return place, None if self._only_zeros(place) else self._next_record(place + 1), None
                return place, self._next_record(place + 1), problem
            assert end is not None
            if error is not None or reported:
                # What FastWARC refused comes after this member, or in this one behind its record.
                after = self._next_record(end)
                if reported or after == end or self._only_zeros(end):
                    return end, after, None
                return end, after, (self._member_end(end)[1] if self._is_member(end) else None) or BAD_HEADERS
            place = end
        return self._size, None, None

    def _where_next_plain(
        self, offset: int, last: ArchiveEntry | None, error: Exception | None
    ) -> tuple[int, int | None, str | None]:
        if last is None:
            if error is None:
                return offset, None, None
            problem = NOT_WARC if offset == 0 else BAD_HEADERS
            following = self._next_record(offset + 1)
            if following is None and offset == 0:
                self._gzip = True
                following = self._next_record(1)
            return offset, following, problem
        if error is None and last.problem is None:
            return offset, None, None
        if last.problem is not None:
            return offset, self._next_record(last.offset + 1), None
        end = self._plain_end(last)
        following = self._next_record(end)
        return end, following, None if following == end else BAD_HEADERS

    def _plain_end(self, entry: ArchiveEntry) -> int:
        """Return where the record after ``entry`` should begin."""
        self._stream.seek(entry.offset)
        head = self._stream.read(1 << 16)
        end = re.search(rb"\r?\n\r?\n", head)
        position = entry.offset + (end.end() if end else 1) + int(entry.headers["content-length"])
        self._stream.seek(position)
        between = self._stream.read(16)
        return position + len(between) - len(between.lstrip(b"\r\n"))

    def _is_arc(self) -> bool:
        self._stream.seek(0)
        head = self._stream.read(4096)
        if self._gzip:
            try:
                head = zlib.decompressobj(31).decompress(head, 64)
            except zlib.error:
                return False
        return head.startswith(b"filedesc:")

    def _is_member(self, offset: int) -> bool:
        self._stream.seek(offset)
        return self._stream.read(3) == GZIP_MAGIC

    def _only_zeros(self, offset: int) -> bool:
        """Whether the file holds nothing but padding from ``offset`` on."""
        self._stream.seek(offset)
        while piece := self._stream.read(CHUNK):
            if piece.strip(b"\0"):
                return False
        return True

    def _member_end(self, offset: int) -> tuple[int | None, str | None]:
        """Decompress one gzip member and return where it ends, or what is wrong with it."""
        self._stream.seek(offset)
        inflater = zlib.decompressobj(31)
        position = offset
        while piece := self._stream.read(CHUNK >> 4):
            position += len(piece)
            try:
                while piece and not inflater.eof:
                    inflater.decompress(piece, CHUNK)
                    piece = inflater.unconsumed_tail
            except zlib.error:
                return None, CORRUPT_GZIP
            if inflater.eof:
                return position - len(inflater.unused_data), None
        return None, TRUNCATED

    def _next_record(self, offset: int) -> int | None:
        """Find the first place from ``offset`` on where a record begins."""
        pattern = re.compile(re.escape(GZIP_MAGIC)) if self._gzip else re.compile(rb"(?<=\n)WARC/[01]\.")
        overlap = 4096
        offset = max(0, offset - (0 if self._gzip else 1))
        while offset < self._size:
            self._stream.seek(offset)
            window = self._stream.read(CHUNK)
            if not window:
                return None
            final = offset + len(window) >= self._size
            for match in pattern.finditer(window):
                if not final and match.start() >= len(window) - overlap:
                    break
                if not self._gzip or _begins_record(window[match.start() : match.start() + overlap]):
                    return offset + match.start()
            offset = self._size if final else offset + max(1, len(window) - overlap)
        return None


def _begins_record(member: bytes) -> bool:
    try:
        return zlib.decompressobj(31).decompress(member, 5) == b"WARC/"
    except zlib.error:
        return False
