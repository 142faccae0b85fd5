"""The files that a training appends a line to for every logged step."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
"""In the artifact: what was learnt. The same training gives the same lines."""
SPEED_FILE = "speed.jsonl"
"""In the unfinished work: tokens per second, which no two runs have alike."""


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file; a line cut short by a kill is left out."""
    return list(_records(path))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a record."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def validation(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a summary says of held-out text: the loss with its standard error, its curve, and by corpus."""
    measured = [record for record in records if "validation_loss" in record]
    last = measured[-1] if measured else {}
    return {
        "validation_curve": [[record["step"], record["validation_loss"]] for record in measured],
        "validation_curves": by_source(measured, "validation_loss_by_source"),
        "validation_loss": last.get("validation_loss"),
        "validation_stderr": last.get("validation_stderr"),
        "validation_loss_by_source": last.get("validation_loss_by_source", {}),
    }


def by_source(records: Sequence[Mapping[str, Any]], key: str) -> dict[str, list[list[float]]]:
    """Return a curve, a list of [step, value], for each corpus that records have something of under ``key``."""
    curves: dict[str, list[list[float]]] = {}
    for record in records:
        for name, value in record.get(key, {}).items():
            curves.setdefault(name, []).append([record["step"], value])
    return curves


def speeds(path: Path) -> list[list[float]]:
    """Return the logged steps with their speeds, in tokens per second."""
    records = read_records(path)
    return [[record["step"], record["tokens_per_second"]] for record in records if record.get("tokens_per_second")]


def mean_speed(path: Path) -> float | None:
    """Return the mean of the logged speeds, in tokens per second; None where nothing was logged.

    The first logged step of a process includes its start, and compilation.
    """
    logged = [speed for _, speed in speeds(path)]
    timed = logged[1:] or logged
    return len(timed) / sum(1 / speed for speed in timed) if timed else None
