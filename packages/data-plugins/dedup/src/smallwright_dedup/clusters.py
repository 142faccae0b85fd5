"""Groups of equal documents from keys on disk, and the removal of all but one of each group.

Every file ``<name>.parquet`` of the corpus gets a file ``keys/<name>.npy`` of uint64 [bands, documents]: documents that
share a key in any band belong together, and a key of 0 belongs with nothing. One task sorts band after band and
joins; memory is four numbers of 8 bytes per document of the whole corpus, whatever the number of bands. Files are
the unit of all of it, so that nothing depends on how many tasks or workers there are.
"""

import collections
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from core.data.documents import read_documents
from core.data.steps import Step, batched
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

LARGEST_SHOWN = 20


class WriteKeys(PipelineStep):
    """Write the keys and the lengths in words of the documents of every n-th file."""

    type = "dedup"
    name = "keys"
    BATCH = 500

    def __init__(self, corpus: Path, work: Path) -> None:
        super().__init__()
        self.corpus = corpus
        self.work = work

    @abstractmethod
    def keys(self, documents: list[Document]) -> tuple[np.ndarray, np.ndarray]:
        """Return keys as uint64 [documents, bands] and lengths as int64 [documents]."""

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()
        for path in sorted(self.corpus.glob("*.parquet"))[rank::world_size]:
            keys, lengths = [], []
            for batch in batched(read_documents(path, columns=("id", "text", "url")), self.BATCH):
                batch_keys, batch_lengths = self.keys(batch)
                keys.append(batch_keys)
                lengths.append(batch_lengths)
                self.stat_update("documents", value=len(batch))
            # A file can be empty, and the number of bands is then unknown and of no importance.
            _save(self.work / "lengths" / f"{path.stem}.npy", np.concatenate(lengths) if lengths else np.zeros(0, int))
            _save(self.work / "keys" / f"{path.stem}.npy", np.concatenate(keys).T if keys else np.zeros((0, 0), "u8"))


class FindClusters(PipelineStep):
    """Join documents that share a key; write which rows of each file go, and the document kept instead.

    Args:
        keep: ``first`` or ``longest``.
        about: Settings, for the report.
    """

    type = "dedup"
    name = "clusters"

    def __init__(self, corpus: Path, work: Path, keep: str, about: dict[str, Any]) -> None:
        super().__init__()
        self.corpus = corpus
        self.work = work
        self.keep = keep
        self.about = about

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()
        if rank > 0:
            return
        files = sorted(self.corpus.glob("*.parquet"))
        lengths = [np.load(self.work / "lengths" / f"{path.stem}.npy") for path in files]
        starts = np.cumsum([0, *map(len, lengths)])  # of each file in the order of the whole corpus
        root = self._join(files, int(starts[-1]))
        kept = self._choose(root, np.concatenate(lengths) if lengths else np.zeros(0, int))
        ids = self._ids(files, starts, kept)
        for path, start, end in zip(files, starts[:-1], starts[1:], strict=True):
            rows = np.flatnonzero(kept[start:end] != np.arange(start, end))
            removed = {int(row): ids[int(kept[start + row])] for row in rows}
            _write_json(self.work / "removed" / f"{path.stem}.json", {"rows": int(end - start), "removed": removed})
        self._report(kept, ids)

    def _join(self, files: list[Path], documents: int) -> np.ndarray:
        """Return, for each document, the first one of its cluster: int64 [documents]."""
        parent = np.arange(documents)
        arrays = [np.load(self.work / "keys" / f"{path.stem}.npy", mmap_mode="r") for path in files]
        arrays = [array for array in arrays if array.shape[1]]
        for band in range(len(arrays[0]) if arrays else 0):
            keys = np.concatenate([array[band] for array in arrays])
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            same = np.flatnonzero((keys[1:] == keys[:-1]) & (keys[1:] != 0))
            join(parent, order[same], order[same + 1])
        return find_roots(parent)

    def _choose(self, root: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return, for each document, the one of its cluster that is kept: int64 [documents]."""
        if self.keep == "first" or not len(root):
            return root
        order = np.lexsort((np.arange(len(root)), -lengths, root))  # by cluster, the longest first, then the first
        first = np.flatnonzero(np.diff(root[order], prepend=-1))
        chosen = np.empty_like(root)
        chosen[root[order[first]]] = order[first]
        return chosen[root]

    def _ids(self, files: list[Path], starts: np.ndarray, kept: np.ndarray) -> dict[int, str]:
        """Return the ids of the kept documents of clusters of two and more."""
        wanted = np.unique(kept[kept != np.arange(len(kept))])
        ids: dict[int, str] = {}
        for path, start, end in zip(files, starts[:-1], starts[1:], strict=True):
            here = wanted[(wanted >= start) & (wanted < end)]
            if len(here):
                column = pq.read_table(path, columns=["id"]).column("id").take(here - start).to_pylist()
                ids.update(zip(here.tolist(), column, strict=True))
        return ids

    def _report(self, kept: np.ndarray, ids: dict[int, str]) -> None:
        names, sizes = np.unique(kept, return_counts=True)
        largest = sorted(zip((-sizes).tolist(), names.tolist(), strict=True))[:LARGEST_SHOWN]
        report = {
            **self.about,
            "documents": len(kept),
            "removed": len(kept) - len(names),
            "clusters": int((sizes > 1).sum()),
            "sizes": {str(size): count for size, count in sorted(collections.Counter(sizes.tolist()).items())},
            "largest": [{"size": -size, "kept": ids[name]} for size, name in largest if size < -1],
        }
        _write_json(self.work / "clusters.report.json", report)


class RemoveDuplicates(Step):
    """Apply what :class:`FindClusters` found to the documents, which come in the order of the corpus's files."""

    def __init__(self, work: Path, reason: str) -> None:
        super().__init__(None)
        self.work = work
        self.reason = reason

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        for path in sorted((self.work / "removed").glob("*.json"))[rank::world_size]:
            decision = json.loads(path.read_text())
            for row in range(decision["rows"]):
                document = next(documents, None)
                assert document is not None, f"{path.stem}: the clusters know more documents than came"
                kept = decision["removed"].get(str(row))
                if kept is None:
                    yield document
                else:
                    document.metadata["duplicate_of"] = kept
                    self.reject(document, self.reason)
        assert next(documents, None) is None, "documents came that the clusters do not know"


def find_roots(parent: np.ndarray) -> np.ndarray:
    """Follow ``parent`` (int64 [documents]) to the ends, all documents at once."""
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return parent
        parent = above


def join(parent: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Put ``left[i]`` and ``right[i]`` into one cluster, for all i, in ``parent``; the lowest member is the root."""
    while True:
        roots = find_roots(parent)
        parent[:] = roots
        a, b = roots[left], roots[right]
        apart = a != b
        if not apart.any():
            return
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, np.ascontiguousarray(array))
    partial.replace(path)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1))
    partial.replace(path)
