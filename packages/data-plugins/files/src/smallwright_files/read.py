"""The steps that read rows: ``read_jsonl``, ``read_parquet`` and ``read_hub``."""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from core.data.steps import Step, StepContext
from datatrove.data import Document

from smallwright_files import formats
from smallwright_files.config import ReadHubConfig, ReadJsonlConfig, ReadParquetConfig
from smallwright_files.heads import check_heads, reader_of
from smallwright_files.listing import check_local, parts_of, short_names
from smallwright_files.rows import Row, to_document
from smallwright_files.rows_config import RowsConfig
from smallwright_files.streams import open_storage

LOOKED_INTO = 3
"""Files that are looked into before any work, for whether they have the text's field."""
Config = TypeVar("Config", bound=RowsConfig)


class ReadRows(Step, Generic[Config]):
    """Read the rows of files into documents.

    A document has the row's id, or ``<file>:<row>``; in its metadata ``file`` (the path below the folder that all
    files share), ``row`` (from 0; of lines, the line), ``url`` and the other fields. Each row is met once, whatever
    the number of ranks: where ranks outnumber files they share the rows of a file in turn.

    A row that cannot be read fails with its reason: ``invalid JSON``, ``not an object``, ``not UTF-8``, ``no text``,
    ``too long``. Where a file cannot be read any further (``truncated compressed stream``, ``corrupt compressed
    stream``, ``broken Parquet``), that is the last failure, and the rows before it are kept.
    """

    type = "reader"
    config: Config

    def bind(self, context: StepContext) -> None:
        """Check that local input files exist and that rows have a text, before any work."""
        super().bind(context)
        check_local(context.files, "data.paths")
        remote = any("://" in file for file in context.files)
        check_heads(self.config, context.files[: 1 if remote else LOOKED_INTO], f"data.steps.{context.label}")

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        """Yield the documents of this rank's rows."""
        yield from documents
        names = short_names(self.context.files)
        for file, part, parts in parts_of(self.context.files, rank, world_size):
            yield from self.read_file(file, names[file], part, parts)

    def read_file(self, file: str, name: str, part: int = 0, parts: int = 1) -> Iterator[Document]:
        """Yield the documents of every row n of a file with ``n % parts == part``; fail the rows that are none."""
        about = self.about(file)
        for row in self.rows(file, lambda number: number % parts == part):
            self.receive()
            document, problem = to_document(row, name, self.config, about)
            if row.left_out:
                self._count_left_out(row)
            if problem is None:
                yield document
            else:
                self.fail(document, problem)

    def _count_left_out(self, row: Row) -> None:
        for reason in dict.fromkeys(row.left_out.values()):
            self.count(f"fields left out for {reason}", "rows")
        for field, reason in row.left_out.items():
            self.count(f"fields left out for {reason}", field)

    def rows(self, file: str, wanted: formats.Wanted) -> Iterator[Row]:
        """Yield the wanted rows of a file."""
        with open_storage(file) as storage:
            try:
                yield from reader_of(self.config, file)(storage, self.config, wanted, file)
            except formats.NoTextColumn as error:
                raise formats.NoTextColumn(f"data.steps.{self.context.label}.{error}") from error

    def about(self, file: str) -> dict[str, Any]:
        """Return further metadata of the documents of a file."""
        return {}


class ReadJsonl(ReadRows[ReadJsonlConfig]):
    """Read JSONL: one object a line; plain, gzip, zstd, xz or bzip2, told by the first bytes.

    A file named ``.json`` may be one array of objects instead.
    """

    def __init__(self, config: ReadJsonlConfig | None = None) -> None:
        super().__init__(config or ReadJsonlConfig())


class ReadParquet(ReadRows[ReadParquetConfig]):
    """Read Parquet, a row group at a time."""

    def __init__(self, config: ReadParquetConfig | None = None) -> None:
        super().__init__(config or ReadParquetConfig())


class ReadHub(ReadRows[ReadHubConfig]):
    """Read the data files of a hub dataset as they stream in: JSONL, Parquet, CSV or Arrow.

    Documents also have ``dataset`` and, of a hub dataset, ``revision`` (the commit) in their metadata.
    """

    def about(self, file: str) -> dict[str, Any]:
        dataset = str(self.config.dataset)
        if not file.startswith("hf://"):
            return {"dataset": dataset.rstrip("/").rsplit("/", 1)[-1]}
        return {"dataset": dataset, "revision": file.partition("@")[2].partition("/")[0]}
