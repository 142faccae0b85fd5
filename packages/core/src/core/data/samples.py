"""What is in a corpus, for people who look: samples of what was kept and set aside, tables, histograms, clusters."""

import bisect
import contextlib
import dataclasses
import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from core import store
from core.errors import InputError, nearest, reading

KEPT = "kept"
BINS = 20
BATCH = 50
LARGEST_CLUSTERS = 10
LONGEST_TABLE = 30
LENGTHS = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
"""Upper ends of the classes of length, in characters; what is longer is the last class."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One document as shown."""

    id: str
    url: str
    text: str
    characters: int
    score: float | None
    metadata: dict[str, Any]


@dataclasses.dataclass
class Group:
    """Documents with the same fate: kept, or set aside by one step for one reason."""

    step: str
    outcome: str
    reason: str
    documents: int = 0
    samples: list[Sample] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Findings:
    """All that :func:`look` found."""

    name: str
    funnel: list[dict[str, Any]]
    groups: list[Group]
    """The kept documents first, then by step and by number."""
    scores: dict[str, dict[str, Any]]
    """Metadata key to ``range`` (low, high) and counts per bin of ``kept`` and ``rejected``."""
    tables: dict[str, list[list[Any]]]
    """Name to rows (value, kept, set aside)."""
    clusters: list[dict[str, Any]]
    """Largest groups of duplicates: ``kept`` and ``removed`` (a :class:`Sample` or None), ``size``, ``step``."""
    read: int
    documents: int
    """Documents looked at, and documents there are."""


def look(
    artifact: Path,
    *,
    samples: int = 3,
    seed: int = 0,
    step: str | None = None,
    limit: int = 200_000,
    characters: int = 2000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Findings:
    """Look through a data artifact, finished or not; the same seed gives the same samples.

    Args:
        artifact: Folder with ``documents/`` or ``rejected/``.
        samples: Documents to show of each group.
        step: Look only at what this step set aside.
        limit: Documents to read at most; of a larger corpus, batches evenly spread over it.
        characters: Length to which the text of a sample is cut.

    Raises:
        InputError: the folder holds no corpus, the step set nothing aside, or a file is damaged.
    """
    kept_files = [] if step else sorted((artifact / "documents").glob("*.parquet"))
    aside_files = [p for p in sorted((artifact / "rejected").glob("*.parquet")) if step in (None, _label(p))]
    if not kept_files and not aside_files:
        steps = sorted({_label(path) for path in (artifact / "rejected").glob("*.parquet")})
        there = f"{nearest(step or '', steps)} Steps: {', '.join(steps)}." if steps else ""
        if step:
            what = f"step {step!r} set nothing aside"
        elif (artifact / store.MANIFEST).is_file():
            what = "it is finished and holds no documents"
        else:
            what = "nothing is written yet"
        raise InputError(f"{artifact}: {what}.{there} Give a folder store/data/<name> of a run.")
    collector = _Collector(samples, seed, characters)
    total = 0
    for path in (*kept_files, *aside_files):
        with _named(path, artifact):
            total += pq.read_metadata(path).num_rows
    every = max(1, -(-total // limit))
    read = 0
    for path, aside in [*((p, False) for p in kept_files), *((p, True) for p in aside_files)]:
        with _named(path, artifact):
            for row in _rows(path, aside, every):
                collector.add(row, aside)
                read += 1
                if read % 1000 == 0:
                    progress(read, -(-total // every))
    clusters = collector.clusters(kept_files)
    return Findings(
        name=artifact.name,
        funnel=_funnel(artifact),
        groups=collector.finished_groups(),
        scores=collector.histograms(),
        tables=collector.tables(),
        clusters=clusters,
        read=read,
        documents=total,
    )


class _Collector:
    def __init__(self, samples: int, seed: int, characters: int) -> None:
        self._wanted, self._seed, self._characters = samples, seed, characters
        self._groups: dict[tuple[str, str, str], Group] = {}
        self._heaps: dict[tuple[str, str, str], list[tuple[int, int, Sample]]] = {}
        self._scores: dict[str, dict[bool, Counter]] = {}
        self._tables: dict[str, dict[bool, Counter]] = {}
        self._lengths: dict[bool, Counter] = {False: Counter(), True: Counter()}
        self._copies: Counter = Counter()
        self._copy_of: dict[tuple[str, str], Sample] = {}
        self._order = 0

    def add(self, row: dict[str, Any], aside: bool) -> None:
        metadata = json.loads(row["metadata"] or "{}")
        text = row["text"] or ""
        key = (row["step"], row["outcome"], row["reason"]) if aside else ("", KEPT, "")
        group = self._groups.setdefault(key, Group(*key))
        group.documents += 1
        self._sample(key, row, text, metadata)
        for name, value in metadata.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if number and ("score" in name or name.startswith("label")):
                low, high = -100.0, 100.0  # one extreme value would leave all others in a single bin
                self._scores.setdefault(name, {False: Counter(), True: Counter()})[aside][
                    round(min(max(float(value), low), high), 2)
                ] += 1
        self._lengths[aside][bisect.bisect_left(LENGTHS, len(text))] += 1
        if language := metadata.get("language"):
            self._count("language", str(language), aside)
        if host := _host(row["url"]):
            self._count("host", host, aside)
        if kept := metadata.get("duplicate_of"):
            self._copies[row["step"], str(kept)] += 1
            self._copy_of.setdefault((row["step"], str(kept)), self._as_sample(row, text, metadata))

    def _sample(self, key: tuple[str, str, str], row: dict[str, Any], text: str, metadata: dict[str, Any]) -> None:
        digest = hashlib.blake2b(f"{self._seed} {row['id']}".encode("utf-8", "replace"), digest_size=8).digest()
        place = -int.from_bytes(digest, "big")
        heap = self._heaps.setdefault(key, [])
        self._order += 1
        if len(heap) < self._wanted:
            heapq.heappush(heap, (place, self._order, self._as_sample(row, text, metadata)))
        elif self._wanted and place > heap[0][0]:
            heapq.heapreplace(heap, (place, self._order, self._as_sample(row, text, metadata)))

    def _as_sample(self, row: dict[str, Any], text: str, metadata: dict[str, Any]) -> Sample:
        return Sample(row["id"], row["url"] or "", text[: self._characters], len(text), row["score"], metadata)

    def _count(self, table: str, value: str, aside: bool) -> None:
        counters = self._tables.setdefault(table, {False: Counter(), True: Counter()})
        counters[aside][value] += 1

    def finished_groups(self) -> list[Group]:
        for key, heap in self._heaps.items():
            self._groups[key].samples = [sample for _, _, sample in sorted(heap, reverse=True)]
        return sorted(self._groups.values(), key=lambda group: (group.outcome != KEPT, group.step, -group.documents))

    def histograms(self) -> dict[str, dict[str, Any]]:
        found = {}
        for name, sides in sorted(self._scores.items()):
            values = [*sides[False], *sides[True]]
            if len(set(values)) == 1:  # nothing to show of a constant, such as the scale of the labels
                continue
            low, high = min(0.0, *values), max(5.0 if max(values) > 1 else 1.0, *values)
            number = BINS
            if all(value == int(value) for value in values) and high - low < BINS:
                high, number = high + 1, int(high - low) + 1  # whole scores: a bin each
            histogram: dict[str, Any] = {"range": (low, high)}
            for side, aside in (("kept", False), ("rejected", True)):
                bins = [0] * number
                for value, count in sides[aside].items():
                    bins[min(number - 1, int((value - low) / (high - low) * number))] += count
                histogram[side] = bins
            found[name] = histogram
        return found

    def tables(self) -> dict[str, list[list[Any]]]:
        names = [*(f"up to {limit:,}" for limit in LENGTHS), "more"]
        shown = {"length in characters": [[name, *self._both(self._lengths, i)] for i, name in enumerate(names)]}
        for table, sides in sorted(self._tables.items()):
            largest = (sides[False] + sides[True]).most_common(LONGEST_TABLE)
            shown[table] = [[value, *self._both(sides, value)] for value, _ in largest]
        return shown

    @staticmethod
    def _both(sides: dict[bool, Counter], value: Any) -> tuple[int, int]:
        return sides[False][value], sides[True][value]

    def clusters(self, kept_files: list[Path]) -> list[dict[str, Any]]:
        largest = self._copies.most_common(LARGEST_CLUSTERS)
        wanted = {kept for (_, kept), _ in largest}
        found: dict[str, Sample] = {}
        for path in kept_files if wanted else []:
            ids = pq.read_table(path, columns=["id"]).column("id").to_pylist()
            if wanted & set(ids):
                for row in _rows(path, False, 1):
                    if row["id"] in wanted:
                        found[row["id"]] = self._as_sample(row, row["text"] or "", json.loads(row["metadata"] or "{}"))
        return [
            {"step": step, "size": count + 1, "kept": found.get(kept), "removed": self._copy_of[step, kept]}
            for (step, kept), count in largest
        ]


def _rows(path: Path, aside: bool, every: int) -> Iterator[dict[str, Any]]:
    """Yield every n-th batch of rows."""
    columns = ["id", "text", "url", "score", "metadata", *(("step", "outcome", "reason") if aside else ())]
    with pq.ParquetFile(path) as file:
        for number, batch in enumerate(file.iter_batches(batch_size=BATCH, columns=columns)):
            if number % every == 0:
                yield from batch.to_pylist()


def _named(path: Path, artifact: Path) -> contextlib.AbstractContextManager[None]:
    """Name the file that something is wrong with: what reads it says what, and not where."""
    return reading(path, f"Delete {artifact}, and the next run makes it again.", also=(pa.ArrowException,))


def _funnel(artifact: Path) -> list[dict[str, Any]]:
    path = artifact / "funnel.json"
    if path.is_file():
        with _named(path, artifact):
            return _checked(json.loads(path.read_text(encoding="utf-8")))
    manifest = store.load_manifest(artifact)
    with _named(artifact / store.MANIFEST, artifact):
        return _checked(((manifest or {}).get("summary") or {}).get("funnel") or [])


def _checked(funnel: Any) -> list[dict[str, Any]]:
    for row in funnel:
        good = isinstance(row["step"], str) and all(isinstance(row[key], int) for key in ("in", "kept"))
        if not good or not all(isinstance(row[key], dict) for key in ("rejected", "failed")):
            raise ValueError("a row has not step, in, kept, rejected and failed")
    return list(funnel)


def _label(path: Path) -> str:
    """Step label of ``rejected/<position>-<label>-<rank>.parquet``."""
    return path.stem.partition("-")[2].rpartition("-")[0]


def _host(url: str | None) -> str:
    try:
        return urlsplit(url or "").hostname or ""
    except ValueError:
        return ""
