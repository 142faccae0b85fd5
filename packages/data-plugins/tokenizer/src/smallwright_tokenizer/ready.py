"""Token files that DataTrove's ``DocumentTokenizer`` wrote: ``<name>.ds``, ``<name>.ds.index``.

The first has ids of two or four bytes, the second the end of each document in tokens as uint64. Planning imports this.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

END_BYTES = 8
CHUNK = 1 << 24
"""Ids that are read at once, and at least one document."""


@dataclasses.dataclass(frozen=True)
class ReadyFile:
    """One file of ids that exists."""

    path: Path
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
    return ReadyFile(path=path, item=item, documents=documents, tokens=tokens)
