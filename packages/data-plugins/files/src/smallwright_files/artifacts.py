"""The step ``read_documents``: what an earlier data stage kept or set aside, read again."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from core.data.steps import Step, StepContext
from core.errors import InputError
from core.storage import open_file
from datatrove.data import Document

from smallwright_files.config import ReadDocumentsConfig
from smallwright_files.formats import BATCH_ROWS, BROKEN_PARQUET
from smallwright_files.listing import check_local, parts_of, short_names
from smallwright_files.streams import Storage, open_storage

COLUMNS = ("id", "text", "url", "metadata")
ASIDE = ("step", "outcome", "reason")


class ReadDocuments(Step):
    """Read the documents, or the rejected documents, of an earlier data artifact.

    Rejected ones are chosen by step, outcome and reason, either kind by URL; a chosen one has ``rejected_by`` and
    ``rejected_for`` in its metadata. In this way FineMath recovered the pages that FineWeb had dropped for a curly
    bracket (SmolLM2, arXiv 2502.02737 §3.3.2, and the README of its code). A document that is not chosen is counted in
    the table ``read again``, and not among the documents that this step received.
    """

    type = "reader"
    config: ReadDocumentsConfig

    def __init__(self, config: ReadDocumentsConfig | None = None) -> None:
        super().__init__(config or ReadDocumentsConfig())

    def bind(self, context: StepContext) -> None:
        """Check that the files are an artifact's, before any work."""
        super().bind(context)
        check_local(context.files, "data.paths")
        check_local(self.config.url_files, f"data.steps.{context.label}.url_files")

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        """Yield the chosen documents of this rank's files."""
        yield from documents
        names = short_names(self.context.files)
        urls = self._urls()
        for file, part, parts in parts_of(self.context.files, rank, world_size):
            with open_storage(file) as storage:
                for number, row in enumerate(self._rows(storage, file)):
                    if number % parts == part:
                        yield from self._document(row, f"{names[file]}:{number}", urls)

    def _document(self, row: dict[str, Any], place: str, urls: set[bytes] | None) -> Iterator[Document]:
        if "broken" in row:
            self.receive()
            self.fail(Document(text="", id=place, metadata={"error": row["broken"]}), BROKEN_PARQUET)
            return
        if not self._chosen(row, urls):
            self.count("read again", "not chosen")
            return
        self.receive()
        self.count("read again", "chosen")
        try:
            metadata = json.loads(row["metadata"] or "{}")
            if not isinstance(metadata, dict):
                raise TypeError("the metadata is no object")
        except (ValueError, TypeError, RecursionError) as error:
            self.fail(Document(text="", id=place, metadata={"error": str(error)[:500]}), "invalid metadata")
            return
        metadata["url"] = row["url"]
        if "reason" in row:
            metadata |= {"rejected_by": row["step"], "rejected_for": row["reason"]}
        yield Document(text=row["text"] or "", id=row["id"] or place, metadata=metadata)

    def _chosen(self, row: dict[str, Any], urls: set[bytes] | None) -> bool:
        config = self.config
        if urls is not None and _digest(row["url"] or "") not in urls:
            return False
        if "reason" not in row:
            return True
        return (
            (config.steps is None or row["step"] in config.steps)
            and row["outcome"] in config.outcomes
            and (config.reasons is None or row["reason"] in config.reasons)
        )

    def _urls(self) -> set[bytes] | None:
        """Return the digests of the URLs to read; None: any. 64 bits: at 100 million URLs and as many documents, the
        chance of one wrong choice is 5e-4."""
        if self.config.urls is None and not self.config.url_files:
            return None
        wanted = {_digest(url) for url in self.config.urls or ()}
        for file in self.config.url_files:
            with open_file(file, "rt", encoding="utf-8-sig", errors="replace", compression="infer") as stream:
                wanted |= {_digest(line.strip()) for line in stream if line.strip()}
        return wanted

    def _rows(self, storage: Storage, file: str) -> Iterator[dict[str, Any]]:
        try:
            parquet = pq.ParquetFile(storage, pre_buffer=False)
        except (pa.ArrowException, OSError, InputError) as error:
            if storage.failure is not None:
                raise storage.failure from error
            yield {"broken": str(error)[:500]}
            return
        names = parquet.schema_arrow.names
        if missing := [name for name in COLUMNS if name not in names]:
            raise InputError(
                f"{file} is no documents file of an artifact (it lacks {', '.join(missing)}). To read other Parquet "
                f"files, use read_parquet."
            )
        columns = [*COLUMNS, *(name for name in ASIDE if name in names)]
        with parquet:
            try:
                for batch in parquet.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                    yield from batch.to_pylist()
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                if storage.failure is not None:
                    raise storage.failure from error
                yield {"broken": str(error)[:500]}


def _digest(url: str) -> bytes:
    return hashlib.blake2b(url.encode("utf-8", "replace"), digest_size=8).digest()
