"""Tasks that take settings of the evaluation, or the model, before they are asked."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from smallwright_eval.config import LMEvalConfig
from smallwright_eval.known import Known


@runtime_checkable
class TakesSettings(Protocol):
    """A task whose answers need more than text to be judged: a sandbox, a judge, or the model once more."""

    def take(self, config: LMEvalConfig, lm: Any) -> None:
        """Take what it needs; called before the task is asked, once for each engine that it is asked on.

        Raises:
            core.errors.ConfigError: what it needs is not there.
        """


@runtime_checkable
class CanLack(Protocol):
    """A task that may end without all of its verdicts: what was said is kept until it has them."""

    lacking: str
    """What it lacks since it was last asked, in words; empty: nothing."""


@contextlib.contextmanager
def known(tasks: Iterable[Any], lm: Any, file: Path) -> Iterator[None]:
    """Have the model keep what it says to tasks that may lack verdicts in a file, and take from there what it said."""
    lm.known = Known(file) if any(isinstance(task, CanLack) for task in tasks) else None
    try:
        yield
    finally:
        lm.known = None


def lacking(tasks: Mapping[str, Any]) -> list[str]:
    """Return a line for each task that lacks verdicts."""
    return [f"{name}: {task.lacking}" for name, task in tasks.items() if isinstance(task, CanLack) and task.lacking]


def hand(tasks: Iterable[Any], config: LMEvalConfig, lm: Any) -> None:
    """Give the settings and the model to those of the tasks that take them."""
    for task in tasks:
        if isinstance(task, TakesSettings):
            task.take(config, lm)


def add_grids(rows: Iterable[dict[str, Any]], tasks: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Put into the rows of tasks on a grid what came of each place of it, for a heat map.

    Args:
        rows: Of :func:`smallwright_eval.results.rows_of`.
        tasks: lm-eval's, by name.
        found: Their items (:class:`smallwright_eval.results.Measured`).
    """
    for row in rows:
        task = tasks.get(row["task"])
        if task is not None and hasattr(task, "grid"):
            row["grid"] = task.grid(found[row["task"]].items)
