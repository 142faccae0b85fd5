"""The step ``fetch_contents``: texts of files by their Software Heritage ids.

The Stack v2 and Stack-Edu publish ids and not contents; contents lie gzipped in Software Heritage's bucket, one object
an id. Failures are set aside with their reasons and counted; the datasets' cards drop them.
"""

import codecs
import collections
import itertools
import logging
import re
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import fsspec
from core.data.charsets import decode_strictly, encoding_of
from core.data.steps import Step, StepContext
from core.errors import ConfigError, InputError
from datatrove.data import Document

from smallwright_stack_edu.config import FetchContentsConfig

BLOB_ID = re.compile(r"[0-9a-fA-F]{16,128}")
STORAGE_FAILED = "storage failed"
NOT_FOUND = "not found"
OF_THE_STORAGE = (STORAGE_FAILED, NOT_FOUND)
"""Reasons whose details name hosts, ports and paths: they go to the log, and never into the corpus."""
NO_CHARSETS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"}
"""Codecs of Python that no file is written in. Some take very long on text that they were not made for."""


logger = logging.getLogger(__name__)


class Unfetched(Exception):
    """A content that cannot be had.

    Args:
        reason: A short, countable phrase.
        detail: What is wrong with the content, or what the storage said.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class FetchContents(Step):
    """Fill in the text of rows that came without.

    Documents leave in the order in which they came, whichever content arrives first. Failures: ``no blob id``,
    ``not found``, ``too large``, ``corrupt gzip``, ``encoding not known``, ``not in its encoding``, ``empty``, and
    after all tries ``storage failed``. Table ``contents``: fetched, and given with the row.

    Raises:
        InputError: the storage failed ``give_up_after`` times in a row; finished shards are kept.
    """

    config: FetchContentsConfig

    def __init__(self, config: FetchContentsConfig | None = None) -> None:
        super().__init__(config or FetchContentsConfig())

    def bind(self, context: StepContext) -> None:
        """Check that the file system of ``base`` is installed, before any work."""
        super().bind(context)
        protocol = self.config.base.partition("://")[0] if "://" in self.config.base else "file"
        try:
            fsspec.get_filesystem_class(protocol)
        except (ImportError, ValueError) as error:
            self._missing = ConfigError(
                f"data.steps.{context.label}.base={self.config.base}: {error}. For s3:// install it: "
                "pip install 'smallwright-data-stack-edu[s3]'"
            )
        else:
            self._missing = None

    _missing: ConfigError | None = None
    """Why ``base`` cannot be opened. Raised only when a content is to be fetched, because rows may bring their own."""

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        waiting: collections.deque[tuple[Document, Future[str] | None]] = collections.deque()
        self._filesystem: Any = None
        self._failures_in_a_row = 0
        pool: ThreadPoolExecutor | None = None
        try:
            for document in itertools.chain(documents, (None,)):
                if document is not None:
                    future = None
                    if self.config.refetch or not document.text.strip():
                        name = str(document.metadata.get(self.config.id_field) or "")
                        if not BLOB_ID.fullmatch(name):  # a row must not name another file of the storage
                            self.fail(document, "no blob id")
                            continue
                        pool = pool or self._start()
                        encoding = document.metadata.get(self.config.encoding_field) or self.config.encoding
                        future = pool.submit(self._fetch, name, str(encoding))
                    waiting.append((document, future))
                while waiting and (document is None or len(waiting) > 4 * self.config.threads):
                    yield from self._finished(*waiting.popleft())
        finally:
            if pool is not None:
                pool.shutdown(cancel_futures=True)

    def _start(self) -> ThreadPoolExecutor:
        if self._missing is not None:
            raise self._missing
        options = self.config.storage_options
        if options is None:
            options = {"anon": True} if self.config.base.startswith("s3://") else {}
        self._filesystem, self._root = fsspec.core.url_to_fs(self.config.base, **options)
        return ThreadPoolExecutor(self.config.threads)

    def _finished(self, document: Document, future: "Future[str] | None") -> Iterator[Document]:
        if future is None:
            self.count("contents", "given with the row")
            yield document
            return
        try:
            document.text = future.result()
        except Unfetched as problem:
            if problem.reason in OF_THE_STORAGE:
                logger.warning("%s: %s", document.id, problem)
            else:
                document.metadata["error"] = str(problem)[:500]
            self.fail(document, problem.reason)
            self._watch(problem)
            return
        self._failures_in_a_row = 0
        self.count("contents", "fetched")
        yield document

    def _watch(self, problem: Unfetched) -> None:
        """End the run when it is the storage that fails, and not single contents."""
        if problem.reason != STORAGE_FAILED:
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= self.config.give_up_after:
            raise InputError(
                f"data.steps.{self.context.label}.base={self.config.base} failed {self._failures_in_a_row} times in "
                f"a row, at last: {str(problem)[:300]}. Finished shards are kept: start again when it answers."
            )

    def _fetch(self, name: str, encoding: str) -> str:
        """Return the content of an id. Runs in a thread."""
        try:
            if encoding_of(encoding) is None and codecs.lookup(encoding).name.replace("_", "-") in NO_CHARSETS:
                raise LookupError(f"no charset: {encoding}")
            text = decode_strictly(self._unzip(self._read(name)), encoding)
        except (LookupError, ValueError) as error:
            decoding = isinstance(error, UnicodeDecodeError)
            raise Unfetched("not in its encoding" if decoding else "encoding not known", str(error)) from error
        if not text.strip():
            raise Unfetched("empty")
        return text

    def _read(self, name: str) -> bytes:
        pause = self.config.pause
        for tries_left in range(self.config.retries, -1, -1):
            try:
                with self._filesystem.open(f"{self._root}/{name}", "rb") as stream:
                    data = stream.read(self.config.max_bytes + 1)
            except FileNotFoundError as error:
                raise Unfetched(NOT_FOUND, str(error)) from error
            except Exception as error:  # storages raise what they like: botocore's, aiohttp's, OSError
                if not tries_left:
                    raise Unfetched(STORAGE_FAILED, f"{type(error).__name__}: {error}") from error
                time.sleep(pause)
                pause *= 2
            else:
                if len(data) > self.config.max_bytes:
                    raise Unfetched("too large")
                return data
        raise AssertionError("the last try returns or raises")

    def _unzip(self, data: bytes) -> bytes:
        decompressor = zlib.decompressobj(31)
        try:
            content = decompressor.decompress(data, self.config.max_bytes + 1)
        except zlib.error as error:
            raise Unfetched("corrupt gzip", str(error)) from error
        if len(content) > self.config.max_bytes:
            raise Unfetched("too large")
        if not decompressor.eof:
            raise Unfetched("corrupt gzip", "it is cut off")
        return content
