"""Clusters of duplicates from pairs, and the removal of all but one document of each.

Two rules. ``join``: documents that a chain of pairs connects are one cluster (FineWeb's rule), and one of them is kept.
``greedy``: going through the corpus, a document is removed when it is paired with an earlier one that was kept.

Memory: about 120 bytes for each document that has a duplicate, and nothing for the others: 10 million of them take
1.2 GB (measured: 113 bytes each between 0.2 and 1.7 million). ``greedy`` takes about 300. Names stay on disk.
"""

import collections
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from core.data.steps import CorpusPass, Step
from core.writing import replacing, write_json
from datatrove.data import Document

from smallwright_dedup.files import corpus_files, save_array, split_number
from smallwright_dedup.hashing import spread
from smallwright_dedup.pairs import distinct_pairs, read_pairs

LARGEST_SHOWN = 20
SAMPLES_SHOWN = 5
PAIRS_AT_ONCE = 500_000
_NAMES = pa.schema([("number", pa.int64()), ("id", pa.string()), ("url", pa.string())])
_REMOVED = pa.schema([(name, pa.string()) for name in ("kept", "removed", "kept_url", "removed_url")])

Keep = Literal["first", "longest", "random"]


class FindClusters(CorpusPass):
    """Decide which documents go, and which one is kept instead of each.

    Writes to the work folder ``removed/<file>.npy`` int64 [2, removed]: rows, and the number of the kept document;
    ``names.arrow``: number, id and URL of kept documents; ``clusters.report.json``.

    Args:
        about: Settings of the step, repeated in the report.
        keep: With ``join``, the document of a cluster that stays: the first, the one with most words, or one at random.
        seed: Seed of the random choice, which depends also on the documents' places in the corpus.
        rule: How pairs become clusters; see the head of this module.
    """

    def __init__(
        self,
        corpus: Path,
        work: Path,
        about: dict[str, Any],
        keep: Keep = "first",
        seed: int = 0,
        rule: Literal["join", "greedy"] = "join",
    ) -> None:
        super().__init__()
        self.corpus = corpus
        self.work = work
        self.about = about
        self.keep = keep
        self.seed = seed
        self.rule = rule

    def run_rank(self, rank: int, world_size: int) -> None:
        if rank > 0:
            return
        numbers_D, kept_D = self._greedy() if self.rule == "greedy" else self._joined()
        files_D, rows_D = split_number(numbers_D)
        files = corpus_files(self.corpus)
        ends = np.searchsorted(files_D, np.arange(len(files) + 1))
        for file, (start, end) in enumerate(itertools.pairwise(ends)):
            gone = start + np.flatnonzero(kept_D[start:end] != numbers_D[start:end])
            save_array(self.work / "removed" / f"{file:06d}.npy", np.stack([rows_D[gone], kept_D[gone]]))
        self._report(files, numbers_D, kept_D)

    def _joined(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of documents with duplicates, sorted, and for each the one that is kept: int64 [D]."""
        numbers_D = np.zeros(0, dtype=np.int64)
        for pairs in read_pairs(self.work, PAIRS_AT_ONCE):
            numbers_D = np.union1d(numbers_D, pairs)
        parent_D = np.arange(len(numbers_D))
        for pairs in read_pairs(self.work, PAIRS_AT_ONCE):
            pairs = distinct_pairs(pairs)
            join(parent_D, np.searchsorted(numbers_D, pairs[0]), np.searchsorted(numbers_D, pairs[1]))
        root_D = find_roots(parent_D, np.arange(len(parent_D)))
        if self.keep == "first" or not len(root_D):
            return numbers_D, numbers_D[root_D]
        if self.keep == "longest":
            rank_D = -self._lengths(numbers_D)
        else:
            salt = spread(np.array([self.seed], dtype=np.uint64))
            rank_D = (spread(numbers_D.astype(np.uint64) ^ salt) >> np.uint64(1)).astype(np.int64)
        order = np.lexsort((rank_D, root_D))  # of equal ranks the first in the corpus, for the sort is stable
        first = np.flatnonzero(np.diff(root_D[order], prepend=-1))
        chosen_D = np.empty_like(root_D)
        chosen_D[root_D[order[first]]] = order[first]
        return numbers_D, numbers_D[chosen_D[root_D]]

    def _greedy(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [distinct_pairs(np.sort(pairs, axis=0)) for pairs in read_pairs(self.work, PAIRS_AT_ONCE)]
        earlier, later = distinct_pairs(np.concatenate(pairs, axis=1)) if pairs else np.zeros((2, 0), dtype=np.int64)
        kept: dict[int, int] = {}
        for place in np.lexsort((earlier, later)).tolist():
            before, this = int(earlier[place]), int(later[place])
            if kept.get(before, before) == before and kept.get(this, this) == this:
                kept[this] = before
        numbers_D = np.union1d(earlier, later)
        return numbers_D, np.array([kept.get(number, number) for number in numbers_D.tolist()], dtype=np.int64)

    def _lengths(self, numbers_D: np.ndarray) -> np.ndarray:
        files_D, rows_D = split_number(numbers_D)
        lengths_D = np.zeros(len(numbers_D), dtype=np.int64)
        for file in np.unique(files_D):
            here = slice(*np.searchsorted(files_D, [file, file + 1]))
            lengths_D[here] = np.load(self.work / "lengths" / f"{file:06d}.npy", mmap_mode="r")[rows_D[here]]
        return lengths_D

    def _report(self, files: list[Path], numbers_D: np.ndarray, kept_D: np.ndarray) -> None:
        names, sizes = np.unique(kept_D, return_counts=True)
        largest = np.lexsort((names, -sizes))[:LARGEST_SHOWN]
        members = {int(names[place]): self._members(numbers_D, kept_D, names[place]) for place in largest}
        wanted = np.unique(np.concatenate([names, *members.values()])) if len(names) else names
        write_names(self.work / "names.arrow", files, wanted)
        names_of = Names(self.work / "names.arrow")

        def named(numbers: np.ndarray) -> list[dict[str, str]]:
            return [{"id": name, "url": url} for name, url in names_of.get(numbers)]

        counts = [json.loads(path.read_text()) for path in sorted((self.work / "documents").glob("*.json"))]
        scopes: collections.Counter[str] = collections.Counter()
        for count in counts:
            scopes.update(count["scopes"])
        histogram = collections.Counter(sizes[sizes > 1].tolist())
        report = {
            **self.about,
            "documents": sum(count["documents"] for count in counts),
            "removed": int((kept_D != numbers_D).sum()),
            "clusters": int((sizes > 1).sum()),
            "sizes": {str(size): count for size, count in sorted(histogram.items())},
            "largest": [
                {
                    "size": int(sizes[place]),
                    "kept": named(names[[place]])[0],
                    "samples": named(members[int(names[place])]),
                }
                for place in largest
                if sizes[place] > 1
            ],
        }
        if scopes:
            report["scopes"] = dict(scopes.most_common(LARGEST_SHOWN))
        if any("without_text" in count for count in counts):
            report["without_text"] = sum(count["without_text"] for count in counts)
        write_json(self.work / "clusters.report.json", report)

    def _members(self, numbers_D: np.ndarray, kept_D: np.ndarray, kept: np.int64) -> np.ndarray:
        members = numbers_D[kept_D == kept]
        return members[members != kept][:SAMPLES_SHOWN]


class RemoveDuplicates(Step):
    """Apply what :class:`FindClusters` found to the documents, which come in the order of the corpus's files.

    Leaves ``clusters/<rank>.parquet`` in the artifact's folder of reports: id and URL of each removed document and of
    the one that is kept instead.
    """

    def __init__(self, work: Path, reason: str) -> None:
        super().__init__(None)
        self.work = work
        self.reason = reason

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        names = Names(self.work / "names.arrow")
        pairs: list[dict[str, str]] = []
        for path in sorted((self.work / "removed").glob("*.npy"))[rank::world_size]:
            count = json.loads((self.work / "documents" / f"{path.stem}.json").read_text())["documents"]
            rows, kept = np.load(path)
            removed = dict(zip(rows.tolist(), names.get(kept), strict=True))
            for row in range(count):
                document = next(documents, None)
                assert document is not None, f"{path.stem}: the clusters know more documents than came"
                if row not in removed:
                    yield document
                    continue
                name, url = removed[row]
                document.metadata["duplicate_of"] = name
                self.reject(document, self.reason)
                removed_url = str(document.metadata.get("url") or "")
                pairs.append({"kept": name, "removed": document.id, "kept_url": url, "removed_url": removed_url})
        assert next(documents, None) is None, "documents came that the clusters do not know"
        if self.context.reports is not None:
            target = self.context.reports / "clusters" / f"{rank:05d}.parquet"
            with replacing(target) as partial:
                pq.write_table(pa.Table.from_pylist(pairs, schema=_REMOVED), partial)


class Names:
    """Ids and URLs of documents by number, read from a memory-mapped file."""

    def __init__(self, path: Path) -> None:
        self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = range(self._reader.num_record_batches)
        self._first = np.array(
            [self._reader.get_batch(place).column(0)[0].as_py() for place in batches], dtype=np.int64
        )

    def get(self, numbers: np.ndarray) -> list[tuple[str, str]]:
        """Return id and URL of each document of int64 [n]."""
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        places = np.searchsorted(self._first, ordered, side="right") - 1
        found: list[tuple[str, str]] = [("", "")] * len(numbers)
        for place in np.unique(places).tolist():
            batch = self._reader.get_batch(place)
            here = slice(*np.searchsorted(places, [place, place + 1]))
            rows = np.searchsorted(batch.column("number").to_numpy(), ordered[here])
            taken = batch.take(pa.array(rows))
            assert np.array_equal(taken.column("number").to_numpy(), ordered[here]), "a document without a name"
            pairs = zip(taken.column("id").to_pylist(), taken.column("url").to_pylist(), strict=True)
            for target, pair in zip(order[here].tolist(), pairs, strict=True):
                found[target] = pair
        return found


def write_names(path: Path, files: list[Path], numbers: np.ndarray) -> None:
    """Write number, id and URL of the documents ``numbers``, sorted, reading only the files that they are in."""
    places, rows = split_number(numbers)
    with (
        replacing(path) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, _NAMES) as writer,
    ):
        for place in np.unique(places):
            start, end = np.searchsorted(places, [place, place + 1])
            wanted, first = rows[start:end], 0
            with pq.ParquetFile(files[place]) as file:
                for batch in file.iter_batches(batch_size=10_000, columns=["id", "url"]):
                    part = wanted[(wanted >= first) & (wanted < first + len(batch))]
                    if len(part):
                        found = batch.take(pa.array(part - first))
                        number = pa.array((np.int64(place) << np.int64(32)) | part)
                        columns = [number, found.column("id"), found.column("url")]
                        writer.write_batch(pa.record_batch(columns, schema=_NAMES))
                    first += len(batch)


def find_roots(parent: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Return the root of each of ``nodes``: follow ``parent`` until it points to itself, then point there at once."""
    roots = parent[nodes]
    while True:
        above = parent[roots]
        if np.array_equal(above, roots):
            parent[nodes] = roots
            return roots
        roots = above


def join(parent: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Put ``left[i]`` and ``right[i]`` into one cluster, for all i, in ``parent``; the lowest member is the root."""
    while len(left):
        a, b = find_roots(parent, left), find_roots(parent, right)
        apart = a != b
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
