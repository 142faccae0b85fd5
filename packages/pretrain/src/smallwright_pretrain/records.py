"""The files that a training appends a line to for every logged step."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

METRICS = "metrics.jsonl"
"""In the artifact: what was learnt. The same training gives the same lines."""
KEYS = (
    *("step", "tokens", "loss", "loss_by_source", "ce", "kl", "lr", "grad_norm"),
    *("validation_loss", "validation_stderr", "validation_loss_by_source", "validation_stderr_by_source"),
    *("forgotten_windows_by_corpus", "loss_rise_by_corpus"),
)
"""All that a line of it can have, each with a name in :data:`core.curves.NAMES` or not shown."""
SPEED_FILE = "speed.jsonl"
"""In the unfinished work: tokens per second, which no two runs have alike."""


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file; a line that is none is left out, such as one cut short by a kill or a full disk."""
    return list(_records(path))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and type(record.get("step")) is int:
            yield record


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a record, on a line of its own also where the last one was cut short."""
    with path.open("ab+") as file:
        begun = file.tell() > 0 and _last_byte(file) != b"\n"
        file.write(b"\n" * begun + json.dumps(record).encode() + b"\n")


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


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
