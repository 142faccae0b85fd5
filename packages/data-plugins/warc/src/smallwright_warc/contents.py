"""What an archive holds behind its compression: one stretch of bytes, as far as member follows member.

A record may begin and end where it likes: with a member, inside one, or across several, as bgzip, pzstd and mgzip cut
files. So the reader of records sees content only, and asks here where in the file a place of it is stored.
"""

import bisect
import zlib
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO, cast

from fastwarc.stream_io import Lz4Reader, ZstdReader

from smallwright_warc.containers import (
    CHUNK,
    CORRUPT_GZIP,
    CORRUPT_OTHER,
    MAGICS,
    READ_ERRORS,
    TRUNCATED,
    Slice,
    frame_end,
    only_zeros,
    rescued,
    skip_frames,
)

MOST_STARTS = 100_000
"""Members whose places are remembered ahead of the record that is read."""
RECORD = b"WARC/"


class PlainContent:
    """A file that is not compressed: every place is stored where it is."""

    damage: str | None = None
    restarts = 0

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        self._stream = stream
        self.begin = offset
        self.stored_end = self.size = size

    def read(self, position: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``position`` on; fewer only at the end."""
        self._stream.seek(position)
        pieces = []
        while count > 0 and (piece := self._stream.read(count)):
            pieces.append(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def reaches(self, position: int) -> bool:
        """Whether there is content up to ``position``."""
        return position <= self.size

    def record_between(self, begin: int, end: int) -> int | None:
        """Return where between two places a member begins with a record: a plain file has no members."""
        return None

    def place(self, position: int) -> tuple[int, bool]:
        """Return from where in the file a place can be read, and whether nothing has to be skipped there."""
        return position, True

    def pin(self, position: int) -> None:
        """Say that nothing before ``position`` will be asked for."""

    def starts_between(self, begin: int, end: int) -> list[int]:
        """Return the places between two others where members begin."""
        return []

    def last_member(self) -> int:
        """Return where the last member is stored."""
        return self.begin


class Content:
    """The content of the members from ``offset`` on, up to damage, to what is no member, or to the end of the file.

    Memory is bounded by ``window``. Going back further decompresses again from the start of a member.

    Args:
        stream: Seekable stream of the stored bytes.
        offset: Where the first member begins.
        size: Length of the file.
        kind: ``gzip``, ``zstd`` or ``lz4``.
        window: Most bytes kept.
        dictionary: The frame with the dictionary that a zstd archive begins with, or nothing.
    """

    begin = 0

    def __init__(
        self, stream: BinaryIO, offset: int, size: int, kind: str, window: int, dictionary: bytes = b""
    ) -> None:
        self._stream, self._file_size, self._kind = stream, size, kind
        self._window, self._dictionary = window, dictionary
        self.damage: str | None = None
        """What ended it, when that was damage."""
        self.stored_end = offset
        """Where in the file it ends, unless it is damaged."""
        self.restarts = 0
        self.size: int | None = None
        """Length, once the end has been met."""
        self._starts: list[int] = []
        self._offsets: list[int] = []
        self._start = 0
        self._buffer = bytearray()
        self._pieces = self._decode(offset)

    def read(self, position: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``position`` on; fewer only at the end."""
        if position < self._start:
            self._restart(position)
        while self._start + len(self._buffer) < position + count and self._more(position):
            pass
        begin = position - self._start
        return bytes(self._buffer[begin : begin + count]) if begin < len(self._buffer) else b""

    def reaches(self, position: int) -> bool:
        """Whether there is content up to ``position``."""
        if self.size is not None:
            return position <= self.size
        while self._start + len(self._buffer) < position and self._more(position):
            pass
        return position <= self._start + len(self._buffer)

    def record_between(self, begin: int, end: int) -> int | None:
        """Return the first place between two others where a member begins with a record; read on up to the second."""
        seen = begin
        while True:
            known = self._start + len(self._buffer)
            for start in self._starts[bisect.bisect_right(self._starts, seen) :]:
                if start >= end or (start + len(RECORD) > known and self.size is None):
                    break
                if self._buffer[start - self._start : start - self._start + len(RECORD)] == RECORD:
                    return start
                seen = start
            if known >= end + len(RECORD) or not self._more(known):
                return None

    def place(self, position: int) -> tuple[int, bool]:
        """Return where the member that a place is in is stored, and whether the place is the member's first."""
        number = max(0, bisect.bisect_right(self._starts, position) - 1)
        return self._offsets[number], self._starts[number] == position

    def pin(self, position: int) -> None:
        """Say that nothing before ``position`` will be asked for."""
        number = bisect.bisect_right(self._starts, position) - 1
        if number > 0:
            del self._starts[:number], self._offsets[:number]

    def starts_between(self, begin: int, end: int) -> list[int]:
        """Return the places between two others where members begin."""
        return self._starts[bisect.bisect_left(self._starts, begin) : bisect.bisect_left(self._starts, end)]

    def last_member(self) -> int:
        """Return where the last member is stored."""
        return self._offsets[-1]

    def _restart(self, position: int) -> None:
        number = max(0, bisect.bisect_right(self._starts, position) - 1)
        self._start, offset = self._starts[number], self._offsets[number]
        del self._starts[number:], self._offsets[number:]
        self._buffer.clear()
        self._pieces = self._decode(offset)
        self.restarts += 1

    def _more(self, position: int) -> bool:
        """Decompress a piece; False at the end. Bytes before ``position`` may be forgotten."""
        piece = next(self._pieces, None)
        if piece is None:
            self.size = self._start + len(self._buffer)
            return False
        if isinstance(piece, int):
            self._starts.append(self._start + len(self._buffer))
            self._offsets.append(piece)
            if len(self._starts) > MOST_STARTS:
                del self._starts[1:-100], self._offsets[1:-100]
            return True
        self._buffer += piece
        surplus = min(len(self._buffer) - self._window, position - CHUNK - self._start)
        if surplus > 0:
            del self._buffer[:surplus]
            self._start += surplus
        return True

    def _decode(self, offset: int) -> Iterator[int | bytes]:
        """Yield for each member where it is stored, then its content."""
        place: int | None = offset
        while place is not None:
            yield place
            end = yield from (self._gzip(place) if self._kind == "gzip" else self._frame(place))
            place = self._following(end) if end is not None else None

    def _following(self, end: int) -> int | None:
        """Return where the next member begins; None at the end, and before what is no member."""
        place = end if self._kind == "gzip" else skip_frames(self._stream, end, self._file_size)
        magic = MAGICS[self._kind]
        self._stream.seek(place)
        if self._stream.read(len(magic)) == magic:
            return place
        self.stored_end = self._file_size if place < self._file_size and only_zeros(self._stream, place) else place
        return None

    def _gzip(self, offset: int) -> Generator[bytes, None, int | None]:
        """Yield the content of a gzip member and return where it ends; None when it is damaged."""
        inflater = zlib.decompressobj(31)
        source, step, stored = offset, 512, b""
        while not inflater.eof:
            if not stored:
                self._stream.seek(source)
                stored = self._stream.read(step)
                source += len(stored)
                step = min(2 * step, CHUNK >> 4)  # empty members are 20 bytes: many of them must not be read again
            ended = not stored
            before: Any = inflater.copy()
            try:
                piece = inflater.decompress(stored, CHUNK)
            except zlib.error:
                yield from rescued(before, stored)
                self.damage = CORRUPT_GZIP
                return None
            stored = inflater.unconsumed_tail
            if piece:
                yield piece
            elif ended and not inflater.eof:
                self.damage = TRUNCATED
                return None
        return source - len(inflater.unused_data)

    def _frame(self, offset: int) -> Generator[bytes, None, int | None]:
        """As :meth:`_gzip`, of a frame of zstd or lz4."""
        end = frame_end(self._stream, offset, self._file_size, self._kind)
        done, step = 0, CHUNK >> 4
        for attempt in range(2):
            skipped = 0
            try:
                reader = self._reader(offset, end)
                while piece := reader.read(step if skipped >= done else min(step, done - skipped)):
                    skipped += len(piece)
                    if attempt == 0 or skipped > done:
                        done = skipped
                        yield piece
            except READ_ERRORS:
                step = 1 << 10  # what was decompressed together with the damage comes out in small parts
                continue
            break
        else:
            self.damage = TRUNCATED if end is None else CORRUPT_OTHER
            return None
        if end is None:
            self.damage = TRUNCATED
        return end

    def _reader(self, offset: int, end: int | None) -> ZstdReader | Lz4Reader:
        stored = Slice(self._stream, offset, self._file_size if end is None else end, self._dictionary)
        return (ZstdReader if self._kind == "zstd" else Lz4Reader)(cast(BinaryIO, stored))
