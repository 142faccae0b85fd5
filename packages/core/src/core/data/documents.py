"""Documents on disk: one Parquet file per rank, with columns id, text, url, score and metadata (JSON).

DataTrove's own Parquet writer infers a struct type for metadata from the first batch and fails when a later
document has other keys; metadata as one JSON column cannot fail so.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from core import writing

COLUMNS = (
    ("id", pa.string()),
    ("text", pa.string()),
    ("url", pa.string()),
    ("score", pa.float64()),
    ("metadata", pa.string()),
)


class ParquetSink:
    """Write documents to one Parquet file that appears only when complete.

    Args:
        path: Final path; the folder is made.
        extra: Names of further string columns, given to :meth:`write` by keyword.
    """

    ROWS_PER_GROUP = 1000
    CHARACTERS_PER_GROUP = 1 << 25
    """A group is also written when it has this many characters: a thousand long documents would fill the memory."""

    def __init__(self, path: Path, extra: tuple[str, ...] = ()) -> None:
        self._path = path
        self._partial = writing.begin(path)
        self._schema = pa.schema([*COLUMNS, *((name, pa.string()) for name in extra)])
        self._rows: list[dict[str, Any]] = []
        self._characters = 0
        self._writer = pq.ParquetWriter(self._partial, self._schema, compression="zstd")

    def write(self, document: Document, **extra: str) -> None:
        """Add one document."""
        metadata = dict(document.metadata)
        row = {
            "id": encodable(document.id),
            "text": encodable(document.text),
            "url": encodable(str(metadata.pop("url", None) or "")),
            "score": _number(metadata.get("score")),
            "metadata": json.dumps(metadata, default=str),
            **extra,
        }
        self._rows.append(row)
        self._characters += len(document.text)
        if len(self._rows) >= self.ROWS_PER_GROUP or self._characters >= self.CHARACTERS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left and give the file its final name."""
        self._flush()
        self._writer.close()
        writing.commit(self._path)

    def abandon(self) -> None:
        """Drop the unfinished file."""
        self._writer.close()
        self._partial.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()
            self._characters = 0


def encodable(text: str) -> str:
    """Replace lone surrogates, which pages decoded from broken charsets can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _number(value: Any) -> float | None:
    """Return the value for the score column; None for the words and giant integers that some files have there."""
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:
        return None


def read_documents(path: Path, columns: Iterable[str] = ("id", "text", "url", "metadata")) -> Iterator[Document]:
    """Yield the documents of one Parquet file, a row group at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1000, columns=list(columns)):
            for row in batch.to_pylist():
                metadata = json.loads(row.get("metadata") or "{}")
                metadata["url"] = row.get("url")
                yield Document(text=row["text"], id=row["id"], metadata=metadata)


class ReadDocuments(PipelineStep):
    """Start of a pass: rank r reads ``<folder>/<r>.parquet``; with fewer tasks than files, every n-th file."""

    type = "reader"
    name = "documents"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for path in sorted(self.folder.glob("*.parquet"))[rank::world_size]:
            for document in read_documents(path):
                self.stat_update("documents")
                yield document


class WriteDocuments(PipelineStep):
    """End of a pass: rank r writes ``<folder>/<r>.parquet``."""

    type = "writer"
    name = "documents"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        sink = ParquetSink(self.folder / f"{rank:05d}.parquet")
        try:
            for document in data:
                sink.write(document)
                self.stat_update("documents")
                yield document
        except BaseException:
            sink.abandon()
            raise
        sink.close()
