"""Records fetched one by one from where an index or an earlier pass says they are."""

import dataclasses
import io
import itertools
import time
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, BinaryIO, NamedTuple, cast

from core.data.steps import batched
from core.storage import url_to_fs

from smallwright_warc.archive import Archive, Wanted
from smallwright_warc.config import FetchConfig
from smallwright_warc.containers import READ_ERRORS
from smallwright_warc.entries import EMPTY, NOT_WARC, ArchiveEntry
from smallwright_warc.page import record_id

MISSING_FILE = "file missing"
BAD_RANGE = "no record at the offset"
NOT_FOUND = "record not found"
UNREACHABLE = "cannot be fetched"
LONGEST_PAUSE_SECONDS = 60.0
SLACK = 1 << 20
"""Bytes by which a stored record may be longer than its content: headers, and data that does not compress."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a record is."""

    path: str
    """Path or URL that fsspec opens."""
    offset: int
    length: int | None = None
    """Stored bytes; None: unknown, or shared with other records."""
    record: str | None = None
    """Id of the record, where it is known; without it the first record at the offset is meant."""


class Remote(NamedTuple):
    """A place in a remote file."""

    number: int
    place: Place
    path: str
    """The file, as its fsspec filesystem names it: without the protocol."""


class Fetcher:
    """Fetches the records of a batch, each local file opened once, remote ranges several at a time.

    Args:
        config: Limits, retries and connections.
        wanted: Which records' blocks are read.
    """

    def __init__(self, config: FetchConfig, wanted: Wanted) -> None:
        self._config, self._wanted = config, wanted

    def fetch(self, places: Iterable[Place]) -> Iterator[tuple[int, ArchiveEntry]]:
        """Yield (number of the place, its record), in the order of files and offsets, each place once.

        Local files come first, then ranges of remote ones, then remote records of unknown length. What cannot be
        fetched is an entry with a ``problem``.
        """
        remote: dict[int, tuple[Any, list[Remote]]] = {}
        numbered = sorted(enumerate(places), key=lambda item: (item[1].path, item[1].offset, item[0]))
        for path, group in itertools.groupby(numbered, key=lambda item: item[1].path):
            members = list[tuple[int, Place]]()
            for number, place in group:
                if place.length is not None and place.length > self._config.max_record_bytes + SLACK:
                    yield number, ArchiveEntry(place.offset, kind=self._config.record_types[0], too_large=True)
                else:
                    members.append((number, place))
            if not members:
                continue
            try:
                filesystem, plain = url_to_fs(path)
            except (*READ_ERRORS, ImportError):
                yield from _all(members, UNREACHABLE)
                continue
            protocol = filesystem.protocol
            if "file" in ((protocol,) if isinstance(protocol, str) else protocol):
                yield from self._from_local(plain, members)
            else:
                items = remote.setdefault(id(filesystem), (filesystem, []))[1]
                items += [Remote(number, place, plain) for number, place in members]
        for filesystem, items in remote.values():
            yield from self._from_remote(filesystem, items)

    def _from_local(self, path: str, members: list[tuple[int, Place]]) -> Iterator[tuple[int, ArchiveEntry]]:
        try:
            stream = open(path, "rb")  # noqa: SIM115 - closed below
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            yield from _all(members, MISSING_FILE)
            return
        except (OSError, ValueError):  # a name that no file can have
            yield from _all(members, UNREACHABLE)
            return
        with stream:
            yield from self._from_stream(stream, members)

    def _from_stream(self, stream: BinaryIO, members: list[tuple[int, Place]]) -> Iterator[tuple[int, ArchiveEntry]]:
        """Look up places in one open file. Places with the same offset are looked for in one go."""
        size = stream.seek(0, 2)
        for offset, group in itertools.groupby(members, key=lambda item: item[1].offset):
            alike = list(group)
            if offset >= size:
                yield from _all(alike, BAD_RANGE)
                continue
            shared = [item for item in alike if item[1].length is None]
            for number, place in alike:
                if place.length is not None:
                    stream.seek(offset)
                    yield number, self._parse(stream.read(place.length), place)
            if shared:
                try:
                    yield from self._search(stream, offset, shared)
                except READ_ERRORS:
                    yield from _all(shared, UNREACHABLE)

    def _search(
        self, stream: BinaryIO, offset: int, members: list[tuple[int, Place]]
    ) -> Iterator[tuple[int, ArchiveEntry]]:
        """Read on from ``offset`` until every record is met, or another offset is reached."""
        left = list(members)
        archive = Archive(stream, self._config.max_record_bytes, self._wanted, start=offset)
        for entry in archive.entries():
            if not left or entry.offset != offset:
                break
            name = record_id(entry, left[0][1].path.rsplit("/", 1)[-1])
            found = [item for item in left if item[1].record in (None, name)]
            for number, _ in found:
                yield number, entry if entry.problem != EMPTY else ArchiveEntry(offset, problem=BAD_RANGE)
            left = [item for item in left if item not in found]
        yield from _all(left, NOT_FOUND)

    def _from_remote(self, filesystem: Any, items: list[Remote]) -> Iterator[tuple[int, ArchiveEntry]]:
        for batch in batched((item for item in items if item.place.length is not None), self._config.connections):
            for item, data in zip(batch, self._ranges(filesystem, batch), strict=True):
                if isinstance(data, BaseException):
                    yield item.number, _unreachable(item.place, data)
                else:
                    yield item.number, self._parse(data, item.place)
        unbounded = (item for item in items if item.place.length is None)
        for path, group in itertools.groupby(unbounded, key=lambda item: item.path):
            yield from self._from_remote_stream(filesystem, path, [(item.number, item.place) for item in group])

    def _ranges(self, filesystem: Any, batch: list[Remote]) -> list[Any]:
        """Fetch ranges, those that failed again after a pause; return bytes or what went wrong of each."""
        results: list[Any] = [None] * len(batch)
        left = list(range(len(batch)))
        for attempt in range(self._config.retries + 1):
            if attempt:
                time.sleep(min(self._config.backoff_seconds * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS))
            items = [batch[number] for number in left]
            starts = [item.place.offset for item in items]
            ends = [item.place.offset + (item.place.length or 0) for item in items]
            try:
                fetched = filesystem.cat_ranges([item.path for item in items], starts, ends, on_error="return")
            except Exception as error:  # whatever a storage library raises, it counts for these records only
                fetched = [error] * len(left)
            for number, data in zip(left, fetched, strict=True):
                results[number] = data
            left = [number for number in left if _may_pass(results[number])]
            if not left:
                break
        return results

    def _from_remote_stream(
        self, filesystem: Any, path: str, members: list[tuple[int, Place]]
    ) -> Iterator[tuple[int, ArchiveEntry]]:
        """Search in a remote file for records of unknown length; what was not found yet is tried again."""
        left = members
        for attempt in range(self._config.retries + 1):
            if attempt:
                time.sleep(min(self._config.backoff_seconds * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS))
            done: set[int] = set()
            try:
                with filesystem.open(path, "rb") as stream:
                    for number, entry in self._from_stream(cast(BinaryIO, stream), left):
                        if entry.problem == UNREACHABLE:
                            continue
                        done.add(number)
                        yield number, entry
            except FileNotFoundError:
                yield from _all([item for item in left if item[0] not in done], MISSING_FILE)
                return
            except Exception:  # as in _ranges
                pass
            left = [item for item in left if item[0] not in done]
            if not left:
                return
        yield from _all(left, UNREACHABLE)

    def _parse(self, data: bytes, place: Place) -> ArchiveEntry:
        """Return the record that ``data`` begins with."""
        assert place.length is not None
        if not data:
            return ArchiveEntry(place.offset, problem=BAD_RANGE)
        if len(data) > place.length:  # a server that knows no ranges sent the file
            data = data[place.offset : place.offset + place.length]
        file = place.path.rsplit("/", 1)[-1]
        for entry in Archive(io.BytesIO(data), self._config.max_record_bytes, self._wanted).entries():
            entry.offset = place.offset
            entry.length = place.length if entry.problem is None else None
            if entry.problem in (NOT_WARC, EMPTY):
                entry.problem = BAD_RANGE
            if entry.problem is None and place.record not in (None, record_id(entry, file)):
                return ArchiveEntry(place.offset, problem=NOT_FOUND)
            return entry
        return ArchiveEntry(place.offset, problem=BAD_RANGE)


def _may_pass(result: Any) -> bool:
    """Whether a failure may be gone at the next attempt."""
    if not isinstance(result, BaseException) or isinstance(result, (FileNotFoundError, IsADirectoryError)):
        return False
    status = getattr(result, "status", None)  # of aiohttp; what a server refuses it will refuse again
    return not (isinstance(status, int) and 400 <= status < 500 and status not in (408, 425, 429))


def _unreachable(place: Place, error: BaseException) -> ArchiveEntry:
    beyond = getattr(error, "status", None) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    missing = isinstance(error, (FileNotFoundError, IsADirectoryError))
    return ArchiveEntry(place.offset, problem=MISSING_FILE if missing else BAD_RANGE if beyond else UNREACHABLE)


def _all(members: Iterable[tuple[int, Place]], problem: str) -> Iterator[tuple[int, ArchiveEntry]]:
    for number, place in members:
        yield number, ArchiveEntry(place.offset, problem=problem)
