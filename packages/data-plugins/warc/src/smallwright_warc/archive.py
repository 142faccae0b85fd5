"""Records of one web archive file, whatever state the file is in.

FastWARC parses; this module adds what a corpus builder needs beyond it. FastWARC ends in silence where a gzip stream
is cut off, and stops for good at the first broken byte. Here every record is held back until what follows it has been
seen; where that is not a record, the record's own place is looked at again, and reading goes on at the next record
that can be read. Each broken record or part is reported once.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import BinaryIO, cast

from fastwarc.warc import ArchiveIterator, WarcRecord

from smallwright_warc.arc import arc_records, is_arc
from smallwright_warc.containers import (
    CHUNK,
    CORRUPT_GZIP,
    GZIP_MAGIC,
    READ_ERRORS,
    TRUNCATED,
    ZSTD_MAGIC,
    InflatedMember,
    Member,
    Window,
    frame_end,
    frame_is_sound,
    inspect_member,
    kind_of,
    next_record,
    only_zeros,
)
from smallwright_warc.entries import BAD_HEADERS, EMPTY, NOT_WARC, WRONG_LENGTH, ArchiveEntry

CORRUPT_OTHER = "corrupt compression"
Wanted = Callable[[str, Mapping[str, str]], bool]
"""Says by kind and headers whether a record's block is to be read."""


class Archive:
    """One archive file, open for reading.

    Args:
        stream: Seekable binary stream of the stored bytes.
        max_record_bytes: Records with a longer block are not read.
        wanted: Which records' blocks are read; None: those of all responses.
        start: Where to begin, for reading one record: the offset of an entry read before.
    """

    def __init__(
        self, stream: BinaryIO, max_record_bytes: int, wanted: Wanted | None = None, *, start: int = 0
    ) -> None:
        self._stream = stream
        self._limit = max_record_bytes
        self._wanted = wanted or (lambda kind, headers: kind == "response")
        self._start = start
        self._size = stream.seek(0, 2)
        stream.seek(start)
        head = stream.read(16)
        self._kind = kind_of(head)

    def entries(self) -> Iterator[ArchiveEntry]:
        """Yield every record, and one entry with ``problem`` for each part that belongs to no record."""
        if self._start >= self._size:
            yield ArchiveEntry(self._start, problem=EMPTY)
            return
        if is_arc(self._stream, self._start):
            entries = arc_records(self._stream, self._limit, self._wanted, self._start)
        else:
            entries = self._warc_entries()
        last, number = -1, 0
        for entry in entries:
            number = number + 1 if entry.offset == last else 0
            last, entry.number = entry.offset, number
            yield entry

    def _warc_entries(self) -> Iterator[ArchiveEntry]:
        offset: int | None = self._start
        while offset is not None and offset < self._size:
            held: ArchiveEntry | None = None
            released = 0  # entries of the held one's member that are out already
            error: Exception | None = None
            iterator = self._iterate(offset)
            try:
                for entry in iterator:
                    if held is not None:
                        length = entry.offset - held.offset
                        if length and not released:
                            held.length = length
                        yield held
                        released = 0 if length else released + 1
                    held = entry
                    if entry.problem is not None:
                        break
            except READ_ERRORS as caught:
                error = caught
            finally:
                iterator.close()
            if self._kind == "gzip":
                offset = yield from self._after_gzip(offset, held, released, error)
            elif self._kind == "plain":
                offset = yield from self._after_plain(offset, held, error)
            elif self._kind == "zstd":
                offset = yield from self._after_zstd(offset, held, released, error)
            else:
                yield from self._after_other(offset, held, error)
                return

    def _iterate(self, offset: int) -> Generator[ArchiveEntry]:
        """Yield what FastWARC can read from ``offset`` on, with offsets from which reading can begin again."""
        self._stream.seek(offset)
        window = Window(self._stream)
        magic = {"gzip": GZIP_MAGIC, "zstd": ZSTD_MAGIC}.get(self._kind)
        place = offset
        for record in ArchiveIterator(cast(BinaryIO, window), parse_http=False):
            position = record.stream_pos
            if magic is None or (position > place and window.starts_with(position, magic)):
                place = position
            yield self._entry(record, place)

    def _entry(self, record: WarcRecord, offset: int) -> ArchiveEntry:
        kind, length = str(record.record_type), record.content_length
        headers = {name.lower(): value for name, value in record.headers.to_tuples()}
        if not (declared := headers.get("content-length", "")).isdecimal() or int(declared) != length:
            return ArchiveEntry(offset, kind, headers, problem=BAD_HEADERS)
        if self._kind == "plain" and length > self._size - offset:
            return ArchiveEntry(offset, kind, headers, problem=TRUNCATED)  # without reading on to find it out
        if self._kind == "gzip" and length > self._limit:
            # Its member is looked at by itself: a wrong length must not make each of many records read all others.
            return ArchiveEntry(offset, kind, headers, too_large=True, problem=TRUNCATED)
        reader = record.reader
        try:
            if length > self._limit or not self._wanted(kind, headers):
                # Skipped by decompressing piece by piece: constant memory, and it shows whether the record is whole.
                problem = TRUNCATED if reader.consume() < length else None
                return ArchiveEntry(offset, kind, headers, too_large=length > self._limit, problem=problem)
            block = reader.read(length)
            if len(block) < length:
                pieces = [block]
                while (left := length - sum(map(len, pieces))) and (piece := reader.read(min(CHUNK, left))):
                    pieces.append(piece)
                block = b"".join(pieces)
        except READ_ERRORS as error:
            problem = TRUNCATED if "incomplete" in str(error) else CORRUPT_OTHER
            return ArchiveEntry(offset, kind, headers, problem=problem if self._kind != "gzip" else CORRUPT_GZIP)
        if len(block) < length:
            return ArchiveEntry(offset, kind, headers, problem=TRUNCATED)
        return ArchiveEntry(offset, kind, headers, block=block)

    def _after_gzip(
        self, offset: int, held: ArchiveEntry | None, released: int, error: Exception | None
    ) -> Generator[ArchiveEntry, None, int | None]:
        """Say what ended the iteration that began at ``offset``, and return where to go on.

        The member of the last record is read again by itself: FastWARC does not say where it met damage, and drops
        what it had inflated before.
        """
        place = held.offset if held is not None else offset
        member = inspect_member(self._stream, place)
        end = member.end
        if held is not None and error is None and held.problem is None and end == self._size:
            held.length = None if released else self._size - place
            yield held
            return None
        if held is None and only_zeros(self._stream, place):
            return None
        yield from self._member_entries(place, member, released)
        following = end if end is not None else next_record(self._stream, place + 1, "gzip", self._size)
        if following is None or following >= self._size or self._is_member(following):
            return following
        if only_zeros(self._stream, following):
            return None
        self._stream.seek(following)
        cut = GZIP_MAGIC.startswith(self._stream.read(len(GZIP_MAGIC)))
        yield ArchiveEntry(following, problem=TRUNCATED if cut else BAD_HEADERS)
        return next_record(self._stream, following, "gzip", self._size)

    def _member_entries(self, place: int, member: Member, released: int) -> Generator[ArchiveEntry, None, None]:
        """Yield the entries of one gzip member but the first ``released``; its damage belongs to the last of them."""
        content = cast(BinaryIO, InflatedMember(self._stream, place, member.size))
        end, damage = member.end, member.damage
        last: ArchiveEntry | None = None
        count = 0
        for entry in Archive(content, self._limit, self._wanted).entries():
            if last is not None:
                yield last
            if entry.problem in (NOT_WARC, EMPTY):
                break
            count += 1
            entry.offset, entry.length = place, None
            last = entry if count > released else None
        if count == 0:
            alone = place == self._start and end in (None, self._size)
            empty = damage is None and not content.seek(0, 2)
            if damage is not None or not empty or alone:
                problem = EMPTY if empty else NOT_WARC if place == 0 else BAD_HEADERS
                yield ArchiveEntry(place, problem=damage or problem)
        elif last is not None and count == 1:
            last.length = None if end is None else end - place
            yield last.damaged(damage or last.problem)
        elif last is not None and last.problem is not None:
            yield last.damaged(damage or last.problem)
        else:
            if last is not None:
                yield last
            if damage is not None:
                yield ArchiveEntry(place, problem=damage)

    def _after_plain(
        self, offset: int, held: ArchiveEntry | None, error: Exception | None
    ) -> Generator[ArchiveEntry, None, int | None]:
        if held is None:
            if error is None or (offset and only_zeros(self._stream, offset)):
                return None
            yield ArchiveEntry(offset, problem=NOT_WARC if offset == 0 else BAD_HEADERS)
            following = next_record(self._stream, offset + 1, "plain", self._size)
            if following is None and offset == 0:
                self._kind = "gzip"
                following = next_record(self._stream, 1, "gzip", self._size)
            return following
        if held.problem is not None:
            following = next_record(self._stream, held.offset + 1, "plain", self._size)
            cut = held.problem == BAD_HEADERS and following is None and not self._has_whole_head(held.offset)
            yield held.damaged(TRUNCATED if cut else held.problem)
            return following
        end, closed = self._plain_end(held)
        if error is None:
            held.length = self._size - held.offset
            yield held
            return None
        if not closed:
            following = next_record(self._stream, held.offset + 1, "plain", self._size)
            yield held.damaged(WRONG_LENGTH)
            return following
        held.length = end - held.offset
        yield held
        following = next_record(self._stream, end, "plain", self._size)
        if following != end and not only_zeros(self._stream, end):
            yield ArchiveEntry(end, problem=BAD_HEADERS)
        return following

    def _after_zstd(
        self, offset: int, held: ArchiveEntry | None, released: int, error: Exception | None
    ) -> Generator[ArchiveEntry, None, int | None]:
        """As :meth:`_after_gzip`, by the frames' own lengths."""
        place = offset if held is None else held.offset
        end = frame_end(self._stream, place, self._size)
        if held is None:
            if error is not None:
                problem = TRUNCATED if end is None else NOT_WARC if offset == 0 else CORRUPT_OTHER
                yield ArchiveEntry(offset, problem=problem)
        elif error is None and held.problem is None:
            held.length = None if released else self._size - place
            yield held
            return None
        elif end is None or held.problem is not None or not frame_is_sound(self._stream, place, end):
            damage = TRUNCATED if end is None else CORRUPT_OTHER
            if released and held.problem is None:
                yield held
                yield ArchiveEntry(place, problem=damage)
            else:
                yield held.damaged(damage if held.problem != BAD_HEADERS else BAD_HEADERS)
        else:
            held.length = None if released else end - place
            yield held
            following = next_record(self._stream, end, "zstd", self._size)
            if following != end and not only_zeros(self._stream, end):
                self._stream.seek(end)
                cut = ZSTD_MAGIC.startswith(self._stream.read(len(ZSTD_MAGIC)))
                yield ArchiveEntry(end, problem=TRUNCATED if cut else BAD_HEADERS)
            return following
        return next_record(self._stream, place + 1 if end is None else end, "zstd", self._size)

    def _after_other(self, offset: int, held: ArchiveEntry | None, error: Exception | None) -> Iterator[ArchiveEntry]:
        """Say what ended the only iteration over a file whose members cannot be found behind damage."""
        if held is not None:
            yield held
        if error is not None and (held is None or held.problem is None):
            cut = "fill whole buffer" in str(error) or "incomplete" in str(error)
            problem = TRUNCATED if cut else NOT_WARC if held is None else CORRUPT_OTHER
            yield ArchiveEntry(offset if held is None else held.offset, problem=problem)

    def _has_whole_head(self, offset: int) -> bool:
        self._stream.seek(offset)
        return re.search(rb"\n\r?\n", self._stream.read(1 << 16)) is not None

    def _plain_end(self, entry: ArchiveEntry) -> tuple[int, bool]:
        """Return where the record after ``entry`` should begin, and whether ``entry`` is closed by empty lines."""
        self._stream.seek(entry.offset)
        head = self._stream.read(1 << 16)
        end = re.search(rb"\r?\n\r?\n", head)
        position = entry.offset + (end.end() if end else 1) + int(entry.headers["content-length"])
        self._stream.seek(position)
        between = self._stream.read(16)
        return position + len(between) - len(between.lstrip(b"\r\n")), between.startswith((b"\r\n\r\n", b"\n\n"))

    def _is_member(self, offset: int) -> bool:
        self._stream.seek(offset)
        return self._stream.read(3) == GZIP_MAGIC
