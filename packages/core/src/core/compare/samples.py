"""Scores of single items, from the samples of an evaluation."""

import dataclasses
import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from core import samples as files
from core import store
from core.errors import ArtifactError, reading

Key = tuple[str, str, str | None]
"""An item: its task, its id, and the hash of its question; None of an evaluation that kept none."""
LOSS, SIZE = "nats", "tokens"
"""Metrics of a held-out document, from which ``nats_per_token`` comes."""
PER_TOKEN = "nats_per_token"
WHOLE = 1e-6
"""How far the mean over items may be from the score, relative to it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Items:
    """What one side has of a task and metric."""

    values: Mapping[Key, float]
    weights: Mapping[Key, float] | None = None
    """Sizes of documents; None: all items count the same."""

    def mean(self, keys: Any = None) -> float:
        """Return the score of some items; None: of all."""
        wanted = list(self.values if keys is None else keys)
        total = sum(self.values[key] for key in wanted)
        return total / (len(wanted) if self.weights is None else sum(self.weights[key] for key in wanted))

    def by_id(self) -> "Items":
        """Return the same with items that are known by their id alone."""

        def plain(scores: Mapping[Key, float]) -> dict[Key, float]:
            return {(task, item, None): value for (task, item, _), value in scores.items()}

        return Items(values=plain(self.values), weights=None if self.weights is None else plain(self.weights))

    def hashed(self) -> bool:
        """Whether the questions are known by their hashes."""
        return all(key[2] is not None for key in self.values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Samples:
    """All samples of an evaluation."""

    metrics: Mapping[tuple[str, str], Mapping[Key, float]]
    """By task and metric, which is named with its filter as in the rows of scores."""
    repeated: frozenset[str]
    """Tasks of which an item stands twice: which of its scores belongs to which filter is not known."""
    groups: Mapping[str, Collection[str]] = dataclasses.field(default_factory=dict)
    """The tasks of each group."""

    def of(self, task: str, metric: str, score: float) -> Items | None:
        """Return the items whose mean is a score; None where no samples are behind it.

        A score of a group of tasks is that of all items of its members together. They are those of the samples, or of
        an evaluation that does not name the group, the tasks whose names begin so.
        """
        named = [name for name, _ in self.metrics if name.startswith(f"{task}_")]
        for members in ([task], self.groups.get(task, ()), named):
            found = self._of(list(dict.fromkeys(members)), metric)
            if found is not None and abs(found.mean() - score) <= WHOLE * max(1.0, abs(score)):
                return found
        return None

    def _of(self, tasks: list[str], metric: str) -> Items | None:
        if metric == PER_TOKEN:
            values, sizes = self._values(tasks, LOSS), self._values(tasks, SIZE)
            return Items(values=values, weights=sizes) if values and values.keys() == sizes.keys() else None
        values = self._values(tasks, metric)
        base = metric.partition(",")[0]
        if not values and base != metric and not self.repeated.intersection(tasks):  # written without its filter
            values = self._values(tasks, base)
        return Items(values=values) if values else None

    def _values(self, tasks: list[str], metric: str) -> dict[Key, float]:
        return {key: value for task in tasks for key, value in self.metrics.get((task, metric), {}).items()}


@functools.lru_cache(maxsize=64)
def read(artifact: Path) -> Samples:
    """Return the samples of an evaluation; none where it left no file of them.

    Raises:
        ArtifactError: the file is not what the evaluation wrote.
    """
    manifest = store.read_manifest(artifact)
    metrics: dict[tuple[str, str], dict[Key, float]] = {}
    repeated = set()
    groups: dict[str, dict[str, None]] = {}
    left = manifest["files"] if manifest is not None else ()
    file = next((artifact / name for name in (files.PARQUET, files.LINES) if name in left), None)
    if file is None:
        return Samples(metrics={}, repeated=frozenset())
    with reading(file, f"Delete {artifact} to make it again.", ArtifactError):
        for sample in files.read(file, files.SCORES):
            task, suffix = str(sample["task"]), f",{sample['filter']}" if sample.get("filter") else ""
            key = (task, sample["id"], sample.get("hash"))
            if sample.get("group"):
                groups.setdefault(sample["group"], {})[task] = None
            for name, value in sample["metrics"].items():
                known = metrics.setdefault((task, f"{name}{suffix}"), {})
                if key in known:
                    repeated.add(task)
                known.setdefault(key, float(value))
    return Samples(metrics=metrics, repeated=frozenset(repeated), groups=groups)
