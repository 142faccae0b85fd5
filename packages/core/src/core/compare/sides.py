"""What is compared: one model with its evaluation, and what made it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """A row of an evaluation, and where its samples are."""

    row: Mapping[str, Any]
    artifact: Path | None
    """Of the evaluation; None: it is no longer in the store."""
    settings: Mapping[str, Any]
    """Of the evaluation, as far as they are known."""


def scores(
    rows: Iterable[Mapping[str, Any]], artifact: Path | None, settings: Mapping[str, Any]
) -> dict[tuple[str, str], Score]:
    """Return the rows of an evaluation by task and metric.

    Raises:
        LookupError, TypeError, ValueError: a row lacks its task, its metric or a number.
    """
    found = {}
    for row in rows:
        row = {**row, "value": float(row["value"])}
        row |= {key: kind(row[key]) for key, kind in (("stderr", float), ("n", int)) if row.get(key) is not None}
        row |= {key: dict(row[key]) for key in ("engine", "harness") if row.get(key) is not None}
        found[str(row["task"]), str(row["metric"])] = Score(row=row, artifact=artifact, settings=settings)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """One model with its evaluation, and the run or the chain of artifacts that made it."""

    argument: str
    names: tuple[str, ...]
    """What it can be called, the shortest first."""
    kind: str
    """``run`` or ``model``."""
    headline: str
    scores: Mapping[tuple[str, str], Score]
    """By task and metric."""
    config: Mapping[str, Any] | None
    """Flat settings of its run as they were given; None: there is no run."""
    resolved: Mapping[str, Any]
    """Flat settings of its stages with their defaults, as far as the store has them."""
    curves: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]]
    """By stage: the artifact, and its curves as a report has them."""
    parameters: int | None
    tokens: int | None
    """Trained on, before and in post-training."""
    seconds: float | None
    """Of all stages from pages to this model, when they were made; without evaluation."""
    peak_memory_bytes: int | None
    made: frozenset[str]
    """What stands for its results: two sides with the same are one."""
    notes: tuple[str, ...] = ()


def named(sides: Sequence[Side]) -> list[str]:
    """Return a name for each side, the shortest kind of name that tells them all apart."""
    for level in range(max(len(side.names) for side in sides)):
        names = [side.names[min(level, len(side.names) - 1)] for side in sides]
        if len(set(names)) == len(names):
            return names
    return [f"{number}: {side.names[-1]}" for number, side in enumerate(sides, 1)]
