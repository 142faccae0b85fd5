"""Records of one web archive file, whatever state the file is in.

FastWARC reads what is in order; this module adds what a corpus builder needs beyond it. FastWARC ends in silence where
a gzip stream is cut off, and stops for good at the first broken byte. Here every record is held back until what follows
it has been seen. Where that is not as it should be, :class:`smallwright_warc.records.RecordReader` looks at the
record's own place again and goes on behind it, until all is in order. Each broken record or part is reported once, and
as the same in every container.
"""

from collections.abc import Generator, Iterator
from typing import BinaryIO, cast

from fastwarc.warc import ArchiveIterator, WarcRecord

from smallwright_warc.arc import arc_records, is_arc
from smallwright_warc.containers import (
    CHUNK,
    DICTIONARY,
    GZIP_MAGIC,
    MAGICS,
    READ_ERRORS,
    TRUNCATED,
    Window,
    begins_member,
    begins_record,
    inspect_member,
    kind_of,
    next_member,
    next_record,
    skip_frames,
)
from smallwright_warc.contents import Content, PlainContent
from smallwright_warc.entries import BAD_HEADERS, EMPTY, NOT_WARC, ArchiveEntry
from smallwright_warc.records import RecordReader, Wanted, has_record_inside

PEEK = 1024
"""Stored bytes of a gzip member that show whether a record begins with it."""


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
        self._size = stream.seek(0, 2)
        self._dictionary = self._read_dictionary()
        self._start, head = start, b""
        if start < self._size:
            self._start = skip_frames(stream, start, self._size)
            stream.seek(self._start)
            head = stream.read(16)
        self._kind = kind_of(head)
        self._by_fastwarc = self._kind in ("gzip", "plain")
        """Whether FastWARC reads what is in order. Of frames it says nothing that could be doubted."""

    def _read_dictionary(self) -> bytes:
        self._stream.seek(0)
        if self._stream.read(len(DICTIONARY)) != DICTIONARY:
            return b""
        size = int.from_bytes(self._stream.read(4), "little")
        self._stream.seek(0)
        return self._stream.read(8 + size) if size <= CHUNK * 8 else b""

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
        if last < 0:  # members without content
            yield ArchiveEntry(self._start, problem=EMPTY)

    def _warc_entries(self) -> Iterator[ArchiveEntry]:
        offset: int | None = self._start
        searching = False
        while offset is not None and offset < self._size:
            held: ArchiveEntry | None = None
            released = 0
            if self._by_fastwarc and not searching:
                held, released, ended = yield from self._in_order(offset)
                if ended:
                    return
            offset, searching = yield from self._closely(offset if held is None else held.offset, released, searching)

    def _in_order(self, offset: int) -> Generator[ArchiveEntry, None, tuple[ArchiveEntry | None, int, bool]]:
        """Yield the records that FastWARC can read from ``offset`` on, each when it has met the next.

        Returns:
            The record that is held back, how many entries of its member are out already, and whether it was the last
            one and is out as well.
        """
        held: ArchiveEntry | None = None
        released = 0
        try:
            for entry in self._iterate(offset):
                if held is not None:
                    length = entry.offset - held.offset
                    if length and not released:
                        held.length = length
                    yield held
                    released = 0 if length else released + 1
                held = entry
                if entry.problem is not None:
                    return held, released, False
        except READ_ERRORS:
            return held, released, False
        if held is None or (self._kind == "gzip" and inspect_member(self._stream, held.offset).end != self._size):
            return held, released, False
        held.length = None if released else self._size - held.offset
        yield held
        return None, 0, True

    def _iterate(self, offset: int) -> Iterator[ArchiveEntry]:
        """Yield what FastWARC can read from ``offset`` on, with offsets from which reading can begin again."""
        self._stream.seek(offset)
        window = Window(self._stream)
        place = offset
        for record in ArchiveIterator(cast(BinaryIO, window), parse_http=False):
            position = record.stream_pos
            if self._kind == "plain":
                place = position
            elif position > place and window.starts_with(position, GZIP_MAGIC):
                if not begins_record(window.at(position, PEEK), "gzip"):
                    self._by_fastwarc = False  # members end inside records, and places are not what they seem
                    raise OSError("records do not begin with members")
                place = position
            yield self._entry(record, place)

    def _entry(self, record: WarcRecord, offset: int) -> ArchiveEntry:
        """Return FastWARC's record; with any problem where it has to be looked at closely."""
        kind, length = str(record.record_type), record.content_length
        pairs = record.headers.to_tuples()
        headers = {name.lower(): value for name, value in pairs}
        declared = headers.get("content-length", "")
        # Heads with single line feeds come out as one header, that of the next record's head with it.
        if not declared.isdecimal() or int(declared) != length or any("\n" in value for _, value in pairs):
            return ArchiveEntry(offset, kind, headers, problem=BAD_HEADERS)
        if length > (self._limit if self._kind == "gzip" else self._size - offset):
            return ArchiveEntry(offset, kind, headers, problem=TRUNCATED)  # without reading on to find out
        if length > self._limit:
            # Skipped by reading piece by piece: constant memory, and it shows whether the record is whole.
            whole = record.reader.consume() >= length
            return ArchiveEntry(offset, kind, headers, too_large=True, problem=None if whole else TRUNCATED)
        block = record.reader.read(length)
        if len(block) < length:
            pieces = [block]
            while (left := length - sum(map(len, pieces))) and (piece := record.reader.read(min(CHUNK, left))):
                pieces.append(piece)
            block = b"".join(pieces)
        whole = len(block) == length and not has_record_inside(block)
        wanted = self._wanted(kind, headers)
        return ArchiveEntry(offset, kind, headers, block if wanted else None, problem=None if whole else TRUNCATED)

    def _closely(
        self, offset: int, released: int, searching: bool
    ) -> Generator[ArchiveEntry, None, tuple[int | None, bool]]:
        """Yield the records from ``offset`` on but the first ``released``, until all is in order again.

        Returns:
            Where to go on, and whether a part of a record that was reported already may stand there.
        """
        content: Content | PlainContent
        if self._kind == "plain":
            content = PlainContent(self._stream, offset, self._size)
        else:
            window = self._limit + CHUNK
            content = Content(self._stream, offset, self._size, self._kind, window, self._dictionary)
        reader = RecordReader(content, self._limit, self._wanted)
        held: ArchiveEntry | None = None
        alone = resumable = out = False
        in_member = 0
        for position, entry in reader.records(searching=searching):
            entry.offset, first = content.place(position)
            if entry.offset == 0 and entry.problem == BAD_HEADERS and not entry.headers:
                entry.problem = NOT_WARC
            in_member = in_member + 1 if held is not None and held.offset == entry.offset else 1
            if held is not None and not out:
                whole = held.problem is None and alone and first and not self._dictionary
                if whole and entry.offset != held.offset:
                    held.length = entry.offset - held.offset
                yield held
                if resumable and held.length is not None:
                    return entry.offset, False
            out, released = released > 0, max(0, released - 1)
            held, alone = entry, first
            resumable = self._by_fastwarc and entry.problem is None and not reader.line_feeds
        yield from self._end(content, held, alone and in_member == 1, out)
        return (yield from self._go_on(content, held, reader.across_members))

    def _end(
        self, content: Content | PlainContent, held: ArchiveEntry | None, alone: bool, out: bool
    ) -> Iterator[ArchiveEntry]:
        """Yield the last record before damage or an end, and the damage, which a record alone in its member shares."""
        damage = content.damage
        if held is not None and not out:
            if damage is None:
                whole = alone and held.problem is None and not self._dictionary
                held.length = content.stored_end - held.offset if whole else None
            elif held.problem is not None or (alone and held.offset == content.last_member()):
                yield held.damaged(damage)
                return
            yield held
        if damage is not None:
            yield ArchiveEntry(content.last_member(), problem=damage)

    def _go_on(
        self, content: Content | PlainContent, held: ArchiveEntry | None, across_members: bool
    ) -> Generator[ArchiveEntry, None, tuple[int | None, bool]]:
        """Say what ended the content, and return where to go on."""
        if isinstance(content, PlainContent):
            if held is None or held.problem != NOT_WARC:
                return None, False
            found = {kind: next_record(self._stream, 1, kind, self._size) for kind in MAGICS}
            places = {kind: place for kind, place in found.items() if place is not None}
            if not places:
                return None, False
            self._kind = min(places, key=lambda kind: places[kind])
            self._by_fastwarc = self._kind == "gzip"
            return places[self._kind], False
        find = next_member if across_members else next_record
        if content.damage is not None:
            return find(self._stream, content.last_member() + 1, self._kind, self._size), True
        place = content.stored_end
        if place < self._size:
            self._stream.seek(place)
            cut = begins_member(self._stream.read(8), self._kind)
            if not (cut and held is not None and held.problem == TRUNCATED):  # which said so already
                yield ArchiveEntry(place, problem=TRUNCATED if cut else BAD_HEADERS)
            return find(self._stream, place, self._kind, self._size), True
        return None, False
