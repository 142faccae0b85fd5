"""Compressed files under an archive: where members begin and end, what is wrong with them, and views of their content.

A member is one gzip member, zstd frame or lz4 frame. Crawlers write one per record, so that a record can be read
alone; other tools compress a whole file as one.
"""

import contextlib
import dataclasses
import io
import re
import zlib
from typing import Any, BinaryIO, cast

from fastwarc.stream_io import ZstdReader

GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
OTHER_MAGICS = (b"\x04\x22\x4d\x18",)
"""First bytes of lz4, which FastWARC reads too. Behind damage such a file is not searched for further records."""
CHUNK = 1 << 20
RESCUE = 256
"""Bytes of damaged gzip that are decompressed together: few, since those around the damage are taken one by one."""
READ_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zlib.error)

TRUNCATED = "truncated record"
CORRUPT_GZIP = "corrupt gzip"


def kind_of(head: bytes) -> str:
    """Name a file by its first bytes: ``gzip``, ``zstd``, ``opaque`` (lz4, or zstd with a dictionary) or ``plain``."""
    if head.startswith(GZIP_MAGIC):
        return "gzip"
    if head.startswith(ZSTD_MAGIC):
        return "zstd"
    if head.startswith(OTHER_MAGICS) or head[1:4] == b"\x2a\x4d\x18":
        return "opaque"
    return "plain"


class Window:
    """A stream that remembers the last pieces that were read from it.

    FastWARC reports a position for each record. For the first record of a member that is where the member begins, for
    the others how far it had read. The bytes at the position, which stand in the remembered pieces, tell which it is.
    """

    KEPT = 4

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._pieces: list[tuple[int, bytes]] = []

    def read(self, size: int = -1) -> bytes:
        """Read, and remember the last few pieces."""
        place = self._stream.tell()
        piece = self._stream.read(size)
        self._pieces.append((place, piece))
        if len(self._pieces) > self.KEPT:
            del self._pieces[0]
        return piece

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def starts_with(self, offset: int, magic: bytes) -> bool:
        """Whether ``magic`` stands at ``offset``; False where that place is forgotten or not read yet."""
        for number, (place, piece) in enumerate(self._pieces):
            if place <= offset < place + len(piece):
                there = piece[offset - place : offset - place + len(magic)]
                if len(there) < len(magic) and number + 1 < len(self._pieces):
                    there += self._pieces[number + 1][1][: len(magic) - len(there)]
                return there == magic
        return False


@dataclasses.dataclass(frozen=True)
class Member:
    """What decompressing a gzip member showed."""

    end: int | None = None
    """Where it ends; None when it is damaged."""
    size: int | None = None
    """Bytes of its content; None when it is damaged."""
    damage: str | None = None
    """What is wrong with it."""


def inspect_member(stream: BinaryIO, offset: int) -> Member:
    """Decompress one gzip member, in constant memory, and return where it ends, or what is wrong with it."""
    stream.seek(offset)
    inflater = zlib.decompressobj(31)
    position, size = offset, 0
    while piece := stream.read(CHUNK >> 4):
        position += len(piece)
        try:
            while piece and not inflater.eof:
                size += len(inflater.decompress(piece, CHUNK))
                piece = inflater.unconsumed_tail
        except zlib.error:
            return Member(damage=CORRUPT_GZIP)
        if inflater.eof:
            return Member(end=position - len(inflater.unused_data), size=size)
    return Member(damage=TRUNCATED)


def frame_end(stream: BinaryIO, offset: int, size: int) -> int | None:
    """Return where the zstd frame at ``offset`` ends, by its block headers (RFC 8878 §3.1.1); None when it is cut."""
    stream.seek(offset)
    head = stream.read(18)
    if len(head) < 5 or not head.startswith(ZSTD_MAGIC):
        return None
    descriptor = head[4]
    single_segment, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    content = (single_segment, 2, 4, 8)[descriptor >> 6]
    position = offset + 5 + (1 - single_segment) + dictionary + content
    while True:
        stream.seek(position)
        block = int.from_bytes(stream.read(3), "little")
        stored = 1 if block >> 1 & 3 == 1 else block >> 3
        position += 3 + stored
        if position > size:
            return None
        if block & 1:
            end = position + 4 * checksum
            return end if end <= size else None


def frame_is_sound(stream: BinaryIO, offset: int, end: int) -> bool:
    """Whether the zstd frame from ``offset`` to ``end`` can be decompressed, its checksum included."""
    reader = ZstdReader(cast(BinaryIO, _Slice(stream, offset, end)))
    try:
        while reader.read(CHUNK):
            pass
    except READ_ERRORS:
        return False
    return True


class _Slice:
    """A part of a stream, as a stream."""

    def __init__(self, stream: BinaryIO, start: int, end: int) -> None:
        self._stream, self._start, self._end = stream, start, end
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._start - self._position
        self._stream.seek(self._start + self._position)
        piece = self._stream.read(min(left, CHUNK, size if size >= 0 else left))
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._end - self._start)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        """Leave the stream open: it is not ours."""


def only_zeros(stream: BinaryIO, offset: int) -> bool:
    """Whether the file holds nothing but padding from ``offset`` on."""
    stream.seek(offset)
    while piece := stream.read(CHUNK):
        if piece.strip(b"\0"):
            return False
    return True


def next_record(stream: BinaryIO, offset: int, kind: str, size: int) -> int | None:
    """Find the first place from ``offset`` on where a record begins; None when there is none."""
    if kind == "plain":
        pattern = re.compile(rb"(?<=\n)WARC/[01]\.")
    else:
        pattern = re.compile(re.escape(GZIP_MAGIC if kind == "gzip" else ZSTD_MAGIC))
    overlap = 4096
    offset = max(0, offset - (1 if kind == "plain" else 0))
    while offset < size:
        stream.seek(offset)
        window = stream.read(CHUNK)
        if not window:
            return None
        final = offset + len(window) >= size
        for match in pattern.finditer(window):
            if not final and match.start() >= len(window) - overlap:
                break
            if kind == "plain" or _begins_record(window[match.start() : match.start() + overlap], kind):
                return offset + match.start()
        offset = size if final else offset + max(1, len(window) - overlap)
    return None


def _begins_record(member: bytes, kind: str) -> bool:
    try:
        if kind == "gzip":
            return zlib.decompressobj(31).decompress(member, 5) == b"WARC/"
        # A frame of zstd gives nothing before its first block is whole: a large one cannot be looked into here.
        return ZstdReader(io.BytesIO(member)).read(5) == b"WARC/"
    except zlib.error:
        return False
    except OSError as error:
        return "incomplete" in str(error)


class InflatedMember(io.RawIOBase):
    """The content of one gzip member as a stream that can be sought in, with memory bounded by a window.

    Going back further than the window inflates again from the start of the member. Content ends where the member
    ends, is cut off, or is damaged.

    Args:
        stream: Seekable stream of the stored bytes.
        offset: Where the member begins.
        size: How long its content is, where that is known.
    """

    WINDOW = 4 * CHUNK

    def __init__(self, stream: BinaryIO, offset: int, size: int | None) -> None:
        super().__init__()
        self._stream, self._offset, self._size = stream, offset, size
        self._restart()

    def _restart(self) -> None:
        self._inflater = zlib.decompressobj(31)
        self._source = self._offset
        self._buffer = bytearray()
        self._start = 0  # position of the buffer's first byte
        self._position = 0
        self._ended = False
        self._pending = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            if self._size is None:
                while self._inflate():
                    self._position = self._start + len(self._buffer)
                self._size = self._start + len(self._buffer)
            offset += self._size
        elif whence == 1:
            offset += self._position
        if offset < self._start:
            self._restart()
        self._position = offset
        return offset

    def read(self, size: int | None = -1) -> bytes:
        """Read up to ``size`` bytes from the current position."""
        wanted = CHUNK if size is None or size < 0 else size
        while self._start + len(self._buffer) < self._position + wanted and self._inflate():
            pass
        place = self._position - self._start
        piece = bytes(self._buffer[place : place + wanted]) if place < len(self._buffer) else b""
        self._position += len(piece)
        return piece

    def _inflate(self) -> bool:
        """Add a piece to the buffer; False at the end."""
        if self._ended:
            return False
        if not self._pending:
            self._stream.seek(self._source)
            self._pending = self._stream.read(CHUNK >> 4)
            self._source += len(self._pending)
            if not self._pending:
                self._ended = True
                return False
        before = self._inflater.copy()
        try:
            piece = self._inflater.decompress(self._pending, CHUNK)
        except zlib.error:
            self._rescue(before)
            return False
        self._pending = self._inflater.unconsumed_tail
        self._keep(piece)
        self._ended = self._inflater.eof
        return True

    def _rescue(self, inflater: Any) -> None:
        """Keep what comes out before the damage.

        zlib drops the output of the whole piece in which it meets an error. So the piece is fed in small parts, and the
        part with the error byte by byte.
        """
        self._ended = True
        with contextlib.suppress(zlib.error):
            for start in range(0, len(self._pending), RESCUE):
                part = self._pending[start : start + RESCUE]
                before = inflater.copy()
                try:
                    self._keep(inflater.decompress(part))
                except zlib.error:
                    for number in range(len(part)):
                        self._keep(before.decompress(part[number : number + 1]))

    def _keep(self, piece: bytes) -> None:
        self._buffer += piece
        surplus = min(len(self._buffer) - self.WINDOW, self._position - CHUNK - self._start)
        if surplus > 0:
            del self._buffer[:surplus]
            self._start += surplus
