"""Read the documents of a corpus artifact, with only the columns that tokenizing needs.

Planning imports this: PyArrow is imported where a file is read.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from core.errors import InputError

HASH_RANGE = 2**64


def corpus_files(corpora: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Return the Parquet files of each corpus in their fixed order.

    Raises:
        InputError: a corpus holds no document.
    """
    return {name: document_files(corpus) for name, corpus in corpora.items()}


def document_files(corpus: Path) -> list[Path]:
    """Return the Parquet files of one corpus in their fixed order.

    Raises:
        InputError: the corpus holds no document.
    """
    files = sorted((corpus / "documents").glob("*.parquet"))
    if sum(row_count(path) for path in files) == 0:
        raise InputError(
            f"the corpus {corpus} holds no documents, so there is nothing to tokenize: its funnel.json names the step "
            "that dropped them, rejected/*.parquet the reasons. Loosen that step or drop it (~data.steps.<step>)."
        )
    return files


def row_count(path: Path) -> int:
    """Return the number of documents in one file, from its footer."""
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows


def text_bytes(path: Path) -> int:
    """Return the size of one file's texts, from its footer: close to their UTF-8 bytes."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    column = metadata.schema.names.index("text")
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    return sum(group.column(column).total_uncompressed_size for group in groups)


def read_batches(path: Path, size: int) -> Iterator[tuple[list[str], list[str]]]:
    """Yield (ids, texts) of at most ``size`` documents each."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=size, columns=["id", "text"]):
            yield (
                [str(name) for name in batch.column("id").to_pylist()],
                [text or "" for text in batch.column("text").to_pylist()],
            )


def read_ids(path: Path) -> Iterator[str]:
    """Yield the document ids of one file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=10_000, columns=["id"]):
            yield from map(str, batch.column("id").to_pylist())
