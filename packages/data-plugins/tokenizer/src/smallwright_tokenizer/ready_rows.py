"""Rows of ids in Parquet files, column ``input_ids``, as hub datasets of tokens have them. Planning imports this."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

COLUMN, MASK = "input_ids", "attention_mask"
ROWS = 1024
"""Read at once."""
LOOKED_AT = 1000
"""Rows that tell windows of a stream from documents."""

Rows = Literal["document", "stream"]


@dataclasses.dataclass(frozen=True)
class ReadyRows:
    """One file of rows, as documents; the ids that a column ``attention_mask`` hides are padding, and left out."""

    path: Path
    name: str
    end_of_text: int
    rows: Rows
    """``document``: a row ends with a document, whose end-of-text id is added where it lacks one. ``stream``: rows are
    pieces of one stream."""

    @functools.cached_property
    def _lengths(self) -> "np.ndarray":
        import numpy as np

        return np.concatenate([np.zeros(0, np.int64), *(lengths for _, lengths in self._pieces())])

    @property
    def documents(self) -> int:
        """Documents of the file: a row with several ends of text has several."""
        return len(self._lengths)

    @property
    def tokens(self) -> int:
        """Ids of the file, with the ends of text that are added."""
        return int(self._lengths.sum())

    def ends(self) -> "np.ndarray":
        """Return the end of each document in tokens, as int64."""
        return self._lengths.cumsum()

    def chunks(self) -> Iterator[tuple[int, "np.ndarray", "np.ndarray"]]:
        """Yield the number of a first document, ids of it and of those behind it, and the lengths of all."""
        first = 0
        for ids, lengths in self._pieces():
            yield first, ids, lengths
            first += len(lengths)

    def _pieces(self) -> Iterator[tuple["np.ndarray", "np.ndarray"]]:
        import numpy as np

        left = np.zeros(0, np.int64)
        for ids, ends in _read(self.path):
            if self.rows == "document":
                open_ends = ends[ids[ends - 1] != self.end_of_text]
                ids = np.insert(ids, open_ends, self.end_of_text)
            else:
                ids = np.concatenate([left, ids])
                whole = int(np.flatnonzero(ids == self.end_of_text)[-1]) + 1 if self.end_of_text in ids else 0
                ids, left = ids[:whole], ids[whole:]
            if len(ids):
                yield ids, np.diff(np.flatnonzero(ids == self.end_of_text) + 1, prepend=0)
        if len(left):
            yield np.append(left, self.end_of_text), np.array([len(left) + 1])


def _read(path: Path) -> Iterator[tuple["np.ndarray", "np.ndarray"]]:
    """Yield the ids of some rows, and where each that has any ends among them; rows without ids are left out."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        columns = [COLUMN, MASK] if MASK in file.schema_arrow.names else [COLUMN]
        for batch in file.iter_batches(batch_size=ROWS, columns=columns):
            batch = batch.filter(pc.is_valid(batch.column(COLUMN)))
            ids = np.asarray(batch.column(COLUMN).flatten()).astype(np.int64)
            ends = np.cumsum(np.asarray(pc.list_value_length(batch.column(COLUMN))).astype(np.int64))
            if len(columns) == 2:
                shown = np.asarray(batch.column(MASK).flatten()).astype(bool)
                if len(shown) != len(ids):
                    raise InputError(f"{path.name}: {MASK} has {len(shown):,} values, and {COLUMN} {len(ids):,}.")
                ids, ends = ids[shown], np.concatenate([[0], np.cumsum(shown)])[ends]
            ends = np.unique(ends[ends > 0])
            if len(ids):
                yield ids, ends


def check(path: Path, owner: str) -> None:
    """Refuse a file that has no column of ids.

    Raises:
        InputError: naming its columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(f"{owner}: {path.name} is no Parquet file ({reason}). Copy it again.") from error
    kind = schema.field(COLUMN).type if COLUMN in schema.names else None
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if kind is None or not any(is_one(kind) for is_one in lists) or not pa.types.is_integer(kind.value_type):
        raise InputError(
            f"{owner}: {path.name} has no column {COLUMN} of ids. Its columns: {', '.join(schema.names)}. Text is read "
            "by corpus=<folder> or +data=<recipe>."
        )


def kind_of(path: Path, end_of_text: int, owner: str) -> Rows:
    """Return what the rows of a file are, and refuse to guess where they seem to be windows of a stream.

    Raises:
        InputError: all have one length, and some do not end with the end of text.
    """
    import numpy as np

    ids, ends = next(_read(path), (np.zeros(0, np.int64), np.zeros(0, np.int64)))
    ends = ends[:LOOKED_AT]
    lengths = np.diff(ends, prepend=0)
    if len(ends) > 1 and lengths[0] > 1 and (lengths == lengths[0]).all() and (ids[ends - 1] != end_of_text).any():
        raise InputError(
            f"{owner}: the rows of {path.name} have {int(lengths[0]):,} ids each, and not all end with the end of "
            f"text, {end_of_text}. Say what they are: tokens=ready tokens.folder={owner.partition('=')[2]} "
            "tokens.rows=stream (windows behind one another), or tokens.rows=document."
        )
    return "document"
