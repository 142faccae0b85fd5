"""Extraction in a child process: no page can hang, exhaust or crash the worker that met it.

Extractors run native code that no signal interrupts, and there are pages on which even a parser does not end: its time
can grow with the square of the number of attributes of one tag, or of the options of a list. So pages are sent to a
child, many at a time. A batch that takes too long, or whose child dies, is done again page by page; the page that fails
again is the one to blame.

Run as ``python -m smallwright_extract.child <settings as JSON> <parent's process id> <descriptor of pages>`` by
:class:`ExtractionChild`. Pages go to the child as UTF-8, through memory that both processes map. Answers come back
through a pipe in Python's marshal format, which holds plain values only.
"""

import atexit
import contextlib
import dataclasses
import json
import marshal
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from smallwright_extract.config import ExtractTextConfig

LENGTH = struct.Struct("<Q")
READY_S = 120.0
"""Longest time for a child to start, in seconds: its imports take long on a busy machine."""
PIPE_BYTES = 1 << 20
SHARED_BYTES = 1 << 22

TIME_LIMIT = "time limit"
MEMORY_LIMIT = "memory limit"
CRASHED = "crashed the extractor"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one page."""

    text: str = ""
    title: str = ""
    formulas: int = 0
    rejected: str = ""
    """Reason for rejection; empty when the page is kept or failed."""
    failed: str = ""
    """Why the page could not be extracted; empty when it could."""
    error: str = ""


_children: dict[ExtractTextConfig, "ExtractionChild"] = {}


def child_of_this_process(config: ExtractTextConfig) -> "ExtractionChild":
    """Return the child with these settings, which serves this process until it ends: starting one takes a while."""
    if config not in _children:
        _children[config] = ExtractionChild(config)
        atexit.register(_children[config].close)
    return _children[config]


class _ChildError(Exception):
    """The child did not answer; the message is the countable reason."""


class ExtractionChild:
    """A child process that extracts pages, started when first needed and again after each death.

    Args:
        config: Settings; ``timeout_s`` and ``max_memory_mb`` are the limits of one page.
    """

    def __init__(self, config: ExtractTextConfig) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = self._answers = -1
        self._pages = _SharedPages(_anonymous_file())
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the child)

    def __enter__(self) -> "ExtractionChild":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child process."""
        self._stop()
        self._pages.close()
        self._errors.close()

    def extract(self, pages: Sequence[bytes]) -> list[Outcome]:
        """Return one outcome for each page of HTML in UTF-8."""
        try:
            return self._ask(pages)
        except _ChildError:
            if len(pages) == 1:  # earlier pages may have left the process too little memory, so try in a fresh one
                return [self._alone(pages[0])]
        return [self._alone(page) for page in pages]

    def _alone(self, page: bytes) -> Outcome:
        try:
            return self._ask([page])[0]
        except _ChildError as error:
            return Outcome(failed=str(error))

    def _ask(self, pages: Sequence[bytes]) -> list[Outcome]:
        if self._process is None:
            self._start()
        try:
            self._pages.put(pages)
            os.write(self._requests, LENGTH.pack(len(pages)))
            answer = _receive(self._answers, time.monotonic() + self._config.timeout_s)
        except TimeoutError:
            self._stop()
            raise _ChildError(TIME_LIMIT) from None
        except (OSError, EOFError):
            raise _ChildError(self._why_dead()) from None
        return [Outcome(*values) for values in answer]

    def _start(self) -> None:
        settings = json.dumps(dataclasses.asdict(self._config))
        arguments = [settings, str(os.getpid()), str(self._pages.descriptor)]
        self._errors.seek(0)
        self._errors.truncate()
        child_reads, self._requests = os.pipe()
        self._answers, child_writes = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "smallwright_extract.child", *arguments],
                stdin=child_reads,
                stdout=child_writes,
                stderr=self._errors,
                pass_fds=[self._pages.descriptor],
            )
        finally:
            os.close(child_reads)
            os.close(child_writes)
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):  # the user's share of memory for pipes may be used up
                fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            _receive(self._answers, time.monotonic() + READY_S)
        except (TimeoutError, OSError, EOFError) as error:
            self._stop()
            said = self._said().strip().splitlines() or [""]
            raise RuntimeError(f"the extraction process did not start: {said[-1]}") from error

    def _why_dead(self) -> str:
        """Wait for the dead child and return what it died of, as a countable reason."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._stop()
        said = self._said()
        out_of_memory = "MemoryError" in said or "memory allocation of" in said or "Cannot allocate memory" in said
        return MEMORY_LIMIT if out_of_memory else CRASHED

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            os.close(self._requests)
            os.close(self._answers)
            self._process = None

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read(1 << 16).decode("utf-8", "replace")


class _SharedPages:
    """Pages in memory that two processes map: first the number of bytes of each page, then the pages.

    Args:
        descriptor: A file without a name; it grows with the largest batch.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None

    def put(self, pages: Sequence[bytes]) -> None:
        """Write ``pages``, over what was there."""
        head = b"".join(LENGTH.pack(len(page)) for page in pages)
        needed = len(head) + sum(map(len, pages))
        if self._map is None or len(self._map) < needed:
            os.ftruncate(self.descriptor, max(needed, SHARED_BYTES))
        shared = self._at_least(needed)
        position = 0
        for piece in (head, *pages):
            shared[position : position + len(piece)] = piece
            position += len(piece)

    def take(self, count: int) -> Iterator[bytes]:
        """Yield the pages of a batch of ``count``."""
        position = count * LENGTH.size
        lengths = [length for (length,) in LENGTH.iter_unpack(self._at_least(position)[:position])]
        shared = self._at_least(position + sum(lengths))
        for length in lengths:
            yield shared[position : position + length]
            position += length

    def close(self) -> None:
        """Give the memory back."""
        if self._map is not None:
            self._map.close()
        os.close(self.descriptor)

    def _at_least(self, size: int) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self.descriptor, 0)
        return self._map


def _anonymous_file() -> int:
    if sys.platform == "linux":
        return os.memfd_create("pages")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _receive(descriptor: int, deadline: float) -> list:
    def read(size: int) -> bytearray:
        data = bytearray()
        while len(data) < size:
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            piece = os.read(descriptor, min(PIPE_BYTES, size - len(data)))
            if not piece:
                raise EOFError
            data += piece
        return data

    return marshal.loads(read(LENGTH.unpack(read(LENGTH.size))[0]))


def outcome(page: bytes, config: ExtractTextConfig) -> Outcome:
    """Extract one page, HTML in UTF-8, here, in this process; an error becomes a failure with the error's name."""
    from smallwright_extract.page import extract_page

    try:
        result = extract_page(page, config)
    except Exception as error:  # whatever an extractor raises fails this page, not the run
        name = type(error).__name__
        starved = isinstance(error, MemoryError) or (name == "HTMLParserException" and _memory_was_short())
        return Outcome(failed=MEMORY_LIMIT if starved else name, error=f"{name}: {error}"[:500])
    return Outcome(result.text, result.title, result.formulas, result.reason)


_short_from_kb = 0
"""In kB. Where a parser gives up, and this process's address space was ever larger than this, it lacked memory. 0: no
limit was set."""


def limit_memory(megabytes: int) -> None:
    """Let this process have ``megabytes`` more than it has now; Linux only."""
    if sys.platform != "linux":
        return
    import resource

    global _short_from_kb
    limit = (_status_kb("VmData") + megabytes * 1024) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    _short_from_kb = _status_kb("VmSize") + megabytes * 1024 // 3  # a buffer that may not double is a third of it


def _memory_was_short() -> bool:
    return 0 < _short_from_kb < _status_kb("VmPeak")


def _status_kb(field: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{field}:"))


def _serve(settings: str, parent: str, descriptor: str) -> None:
    from core.process import die_with_parent

    die_with_parent(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, also when both get Ctrl-C
    config = ExtractTextConfig(**json.loads(settings))
    pages = _SharedPages(int(descriptor))
    answers, requests = os.dup(sys.stdout.fileno()), sys.stdin.buffer
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not mix with the answers
    outcome(b"<html><body><p>Extractors load what they need with the first page.</p></body></html>", config)
    limit_memory(config.max_memory_mb)
    with os.fdopen(answers, "wb") as stream:
        _answer(stream, [])
        while header := requests.read(LENGTH.size):
            batch = pages.take(LENGTH.unpack(header)[0])
            _answer(stream, [tuple(vars(outcome(page, config)).values()) for page in batch])


def _answer(stream, value: list) -> None:
    data = marshal.dumps(value)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
