"""Evaluations of the model on the way: after which steps, where they are written down, what became of them."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from core.writing import remove, write_text

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.records import append, read_records
from smallwright_pretrain.retention import Retention
from smallwright_pretrain.segments import stages, tokens_at

FOLDER = "evaluations"
"""In the unfinished work of the artifact. What depends on the speed of the machine is no part of the artifact."""
RECORDS = "evaluations.jsonl"
"""In it, a line for each step: its scores, or that it was left out, or why it failed. The run's process follows it."""
HELD = "held.jsonl"
"""In it, a line for each time that the training waited until the weights were written."""
WHOLE = "whole"
"""In a snapshot: it was written to its end."""
BEGUN = "begun"
"""In a snapshot: it is being evaluated."""
GONE = "gone-"
"""Of the name of a snapshot that is about to be removed."""
AT_MOST = 3
"""Snapshots on the disk: one is evaluated, one waits, one is written."""
FIELDS = {"eval": "value", "eval_stderr": "stderr", "eval_chance": "chance", "eval_items": "n"}
"""Of a record, and of a row of scores."""
WEIGHTS = "weights"
"""In a snapshot: the weights, as the ranks wrote them."""


def wanted(settings: TorchTitanConfig) -> bool:
    """Whether the model is evaluated on the way."""
    return settings.eval_every is not None or settings.eval_every_tokens is not None


def is_due(settings: TorchTitanConfig, step: int) -> bool:
    """Whether the model of ``step`` is to be evaluated: at the intervals; the last one has a stage of its own."""
    if not wanted(settings) or step >= settings.steps:
        return False
    return Retention(settings.eval_every, settings.eval_every_tokens).keeps(step, partial(tokens_at, settings))


def count(settings: TorchTitanConfig) -> int:
    """Return how many evaluations are due, without going through the steps."""
    if settings.eval_every is not None:
        return (settings.steps - 1) // settings.eval_every
    every = settings.eval_every_tokens
    if every is None:
        return 0
    found, before = 0, 0
    for stage in stages(settings):
        tokens = (min(stage.last, settings.steps - 1) - stage.first + 1) * stage.batch_tokens
        # Where a batch is longer than the interval, each of its steps reaches a multiple.
        each = stage.batch_tokens >= every
        found += tokens // stage.batch_tokens if each else (before + tokens) // every - before // every
        before += tokens
    return found


def snapshot(folder: Path, step: int) -> Path:
    """Return the folder of a step's weights, until they are evaluated."""
    return folder / f"step-{step:06d}"


def snapshots(folder: Path) -> dict[int, Path]:
    """Return the snapshots that were written to their end, by step, lowest first."""
    found = {int(path.name.removeprefix("step-")): path for path in folder.glob("step-*") if (path / WHOLE).exists()}
    return dict(sorted(found.items()))


def known(folder: Path, step: int) -> bool:
    """Whether a step was evaluated, or left out, or waits for it: a resumed training does not write it again."""
    # In this order: what is evaluated is written down before its snapshot goes.
    return (snapshot(folder, step) / WHOLE).exists() or any(
        record["step"] == step for record in read_records(folder / RECORDS)
    )


def scored(step: int, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the record of an evaluation, numbers by ``<task>/<metric>``.

    Args:
        rows: ``eval`` of an evaluator's summary.
    """
    record: dict[str, Any] = {"step": step}
    for row in rows:
        for key, field in FIELDS.items():
            value = row.get(field)
            if isinstance(value, (int, float)) and value == value:
                record.setdefault(key, {})[f"{row['task']}/{row['metric']}"] = value
    return record


def settle(folder: Path, record: Mapping[str, Any]) -> None:
    """Write down what became of a step, and remove its snapshot: on a full disk first that, which makes room."""
    path, place = folder / RECORDS, snapshot(folder, record["step"])
    try:
        append(path, dict(record))
    except OSError:
        remove(place)
        with contextlib.suppress(OSError):  # without a line the step is missing in the curves, and that is all
            append(path, dict(record))
    remove(place)


def left_out(folder: Path, step: int) -> None:
    """Write down that a later step is evaluated in the place of this one."""
    gone = folder / f"{GONE}{step}"
    try:
        snapshot(folder, step).rename(gone)
    except OSError:  # another process was first
        return
    settle(folder, {"step": step, "eval_left_out": True})
    remove(gone)


def keep_few(folder: Path) -> None:
    """Leave out older steps that wait where nothing has done so: each takes as much disk as the model."""
    found = snapshots(folder)
    if len(found) >= AT_MOST:
        for step in [step for step, place in found.items() if not (place / BEGUN).exists()][:-1]:
            left_out(folder, step)


def forget_after(folder: Path, step: int) -> None:
    """Drop what there is of steps behind ``step``, to which a training is rewound."""
    for path in folder.glob("step-*"):
        if int(path.name.removeprefix("step-")) > step:
            remove(path)
    for path in (folder / RECORDS, folder / HELD):
        records = read_records(path)
        if any(record["step"] > step for record in records):
            write_text(path, "".join(json.dumps(record) + "\n" for record in records if record["step"] <= step))


def summary(folder: Path, settings: TorchTitanConfig, waited: float) -> dict[str, Any] | None:
    """Return what a training's summary says of its evaluations on the way; None: none were wanted.

    Args:
        waited: Seconds between the end of the training and that of the last evaluation.

    Returns:
        ``scores``: rows of ``step``, ``tokens``, ``task``, ``metric``, ``value``, ``stderr``, ``chance`` and ``n``;
        ``done``: steps that have them; ``left_out``: steps in whose place a later one was evaluated; ``failed``:
        ``step`` and ``reason``; ``held_seconds``: how long training waited for weights to be written, in all, and
        ``held_seconds_at_most``: at once; ``waited_seconds``.
    """
    if not wanted(settings):
        return None
    records, held = read_records(folder / RECORDS), read_records(folder / HELD)
    seconds = [record["seconds"] for record in held]
    failed = [(record["step"], record["eval_failed"]) for record in records if "eval_failed" in record]
    return {
        "scores": [row for record in records for row in _rows(record, settings)],
        "done": sorted(record["step"] for record in records if "eval" in record),
        "left_out": sorted(record["step"] for record in records if "eval_left_out" in record),
        "failed": [{"step": step, "reason": reason} for step, reason in failed],
        "held_seconds": round(sum(seconds), 3),
        "held_seconds_at_most": round(max(seconds, default=0.0), 3),
        "waited_seconds": round(waited, 1),
    }


def _rows(record: Mapping[str, Any], settings: TorchTitanConfig) -> list[dict[str, Any]]:
    tokens = tokens_at(settings, record["step"])
    return [
        {
            "step": record["step"],
            "tokens": tokens,
            "task": name.partition("/")[0],
            "metric": name.partition("/")[2],
            "value": value,
            "stderr": record.get("eval_stderr", {}).get(name),
            "chance": record.get("eval_chance", {}).get(name),
            "n": record.get("eval_items", {}).get(name),
        }
        for name, value in record.get("eval", {}).items()
    ]


def notes(found: Mapping[str, Any] | None) -> list[str]:
    """Return what a user should read of the evaluations on the way."""
    if found is None:
        return []
    counts = [f"{len(found['done']):,} done"]
    for key, words in (("left_out", "left out for a later one"), ("failed", "failed")):
        counts += [f"{len(found[key]):,} {words}"] if found[key] else []
    ends = f", and its end waited {found['waited_seconds']:.0f} s" if found["waited_seconds"] >= 1 else ""
    said = [
        f"evaluations on the way: {', '.join(counts)}; they held the training for {found['held_seconds']:.3g} s{ends}."
    ]
    return [*said, *(f"the evaluation of step {one['step']:,} failed: {one['reason']}" for one in found["failed"])]
