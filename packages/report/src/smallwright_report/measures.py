"""The numbers of a sweep's runs: which are worth a column, which says how good a run is, and which way is better."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core import headline

from smallwright_report import numbers

Row = Mapping[str, Any]
"""One of ``runs`` in ``sweep.json``."""

LOSS = "validation_loss"
LOWER = re.compile(r"(loss|perplexity|bits_per_byte|nll|wer|seconds|bytes|latency)$")
COSTS = re.compile(r"\.(seconds|peak_memory_bytes|tokens_per_second|flops_per_second|mfu)$")
"""Metrics that tell of the machine: they differ in every run, and say nothing about the models."""
SEEDS = re.compile(r"(^|[._])seed$")
"""Keys that only repeat a run."""


def value(row: Row, metric: str) -> float | None:
    """Return a metric of a run; None where it has none, or one that is no number."""
    found = row["metrics"].get(metric)
    return found if isinstance(found, (int, float)) and math.isfinite(found) else None


def values(rows: Iterable[Row], metric: str) -> list[float]:
    """Return a metric of all runs that have it."""
    return [found for row in rows if (found := value(row, metric)) is not None]


class Measures:
    """The metrics of a sweep, by what they tell.

    Args:
        data: ``sweep.json``.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        numbers_of = {name: set(values(data["runs"], name)) for name in data["metrics"]}
        varying = [name for name, found in numbers_of.items() if len(found) > 1]
        self.of_models = sorted((name for name in varying if not COSTS.search(name)), key=_telling)
        """Those that differ between runs and tell of the models or corpora: the most telling first."""
        self.of_costs = [name for name in varying if COSTS.search(name)]
        """Those that differ between runs and tell of time and memory."""
        self.constant = [name for name, found in numbers_of.items() if len(found) == 1]
        """Those that no run has another value of."""
        other = sorted((name for name in self.constant if not COSTS.search(name)), key=_telling)
        self.main: str | None = next(iter([*self.of_models, *other, *self.of_costs, *self.constant]), None)
        """What runs are ranked by: the validation loss, else the first score, else the first that there is. One that
        all runs share says nothing, unless there is no other."""

    def varying(self) -> list[str]:
        """Return the main metric, and all that differ between runs."""
        return list(dict.fromkeys([*([self.main] if self.main else []), *self.of_models, *self.of_costs]))


def _telling(metric: str) -> tuple[bool, bool]:
    return not metric.endswith(f".{LOSS}"), not is_share(metric)


def is_share(metric: str, *found: float) -> bool:
    """Whether values of a metric are shares of one, as core says it of the last word of its name."""
    return headline.is_share(metric.rpartition(".")[2], *found)


def better(metric: str) -> str:
    """Return ``lower``, ``higher``, or nothing where it is not known which is better."""
    if LOWER.search(metric):
        return "lower"
    return "higher" if is_share(metric) or metric.endswith("_per_second") else ""


def label(metric: str) -> str:
    """Return the name of a metric with its unit and an arrow to what is better."""
    name = f"{metric.removesuffix('_bytes')}, GiB" if metric.endswith("_bytes") else metric
    return name + {"lower": " ↓", "higher": " ↑", "": ""}[better(metric)]


def form(metric: str, found: Iterable[float]) -> str | None:
    """Return the format of values of a metric in :func:`smallwright_report.numbers.table`."""
    return "memory" if metric.endswith("_bytes") else "percent" if is_share(metric, *found) else None


def written(metric: str, number: float) -> str:
    """Return a value as text that stands alone."""
    if metric.endswith("_bytes"):
        return numbers.memory(number)
    return numbers.percent(number) if is_share(metric, number) else numbers.number(number)


def ranked(rows: Sequence[Row], metric: str) -> list[Row]:
    """Return the runs that have a metric, the best first."""
    known = [row for row in rows if value(row, metric) is not None]
    return sorted(known, key=lambda row: row["metrics"][metric], reverse=better(metric) == "higher")


def short(keys: Sequence[str]) -> dict[str, str]:
    """Return the last word of each key, where no other key has the same."""
    words = [key.rpartition(".")[2] for key in keys]
    return {key: word if words.count(word) == 1 else key for key, word in zip(keys, words, strict=True)}


def settings(row: Row, keys: Sequence[str]) -> str:
    """Return what a run was made with: ``arch=gqa, learning_rate=3e-3``."""
    names = short(keys)
    return ", ".join(f"{names[key]}={row['values'][key]}" for key in keys if key in row["values"])
