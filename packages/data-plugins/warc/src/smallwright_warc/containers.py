"""Compressed files under an archive: where members begin and end, what is wrong with them, and views of their content.

A member is one gzip member, zstd frame or lz4 frame. Crawlers write one per record, so that a record can be read
alone; other tools compress a whole file as one.
"""

import contextlib
import dataclasses
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from fastwarc.stream_io import Lz4Reader, ZstdReader

GZIP_MAGIC = b"\x1f\x8b\x08"
MAGICS = {"gzip": GZIP_MAGIC, "zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18"}
"""First bytes of each kind of member."""
DICTIONARY = b"\x5d\x2a\x4d\x18"
"""First bytes of the frame with a dictionary for all others (https://iipc.github.io/warc-specifications, zstd)."""
CHUNK = 1 << 20
RESCUE = 256
"""Bytes of damaged gzip that are decompressed together: few, since those around the damage are taken one by one."""
READ_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zlib.error)

TRUNCATED = "truncated record"
CORRUPT_GZIP = "corrupt gzip"
CORRUPT_OTHER = "corrupt compression"


def kind_of(head: bytes) -> str:
    """Name a file by its first bytes: ``gzip``, ``zstd``, ``lz4`` or ``plain``."""
    return next((kind for kind, magic in MAGICS.items() if head.startswith(magic)), "plain")


def begins_member(head: bytes, kind: str) -> bool:
    """Whether the last bytes of a file are the beginning of a member, or of a frame to be skipped, that is cut off."""
    skippable = kind != "gzip" and len(head) > 0 and head[0] & 0xF0 == 0x50
    return MAGICS[kind].startswith(head) or (skippable and DICTIONARY[1:4].startswith(head[1:4]))


def skip_frames(stream: BinaryIO, offset: int, size: int) -> int:
    """Return where the skippable frames end that stand at ``offset`` (RFC 8878 §3.1.2), of zstd as of lz4."""
    while True:
        stream.seek(offset)
        head = stream.read(8)
        if len(head) < 8 or head[0] & 0xF0 != 0x50 or head[1:4] != DICTIONARY[1:4]:
            return offset
        end = offset + 8 + int.from_bytes(head[4:], "little")
        if end > size:
            return offset
        offset = end


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
        return self.at(offset, len(magic)) == magic

    def at(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes at ``offset``, nothing where that place is forgotten or not read yet."""
        for number, (place, piece) in enumerate(self._pieces):
            if place <= offset < place + len(piece):
                there = piece[offset - place : offset - place + size]
                if len(there) < size and number + 1 < len(self._pieces):
                    there += self._pieces[number + 1][1][: size - len(there)]
                return there
        return b""


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


def frame_end(stream: BinaryIO, offset: int, size: int, kind: str) -> int | None:
    """Return where the frame at ``offset`` ends, by the headers of its blocks; None when it is cut.

    Sources: RFC 8878 §3.1.1 (zstd), https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
    """
    stream.seek(offset)
    head = stream.read(18)
    if len(head) < 7 or not head.startswith(MAGICS[kind]):
        return None
    flags = head[4]
    position = offset + 5
    if kind == "zstd":
        single_segment, checksum = flags >> 5 & 1, flags >> 2 & 1
        position += 1 - single_segment + (0, 1, 2, 4)[flags & 3] + (single_segment, 2, 4, 8)[flags >> 6]
        last = False
        while not last and position <= size:
            stream.seek(position)
            block = int.from_bytes(stream.read(3), "little")
            position += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
            last = bool(block & 1)
    else:
        block_checksum, content_size, checksum, dictionary = (flags >> bit & 1 for bit in (4, 3, 2, 0))
        position += 2 + 8 * content_size + 4 * dictionary
        last = False
        while not last and position <= size:
            stream.seek(position)
            block = int.from_bytes(stream.read(4), "little") & 0x7FFFFFFF
            position += 4 + block + (4 * block_checksum if block else 0)
            last = block == 0
    end = position + 4 * checksum
    return end if last and end <= size else None


class Slice:
    """A part of a stream behind some bytes, as a stream."""

    def __init__(self, stream: BinaryIO, start: int, end: int, before: bytes = b"") -> None:
        self._stream, self._start, self._end, self._before = stream, start - len(before), end, before
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        if self._position < len(self._before):
            piece = self._before[self._position :][: size if size >= 0 else None]
        else:
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
    size = 64  # asked of every member, and nearly always answered by the first byte
    while piece := stream.read(size):
        if piece.strip(b"\0"):
            return False
        size = CHUNK
    return True


def next_record(stream: BinaryIO, offset: int, kind: str, size: int) -> int | None:
    """Find the first member from ``offset`` on that begins with a record; None when there is none."""
    return _next(stream, offset, kind, size, lambda place, head: begins_record(head, kind))


def next_member(stream: BinaryIO, offset: int, kind: str, size: int) -> int | None:
    """Find the first member from ``offset`` on, whatever it begins with; None when there is none."""

    def is_member(place: int, head: bytes) -> bool:
        if kind != "gzip":
            return frame_end(stream, place, size, kind) is not None
        try:
            return len(zlib.decompressobj(31).decompress(head, CHUNK)) >= min(200, len(head))
        except zlib.error:
            return False

    return _next(stream, offset, kind, size, is_member)


def _next(stream: BinaryIO, offset: int, kind: str, size: int, fits: Callable[[int, bytes], bool]) -> int | None:
    """Find the first place from ``offset`` on where a member's first bytes stand, and the bytes there fit."""
    magic, overlap = MAGICS[kind], 4096
    while offset < size:
        stream.seek(offset)
        window = stream.read(CHUNK)
        if not window:
            return None
        final = offset + len(window) >= size
        place = window.find(magic)
        while place >= 0 and (final or place < len(window) - overlap):
            if fits(offset + place, window[place : place + overlap]):
                return offset + place
            place = window.find(magic, place + 1)
        offset = size if final else offset + max(1, len(window) - overlap)
    return None


def begins_record(member: bytes, kind: str) -> bool:
    """Whether a member begins with a record, or may do so, by its first bytes."""
    try:
        if kind == "gzip":
            return zlib.decompressobj(31).decompress(member, 5) == b"WARC/"
        # A frame gives nothing before its first block is whole: a large one cannot be looked into here.
        return (ZstdReader if kind == "zstd" else Lz4Reader)(io.BytesIO(member)).read(5) == b"WARC/"
    except zlib.error:
        return False
    except OSError as error:
        return is_cut(error)


def is_cut(error: OSError) -> bool:
    """Whether a reader of frames says that the end is missing."""
    return "incomplete" in str(error) or "fill whole buffer" in str(error)


def rescued(inflater: Any, stored: bytes) -> Iterator[bytes]:
    """Yield what comes out before the damage in ``stored``.

    zlib drops the output of the whole piece in which it meets an error. So the piece is fed in small parts, and the
    part with the error byte by byte.
    """
    with contextlib.suppress(zlib.error):
        for start in range(0, len(stored), RESCUE):
            part = stored[start : start + RESCUE]
            before = inflater.copy()
            try:
                piece = inflater.decompress(part)
            except zlib.error:
                for number in range(len(part)):
                    yield before.decompress(part[number : number + 1])
                return
            yield piece


class InflatedMember(io.RawIOBase):
    """The content of one gzip member as a stream that can be sought in, with memory bounded by a window.

    Going back further than the window inflates again from the start of the member. Content ends where the member
    ends, is cut off, or is damaged.

    Args:
        stream: Seekable stream of the stored bytes.
        offset: Where the member begins.
        size: How long its content is, where that is known.
        window: Bytes of it that are kept.
    """

    def __init__(self, stream: BinaryIO, offset: int, size: int | None, window: int) -> None:
        super().__init__()
        self._stream, self._offset, self._size, self._window = stream, offset, size, window
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
        before: Any = self._inflater.copy()
        try:
            piece = self._inflater.decompress(self._pending, CHUNK)
        except zlib.error:
            self._ended = True
            for piece in rescued(before, self._pending):
                self._keep(piece)
            return False
        self._pending = self._inflater.unconsumed_tail
        self._keep(piece)
        self._ended = self._inflater.eof
        return True

    def _keep(self, piece: bytes) -> None:
        self._buffer += piece
        surplus = min(len(self._buffer) - self._window, self._position - CHUNK - self._start)
        if surplus > 0:
            del self._buffer[:surplus]
            self._start += surplus
