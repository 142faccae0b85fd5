"""Bytes and lines of a file, decompressed in bounded memory, whatever state the file is in.

Two kinds of trouble are kept apart. What is wrong with the *content* (a cut or corrupt stream) is a fact about the
file, the same in every run: it raises :class:`BrokenStream`, which steps count. What is wrong with the *storage* (a
network that fails) may be gone next time: it raises :class:`core.errors.InputError`, which stops the run, so that its
outcome never depends on what happened on the way.
"""

import bz2
import contextlib
import lzma
import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from core.errors import InputError
from core.storage import open_file

CHUNK = 1 << 18
OUTPUT = 1 << 20
"""Most bytes that one step of decompression gives, so that a bomb fills no memory."""
XZ_MEMORY = 256 << 20
TRUNCATED = "truncated compressed stream"
CORRUPT = "corrupt compressed stream"

GZIP, ZSTD, XZ = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"
SKIPPABLE = b"\x2a\x4d\x18"
"""Behind a byte of 0x50 to 0x5F: a frame of zstd to be skipped. Files of pzstd begin with one (RFC 8878 §3.1.2)."""
BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # the first block, or the end of an empty stream


class BrokenStream(Exception):
    """The content ends in the middle, or is corrupt from here on. ``partial`` is the start of the line that was cut."""

    def __init__(self, reason: str, detail: str, partial: bytes = b"") -> None:
        super().__init__(detail)
        self.reason = reason
        self.partial = partial


class Storage:
    """A binary file. The first failure of its storage is remembered, so that a reader that wraps the error is seen
    through, and ends the run."""

    def __init__(self, stream: Any, file: str) -> None:
        self._stream = stream
        self._file = file
        self._head = b""
        self.failure: InputError | None = None

    def peek(self, count: int) -> bytes:
        """Return the first bytes, which :meth:`read` gives again. Only before reading."""
        self._head = self.read(count)
        return self._head

    def read(self, count: int = -1) -> bytes:
        head, self._head = self._head, b""
        if head and 0 <= count <= len(head):
            self._head = head[count:]
            return head[:count]
        return head + self._ask("read", count - len(head) if count >= 0 else -1)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._ask("seek", offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def close(self) -> None:
        self._stream.close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def flush(self) -> None:
        return None

    def _ask(self, method: str, *arguments: int) -> Any:
        try:
            return getattr(self._stream, method)(*arguments)
        except Exception as error:  # storages raise what they like: botocore's, aiohttp's, OSError
            self.failure = _unreadable(self._file, error)
            raise self.failure from error


def _unreadable(file: str, error: Exception) -> InputError:
    what = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
    return InputError(f"{file} cannot be read: {what}. Finished shards are kept: start again when it can.")


@contextlib.contextmanager
def open_storage(file: str) -> Iterator[Storage]:
    """Open anything that fsspec opens.

    Raises:
        InputError: it cannot be opened or read.
    """
    try:
        opened = open_file(file, "rb", compression=None).open()
    except Exception as error:
        raise _unreadable(file, error) from error
    with contextlib.closing(opened):
        yield Storage(opened, file)


def chunks(storage: Storage) -> Iterator[bytes]:
    """Yield the decompressed content in pieces of at most 1 MiB; the kind of compression is told by its first bytes.

    Raises:
        BrokenStream: the compressed stream is cut off or corrupt.
    """
    head = storage.peek(16)
    if head.startswith(GZIP):
        yield from _gunzip(storage)
    elif head.startswith(ZSTD) or (head[1:4] == SKIPPABLE and head[0] & 0xF0 == 0x50):
        yield from _unzstd(storage)
    elif head.startswith(XZ):
        yield from _decompress(storage, lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY), lzma.LZMAError)
    elif head[:3] == b"BZh" and head[4:10] in BZIP2_BLOCKS:
        yield from _decompress(storage, bz2.BZ2Decompressor, OSError)
    else:
        while piece := storage.read(OUTPUT):
            yield piece


def lines(pieces: Iterator[bytes], limit: int) -> Iterator[tuple[bytes, bool]]:
    """Yield (line without its end, whether it is longer than ``limit``); of too long a line only the start.

    Raises:
        BrokenStream: as :func:`chunks`, with the unfinished line as ``partial``.
    """
    pending = b""
    overlong = False
    try:
        for piece in pieces:
            first, *others = piece.split(b"\n")
            if overlong:
                first = b""
            pending += first
            if len(pending) > limit:
                overlong, pending = True, pending[:limit]
            if not others:
                continue
            yield _without_return(pending), overlong
            overlong = False
            *whole, pending = others
            for line in whole:
                if len(line) > limit:
                    yield line[:limit], True
                else:
                    yield _without_return(line), False
            if len(pending) > limit:
                overlong, pending = True, pending[:limit]
    except BrokenStream as error:
        error.partial = pending
        raise
    if pending or overlong:
        yield _without_return(pending), overlong


def _without_return(line: bytes) -> bytes:
    return line[:-1] if line.endswith(b"\r") else line


def _gunzip(storage: Storage) -> Iterator[bytes]:
    decompressor: Any = None
    data = b""
    while True:
        if decompressor is None:
            data = data.lstrip(b"\0")  # padding, which gzip allows after a member
        if not data:
            data = storage.read(CHUNK)
            if not data:
                break
            continue
        decompressor = decompressor or zlib.decompressobj(31)
        before = decompressor.copy()
        try:
            output = decompressor.decompress(data, OUTPUT)
        except zlib.error as error:
            yield _until_the_damage(before, data)
            raise BrokenStream(CORRUPT, str(error)) from error
        if output:
            yield output
        data = decompressor.unconsumed_tail
        if decompressor.eof:
            decompressor, data = None, decompressor.unused_data
    if decompressor is not None:
        yield decompressor.flush()
        raise BrokenStream(TRUNCATED, "the file ends inside a gzip member")


def _until_the_damage(decompressor: Any, data: bytes) -> bytes:
    """Return what comes out of ``data`` before it breaks: a call that meets damage gives nothing of what it has."""
    found = bytearray()
    with contextlib.suppress(zlib.error):
        for place in range(len(data)):
            found += decompressor.decompress(data[place : place + 1])
            if len(found) > OUTPUT:
                break
    return bytes(found)


def _decompress(storage: Storage, new: Any, problem: type[Exception]) -> Iterator[bytes]:
    decompressor: Any = None
    data = b""
    while True:
        if decompressor is None or (not data and decompressor.needs_input):
            data = data or storage.read(CHUNK)
            if not data:
                break
            if decompressor is None:
                data = data.lstrip(b"\0")  # padding, which xz allows after a stream
                if not data:
                    continue
                decompressor = new()
        try:
            output = decompressor.decompress(data, OUTPUT)
        except (problem, EOFError, ValueError, MemoryError) as error:
            raise BrokenStream(CORRUPT, str(error)) from error
        data = b""
        if output:
            yield output
        if decompressor.eof:
            data, decompressor = decompressor.unused_data, None
    if decompressor is not None:
        raise BrokenStream(TRUNCATED, "the file ends inside a compressed stream")


def _unzstd(storage: Storage) -> Iterator[bytes]:
    done = 0
    try:
        for piece in _zstd_pieces(storage, OUTPUT):
            done += len(piece)
            yield piece
    except BrokenStream as broken:
        yield _before_the_damage(storage, done)
        raise broken from None


def _zstd_pieces(storage: Storage, size: int) -> Iterator[bytes]:
    stream = pa.CompressedInputStream(pa.PythonFile(storage, mode="r"), "zstd")
    while True:
        try:
            piece = stream.read(size)
        except Exception as error:
            if storage.failure is not None:
                raise storage.failure from error
            raise BrokenStream(TRUNCATED if "Truncated" in str(error) else CORRUPT, str(error)) from error
        if not piece:
            return
        yield piece


def _before_the_damage(storage: Storage, done: int) -> bytes:
    """Return what can be had behind the first ``done`` bytes: a read that meets damage gives nothing of what it has."""
    storage.seek(0)
    stream = pa.CompressedInputStream(pa.PythonFile(storage, mode="r"), "zstd")
    while done:
        done -= len(stream.read(min(done, OUTPUT)))
    found = bytearray()
    with contextlib.suppress(Exception):
        while byte := stream.read(1):
            found += byte
    if storage.failure is not None:
        raise storage.failure
    return bytes(found)
