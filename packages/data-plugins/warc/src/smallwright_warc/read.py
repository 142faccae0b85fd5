"""Step ``read_warc``: every record of the archives is met, counted and, where it is a page, handed on."""

from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

from core.storage import open_file
from datatrove.data import Document

from smallwright_warc.archive import Archive
from smallwright_warc.config import ReadWarcConfig
from smallwright_warc.containers import READ_ERRORS
from smallwright_warc.entries import ArchiveEntry
from smallwright_warc.page import Aside, PageStep, check_file, document_of
from smallwright_warc.urls import UrlSet

NOT_LISTED = Aside(False, "URL not in the list")


class ReadWarc(PageStep):
    """Read WARC, WET and ARC files (plain, gzip, zstd, lz4; local, S3, HTTP) into documents of HTML or plain text.

    A document has the record's id, and in its metadata ``url``, ``warc_file``, ``warc_offset``, ``warc_length``,
    ``warc_date``, what :meth:`PageReader.fill` adds, and of a WET file ``warc_languages``. What a document holds
    depends on its record and the name of its file alone, never on the number of workers.

    A file that cannot be read, or a part of one, becomes one failed entry with the file's name; reading goes on
    with the next record that can be found.
    """

    def __init__(self, config: ReadWarcConfig | None = None) -> None:
        super().__init__(config or ReadWarcConfig())
        self.config: ReadWarcConfig
        self._urls: UrlSet | None = None

    def bind(self, context) -> None:
        """Check that local input files and lists of URLs exist, before any work."""
        super().bind(context)
        for file in self.config.url_files:
            check_file(file, f"data.steps.{context.label}.url_files", "Give files with one URL a line")
        for file in context.files:
            check_file(file, "data.paths", "Give existing WARC files")

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        """Yield the pages of this rank's files."""
        yield from documents
        self._urls = UrlSet.load(self.config.urls, self.config.url_files, f"data.steps.{self.context.label}")
        for file in self.context.files[rank::world_size]:
            yield from self.read_file(file)

    def read_file(self, file: str) -> Iterator[Document]:
        """Yield the pages of one file; reject or fail everything else in it."""
        name = file.rstrip("/").rsplit("/", 1)[-1]
        offset = 0
        try:
            with open_file(file, "rb", compression=None) as stream:
                archive = Archive(cast(BinaryIO, stream), self.config.max_record_bytes, self._wants)
                for entry in archive.entries():
                    offset = entry.offset
                    self.receive()
                    document = document_of(entry, name)
                    self.name_snapshot(document, file)
                    if entry.problem is None and not self._listed(entry.kind, entry.headers):
                        NOT_LISTED.set_aside(self, document)
                    else:
                        yield from self.page(document, entry)
        except (*READ_ERRORS, ImportError) as error:
            self.receive()
            document = document_of(ArchiveEntry(offset, number=-1), name)
            document.metadata["error"] = f"{type(error).__name__}: {error}"[:500]
            self.fail(document, "file cannot be read")

    def _wants(self, kind: str, headers: Mapping[str, str]) -> bool:
        return kind in self.config.record_types and self._listed(kind, headers)

    def _listed(self, kind: str, headers: Mapping[str, str]) -> bool:
        """Whether a record is no page, or a page of a listed URL."""
        if self._urls is None or kind not in self.config.record_types:
            return True
        return headers.get("warc-target-uri", "").strip().strip("<>") in self._urls
