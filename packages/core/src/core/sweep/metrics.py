"""The numbers of a run, by one flat name each: the columns of a sweep's table."""

from collections.abc import Mapping
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


def _numbers(place: str, said: Any) -> dict[str, float]:
    items = said.items() if isinstance(said, Mapping) else ()
    return {f"{place}.{key}": value for key, value in items if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
