"""Read the documents of a corpus artifact, with only the columns that tokenizing needs.

Planning imports this: PyArrow is imported where a file is read.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core.errors import InputError

HASH_RANGE = 2**64
PIECE_BYTES = 1 << 25
"""Of text in a piece of work: some seconds of one core."""
MOST_PIECES = 256
"""About so many pieces a large corpus has: each becomes a file, and a reader keeps so many open."""


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


@dataclasses.dataclass(frozen=True)
class RowGroups:
    """Some row groups of one Parquet file, one after another."""

    path: Path
    groups: range
    documents: int


Piece = list[RowGroups]
"""Documents that follow one another, tokenized by one worker."""


def pieces(files: Sequence[Path]) -> tuple[list[Piece], int]:
    """Divide the documents of a corpus into pieces of work: what the workers have in common, however many they are.

    Returns:
        Pieces of about :data:`PIECE_BYTES` of text, or a 256th of the corpus where that is more, in the order of the
        documents; and the bytes of all texts, as the footers of the files have them.
    """
    import pyarrow.parquet as pq

    total = sum(map(text_bytes, files))
    wanted = max(PIECE_BYTES, total // MOST_PIECES)
    found: list[Piece] = []
    size = wanted
    for path in files:
        metadata = pq.read_metadata(path)
        column = metadata.schema.names.index("text")
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            if size >= wanted:
                found.append([])
                size = 0
            size += group.column(column).total_uncompressed_size
            last = found[-1][-1] if found[-1] else None
            if last is not None and last.path == path:
                whole = range(last.groups.start, number + 1)
                found[-1][-1] = RowGroups(path, whole, last.documents + group.num_rows)
            else:
                found[-1].append(RowGroups(path, range(number, number + 1), group.num_rows))
    return found, total


def read_piece(piece: Piece, size: int) -> Iterator[tuple[list[str], list[str]]]:
    """Yield (ids, texts) of at most ``size`` documents each."""
    for part in piece:
        yield from read_batches(part.path, size, part.groups)


def read_batches(path: Path, size: int, groups: range | None = None) -> Iterator[tuple[list[str], list[str]]]:
    """Yield (ids, texts) of at most ``size`` documents each, of some row groups of a file or of all."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        wanted = None if groups is None else list(groups)
        for batch in file.iter_batches(batch_size=size, columns=["id", "text"], row_groups=wanted):
            yield (
                [str(name) for name in batch.column("id").to_pylist()],
                [text or "" for text in batch.column("text").to_pylist()],
            )
