"""Records one after the other out of content of any container, each looked at closely.

FastWARC reads what is in order, and faster; this reads what is not. A record counts only where the content goes on
behind it as it should, and where it does not, the next place is looked for at which a record begins.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from smallwright_warc.containers import CHUNK, TRUNCATED
from smallwright_warc.contents import RECORD, Content, PlainContent
from smallwright_warc.entries import BAD_HEADERS, WRONG_LENGTH, ArchiveEntry

Wanted = Callable[[str, Mapping[str, str]], bool]
"""Says by kind and headers whether a record's block is to be read."""
KINDS = frozenset(["warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation"])
MAX_HEAD = 1 << 16
MOST_RESTARTS = 8
"""So often a claim of a length beyond the limit is followed through compressed content, and its content read again
where it was wrong. After that it is believed only where no other record begins inside it."""
MOST_NESTED = 100
MOST_DOUBTED = 1 << 26
"""Bytes of blocks that are looked into for records inside: each of many may claim to hold all others."""
_VERSION = re.compile(rb"WARC/\d{1,2}(?:\.\d{1,2})?[ \t]*(\r?)\n", re.IGNORECASE)
_HEAD_END = re.compile(rb"\n\r?\n")
_BEGINS = re.compile(rb"(?<=[\n\0])WARC/\d{1,2}\.\d", re.IGNORECASE)
_NESTED = re.compile(rb"\nWARC/\d{1,2}\.\d{1,2}\r?\nWARC-", re.IGNORECASE)

_LENGTH = re.compile(rb"\nContent-Length:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)


class RecordReader:
    """Reads the records of some content.

    Args:
        limit: Longest block that is read, in bytes.
        wanted: Which records' blocks are read.
    """

    def __init__(self, content: Content | PlainContent, limit: int, wanted: Wanted) -> None:
        self._content, self._limit, self._wanted = content, limit, wanted
        self._doubted = 0
        self.line_feeds = False
        """Whether the last record's head ends its lines with line feeds alone."""
        self.across_members = False
        """Whether a record was met that lies in several members."""

    def records(self, *, searching: bool) -> Iterator[tuple[int, ArchiveEntry]]:
        """Yield (place, entry) for each record, and for what stands between records.

        Args:
            searching: Whether what stands before the first record belongs to one that was reported before.
        """
        position: int | None = self._content.begin
        while position is not None:
            self._content.pin(position)
            head = self._content.read(position, 1 << 12)
            if not head:
                return
            if blank := len(head) - len(head.lstrip(b"\r\n")):
                position += blank
                continue
            if _VERSION.match(head):
                entry, following = self._record(position, head)
                yield position, entry
                searching = False
            else:
                following = self._find(position + 1)
                padding = following is None and not head.strip(b"\0")
                if not searching and not padding:
                    cut = b"\n" not in head and head[: len(RECORD)].upper() == RECORD[: len(head)]
                    yield position, ArchiveEntry(0, problem=TRUNCATED if cut else BAD_HEADERS)
            position = following

    def _record(self, position: int, head: bytes) -> tuple[ArchiveEntry, int | None]:
        """Return the record at a place, and where to go on."""
        begin = _HEAD_END.search(head)
        if begin is None and not _BEGINS.search(head, 1):
            head = self._content.read(position, MAX_HEAD)
            begin = _HEAD_END.search(head)
        other = _BEGINS.search(head, 1, begin.end() if begin else len(head))
        lines = head[: other.start() if other else begin.start() + 1 if begin else len(head)]
        headers = _headers(lines)
        kind = headers.get("warc-type", "").lower()
        entry = ArchiveEntry(0, kind if kind in KINDS else "unknown", headers)
        version = _VERSION.match(head)
        self.line_feeds = version is not None and not version[1]
        if other is not None:
            return entry.damaged(BAD_HEADERS), position + other.start()
        if begin is None:
            following = self._find(position + 1)
            cut = len(head) < MAX_HEAD and following is None
            return entry.damaged((self._content.damage or TRUNCATED) if cut else BAD_HEADERS), following
        declared = headers.get("content-length", "")
        if not (declared.isascii() and declared.isdecimal() and len(declared) < 20):
            return entry.damaged(BAD_HEADERS), self._find(position + 1)
        return self._block(entry, position, position + begin.end(), int(declared))

    def _block(self, entry: ArchiveEntry, position: int, begin: int, length: int) -> tuple[ArchiveEntry, int | None]:
        content, end = self._content, begin + length
        entry.too_large = length > self._limit
        if content.size is not None and end > content.size:
            return entry.damaged(content.damage or TRUNCATED), self._find(position + 1)
        if entry.too_large and content.restarts > MOST_RESTARTS:
            following = self._find(position + 1)
            if following is not None and following < end:
                return entry.damaged(WRONG_LENGTH), following
        if content.record_between(begin - 1, end) is not None:  # its member ended, and with another a record began
            return entry.damaged(TRUNCATED), self._find(position + 1)
        if not content.reaches(end):
            return entry.damaged(content.damage or TRUNCATED), self._find(position + 1)
        behind = content.read(end, 64)
        rest = behind.lstrip(b"\r\n")
        closed = behind.startswith((b"\r\n\r\n", b"\n\n"))
        follows = not rest or rest[: len(RECORD)].upper() == RECORD[: len(rest)]
        if not follows and not closed:
            return entry.damaged(WRONG_LENGTH), self._find(position + 1)
        if not entry.too_large:
            block = content.read(begin, length)
            if self._doubted < MOST_DOUBTED and has_record_inside(block):
                self._doubted += length
                if not (follows and closed) or _ends_with_record(block):
                    return entry.damaged(WRONG_LENGTH), self._find(position + 1)
            entry.block = block if self._wanted(entry.kind, entry.headers) else None
        self.across_members = self.across_members or bool(content.starts_between(position + 1, end))
        return entry, end

    def _find(self, position: int) -> int | None:
        """Return the first place from ``position`` on where a record begins; None when there is none."""
        place, size = position - 1, 1 << 12
        while True:
            window = self._content.read(place, size)
            places = [place + match.start() for match in _BEGINS.finditer(window)][:1]
            for start in self._content.starts_between(position, place + len(window)):
                if window[start - place : start - place + len(RECORD)] == RECORD:
                    places.append(start)
                    break
            if places:
                return min(places)
            if len(window) < size:
                return None
            place, size = place + size - 16, min(2 * size, CHUNK)


def has_record_inside(block: bytes) -> bool:
    """Whether something inside a block looks like the beginning of another record."""
    return b"\nWARC-Type:" in block and _NESTED.search(block) is not None  # long words are found fastest


def _ends_with_record(block: bytes) -> bool:
    """Whether a record inside a block ends exactly where the block does.

    Then the block is too long and holds the records behind it. A page that is an archive itself has records inside
    too, but goes on with empty lines behind the last of them.
    """
    for begin in deque(_NESTED.finditer(block), MOST_NESTED):  # the last ones: the work must not grow with all of them
        head = _HEAD_END.search(block, begin.end(), begin.end() + MAX_HEAD)
        length = _LENGTH.search(block, begin.end(), head.end()) if head else None
        if head and length and head.end() + int(length[1]) == len(block):
            return True
    return False


def _headers(lines: bytes) -> dict[str, str]:
    """Return the headers of a record, names in lower case."""
    headers: dict[str, str] = {}
    last = ""
    for line in lines.decode("utf-8", "replace").split("\n")[1:]:
        if line[:1] in (" ", "\t") and last:  # the line before goes on
            headers[last] = f"{headers[last]} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        if colon:
            last = name.strip().lower()
            headers[last] = value.strip()
    return headers
