"""Step ``read_index``: the records that an index lists, each fetched from where it is."""

from collections.abc import Iterator

from core.data.steps import batched
from datatrove.data import Document

from smallwright_warc.config import ReadIndexConfig
from smallwright_warc.containers import READ_ERRORS
from smallwright_warc.entries import ArchiveEntry
from smallwright_warc.fetch import Fetcher, Place
from smallwright_warc.index import IndexRow, read_rows
from smallwright_warc.page import PageStep, check_file, document_of
from smallwright_warc.urls import normalize_url

BAD_ROW = "bad index row"
OTHER_URL = "another URL than in the index"
UNREADABLE = "file cannot be read"


class ReadIndex(PageStep):
    """Read the records that rows of an index name, by ranges of their files.

    The recipe's input files are indexes (see :mod:`smallwright_warc.index`). Every row is accounted for. A row whose
    status is none of ``statuses`` is rejected without a fetch. Documents are as those of ``read_warc``, with
    ``warc_path`` (the file's name as the index has it) and ``index_languages`` where the index says any.

    With as many shards as files, a shard is a file; with more shards (``data.shards``) it is every n-th row.
    """

    def __init__(self, config: ReadIndexConfig | None = None) -> None:
        super().__init__(config or ReadIndexConfig())
        self.config: ReadIndexConfig

    def bind(self, context) -> None:
        """Check that local index files exist, before any work."""
        super().bind(context)
        for file in context.files:
            check_file(file, "data.paths", "Give existing index files (Parquet, CSV, JSON lines or CDXJ)")

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        """Yield the pages of this rank's rows."""
        yield from documents
        fetcher = Fetcher(self.config, self.pages.wants)
        for rows in batched(self._rows(rank, world_size), self.config.batch_rows):
            yield from self._pages(fetcher, rows)

    def _rows(self, rank: int, world_size: int) -> Iterator[tuple[str, IndexRow]]:
        """Yield this rank's rows, each with its path, but those that need no fetch."""
        files = self.context.files
        by_row = world_size > len(files)
        number = 0
        for file in files if by_row else files[rank::world_size]:
            try:
                for row in read_rows(file):
                    number += 1
                    if by_row and (number - 1) % world_size != rank:
                        continue
                    self.receive()
                    if row is None:
                        self.fail(self._nameless(file, number), BAD_ROW)
                    elif row.status is not None and row.status not in self.config.statuses:
                        document = self._document(row, ArchiveEntry(row.offset))
                        document.metadata["http_status"] = row.status
                        self.reject(document, "HTTP status")
                    else:
                        yield self._path(file, row), row
            except READ_ERRORS as error:
                if by_row and rank:
                    continue  # every rank meets it; the first one counts it
                self.receive()
                document = self._nameless(file, -1)
                document.metadata["error"] = f"{type(error).__name__}: {error}"[:500]
                self.fail(document, UNREADABLE)

    def _pages(self, fetcher: Fetcher, rows: list[tuple[str, IndexRow]]) -> Iterator[Document]:
        places = [Place(path=path, offset=row.offset, length=row.length) for path, row in rows]
        for number, entry in fetcher.fetch(places):
            row = rows[number][1]
            document = self._document(row, entry)
            found = document.metadata["url"]
            if entry.problem is None and row.url and found and normalize_url(row.url) != normalize_url(str(found)):
                self.fail(document, OTHER_URL)
            else:
                yield from self.page(document, entry)

    def _document(self, row: IndexRow, entry: ArchiveEntry) -> Document:
        document = document_of(entry, row.filename.rsplit("/", 1)[-1])
        metadata = document.metadata
        metadata["url"] = metadata["url"] or row.url
        metadata["warc_path"] = row.filename
        self.name_snapshot(document, row.filename)
        if row.time:
            metadata.setdefault("warc_date", row.time)
        if row.languages:
            metadata["index_languages"] = row.languages[:200]
        return document

    def _nameless(self, file: str, number: int) -> Document:
        return document_of(ArchiveEntry(0, number=number), file.rsplit("/", 1)[-1])

    def _path(self, file: str, row: IndexRow) -> str:
        return join(file.rpartition("/")[0] if self.config.prefix is None else self.config.prefix, row.filename)


def join(prefix: str, name: str) -> str:
    """Return ``name`` below ``prefix``, which may be empty; a name never leaves its prefix."""
    if not prefix:
        return name.lstrip("/")
    return f"{prefix.rstrip('/')}/{name.lstrip('/')}"
