"""Token files that DataTrove's ``DocumentTokenizer`` wrote: ``<name>.ds``, ``<name>.ds.index``.

The first has ids of two or four bytes, the second the end of each document in tokens as uint64. Planning imports this.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InputError
from core.writing import files_in

from smallwright_tokenizer import ready_rows
from smallwright_tokenizer.ready_rows import ReadyRows, Rows

if TYPE_CHECKING:
    import numpy as np

END_BYTES = 8
CHUNK = 1 << 24
"""Ids that are read at once, and at least one document."""


@dataclasses.dataclass(frozen=True)
class ReadyFile:
    """One file of ids that exists."""

    path: Path
    name: str
    """Its path in the folder: with a place in it, the id of a document."""
    item: int
    """Bytes of an id: two or four."""
    documents: int
    tokens: int

    def ends(self) -> "np.ndarray":
        """Return the end of each document in tokens, as int64."""
        import numpy as np

        return np.fromfile(_index_of(self.path), dtype="<u8").astype(np.int64)

    def chunks(self) -> Iterator[tuple[int, "np.ndarray", "np.ndarray"]]:
        """Yield the number of a first document, ids of it and of those behind it, and the lengths of all."""
        import numpy as np

        ends = np.concatenate([[0], self.ends()])
        first, dtype = 0, f"<u{self.item}"
        while first < self.documents:
            last = max(first + 1, int(np.searchsorted(ends, ends[first] + CHUNK, side="right")) - 1)
            count = int(ends[last] - ends[first])
            ids = np.fromfile(self.path, dtype, count, offset=int(ends[first]) * self.item)
            yield first, ids, np.diff(ends[first : last + 1])
            first = last


def files_of(folder: Path, owner: str) -> list[ReadyFile]:
    """Return the files of a folder in the order of their names, those without a document left out.

    Args:
        owner: Begins messages, as ``tokens.folder=data``.

    Raises:
        InputError: there are none, or one is of another size than its index says.
    """
    found = [_file(path, owner) for path in sorted(folder.glob("*.ds"))]
    if not any(file.documents for file in found):
        raise InputError(f"{owner}: has no file *.ds with documents. Name the folder that DocumentTokenizer wrote to.")
    return [file for file in found if file.documents]


def files_below(
    folder: Path, owner: str, end_of_text: int | None = None, rows: Rows | None = None
) -> list[ReadyFile | ReadyRows]:
    """Return the files of tokens in a folder and below it: ``.ds``, or Parquet with ``input_ids``.

    Of files called ``train-...`` and others of other splits the first are taken.

    Args:
        end_of_text: Of the tokenizer; None: while planning, when no row is looked at.
        rows: What rows of Parquet are; None: what they seem to be.

    Raises:
        InputError: there are none or two kinds, or one is damaged.
    """
    found: dict[str, list[Path]] = {}
    for path in files_in(folder):
        name = path.relative_to(folder)
        if path.suffix in (".ds", ".parquet") and not any(part.startswith(".") for part in name.parts):
            found.setdefault(path.suffix, []).append(path)
    if len(found) != 1:
        what = "has files of both kinds, .ds and .parquet" if found else "has no file that ends in .ds or .parquet"
        raise InputError(f"{owner}: {what}. Give a folder of tokens of one kind.")
    [(kind, paths)] = found.items()
    paths = [path for path in paths if path.name.startswith("train")] or paths
    if kind == ".ds":
        files = [dataclasses.replace(_file(path, owner), name=str(path.relative_to(folder))) for path in paths]
        return [file for file in files if file.documents]
    for path in paths:
        ready_rows.check(path, owner)
    if end_of_text is None:
        return []
    rows = rows or ready_rows.kind_of(paths[0], end_of_text, owner)
    return [
        ReadyRows(path=path, name=str(path.relative_to(folder)), end_of_text=end_of_text, rows=rows) for path in paths
    ]


def _index_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.index")


def _file(path: Path, owner: str) -> ReadyFile:
    index = _index_of(path)
    if not index.is_file():
        raise InputError(f"{owner}: {path.name} has no {index.name} beside it, which says where documents end.")
    size, documents = path.stat().st_size, index.stat().st_size // END_BYTES
    with open(index, "rb") as file:
        file.seek(max(0, documents - 1) * END_BYTES)
        tokens = int.from_bytes(file.read(END_BYTES), "little")
    item = next((item for item in (2, 4) if size == item * tokens), None)
    if item is None or index.stat().st_size % END_BYTES:
        raise InputError(
            f"{owner}: {path.name} has {size:,} bytes, and {index.name} says {tokens:,} tokens of two or four bytes: "
            "one of them is damaged. Copy them again."
        )
    return ReadyFile(path=path, name=path.name, item=item, documents=documents, tokens=tokens)
