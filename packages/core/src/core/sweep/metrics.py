"""The numbers of a run, by one flat name each: the columns of a sweep's table."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any


def of_report(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a ``report.json``.

    ================================ =====================================================================
    name                             what
    ================================ =====================================================================
    ``<stage>.seconds``              how long the stage took when it was made, also where it was reused
    ``<stage>.peak_memory_bytes``    of its process, or what the stage itself says
    ``<stage>.<number>``             a number of its summary: ``pretrain.validation_loss``, ``sft.examples``
    ``<model>.<task>.<metric>``      of the evaluation of a model, the stage that made it: ``sft.arc_easy.acc``
    ``data.documents``, ...          of all corpora together
    ================================ =====================================================================
    """
    summaries = {"data": report.get("data"), **report.get("posttrain", {})}
    numbers: dict[str, float] = {}
    for row in report.get("stages", ()):
        said = {"seconds": row.get("seconds_when_made", row.get("seconds"))}
        said["peak_memory_bytes"] = row.get("peak_memory_bytes")
        summaries.setdefault(row["name"], report.get(row["name"]))
        numbers |= _numbers(row["name"], said)
    for name, summary in summaries.items():
        numbers |= _numbers(name, summary)
    for row in report.get("eval", ()):
        numbers |= _numbers(f"{row['model']}.{row['task']}", {row["metric"]: row.get("value")})
    return numbers


def names(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the names of all numbers, each once, in the order in which they come."""
    return list(dict.fromkeys(itertools.chain.from_iterable(rows)))


def main(report: Mapping[str, Any], most: int = 3) -> list[str]:
    """Return the names of the numbers that a run is first judged by: its loss, and the scores of its last model."""
    numbers = of_report(report)
    rows = report.get("eval", ())
    last = rows[-1]["model"] if rows else None
    scores = [f"{last}.{row['task']}.{row['metric']}" for row in rows if row["model"] == last]
    found = [name for name in ("pretrain.validation_loss", *scores) if name in numbers]
    if not found and "data.documents" in numbers:
        found = ["data.documents"]
    first: dict[str, str] = {}
    for name in found:
        first.setdefault(name.rpartition(".")[0], name)  # one number of a task says which runs are good
    return list(first.values())[:most]


def shown(value: float) -> str:
    """Return a number as a line of progress has it."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _numbers(place: str, said: Any) -> dict[str, float]:
    items = said.items() if isinstance(said, Mapping) else ()
    return {f"{place}.{key}": value for key, value in items if is_number(value)}


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
