"""Curves of a training as a report shows them: read line by line, thinned to what an eye can tell apart."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

POINTS = 1000
"""Points of a curve at most: about the pixels of a wide chart."""
NAMES = {
    "loss": ("training loss", "nats per token"),
    "loss_by_source": ("training loss by corpus", "nats per token"),
    "validation_loss": ("validation loss", "nats per token"),
    "validation_loss_by_source": ("validation loss by corpus", "nats per token"),
    "ce": ("cross-entropy with the text", "nats per token"),
    "kl": ("divergence from the teacher", "nats per token"),
    "loss_rise_by_corpus": ("rise of the loss by corpus", "nats per token"),
    "forgotten_windows_by_corpus": ("share of windows that are forgotten, by corpus", ""),
    "lr": ("learning rate", ""),
    "learning_rate": ("learning rate", ""),
    "grad_norm": ("gradient norm", ""),
    "tokens_per_second": ("throughput", "tokens per second"),
}
"""Keys of ``metrics.jsonl`` that are shown under another name, with their units; other numbers keep their key.

A mapping of numbers gives a curve for each, ``<key>.<name>``, named by the name."""
COUNTS = ("step", "tokens", "epoch", "num_tokens", "num_input_tokens_seen", "total_flos")
NOT_SHOWN = (*COUNTS, "validation_stderr", "validation_stderr_by_source")
"""Keys that count what was done, whose line at a slant says nothing, and errors, which are no curves of their own."""
SUMMARY = {"throughput_curve": "tokens_per_second"}
"""Curves that a stage puts into its summary, since no two runs have them alike."""


def of_stage(artifact: Path, summary: Mapping[str, Any], *, per_token: bool = True) -> list[dict[str, Any]]:
    """Return the curves of a stage: ``key``, ``name``, ``unit``, ``points`` and ``of``, the number before thinning.

    Args:
        artifact: Folder with the stage's ``metrics.jsonl``, one JSON object a line, each with a ``step``.
        summary: Of the stage's manifest.
        per_token: Whether its loss is a mean over tokens.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for record in _records(artifact / "metrics.jsonl"):
        step: Any = record.get("step")
        if not _finite(step):
            continue
        for key, value in _flat(record):
            if key.partition(".")[0] not in NOT_SHOWN and _finite(value):
                curves.setdefault(key, []).append((step, value))
    for name, key in SUMMARY.items():
        points = summary.get(name) or []
        curves |= {key: [(x, y) for x, y in points if _finite(x) and _finite(y)]} if points else {}
    found = []
    for key, points in curves.items():
        name, unit = name_of(key)
        name = key.partition(".")[2] or name
        if unit == "nats per token" and not per_token:
            unit = ""  # the losses of post-training are not per token with every method
        found.append({"key": key, "name": name, "unit": unit, "points": thinned(points), "of": len(points)})
    return found


def name_of(key: str) -> tuple[str, str]:
    """Return the name and the unit of a curve, or of all that a mapping of numbers gives."""
    group = key.partition(".")[0]
    return NAMES.get(group, (group.replace("_", " "), ""))


def thinned(points: Sequence[tuple[float, float]], most: int = POINTS) -> list[list[float]]:
    """Return the first and last point, and the lowest and the highest of each of ``most / 2`` equal stretches.

    A spike of one step stays visible, which an average or every n-th point would lose.
    """
    if len(points) <= most:
        return [[x, _short(y)] for x, y in points]
    buckets = max(1, (most - 2) // 2)
    kept = {0, len(points) - 1}
    for bucket in range(buckets):
        stretch = range(len(points) * bucket // buckets, len(points) * (bucket + 1) // buckets)
        kept |= {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
    return [[points[i][0], _short(points[i][1])] for i in sorted(kept)]


def _flat(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", number) for name, number in value.items())
        else:
            yield key, value


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                with contextlib.suppress(ValueError):  # a line that a kill cut short
                    record = json.loads(line)
                    if isinstance(record, dict):
                        yield record
    except OSError:  # a stage without the file has no curves
        return
