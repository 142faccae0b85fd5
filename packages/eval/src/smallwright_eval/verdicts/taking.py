"""Tasks that take settings of the evaluation, or the model, before they are asked."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from smallwright_eval.config import LMEvalConfig


@runtime_checkable
class TakesSettings(Protocol):
    """A task whose answers need more than text to be judged: a sandbox, a judge, or the model once more."""

    def take(self, config: LMEvalConfig, lm: Any) -> None:
        """Take what it needs; called before the task is asked, once for each engine that it is asked on.

        Raises:
            core.errors.ConfigError: what it needs is not there.
        """


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
