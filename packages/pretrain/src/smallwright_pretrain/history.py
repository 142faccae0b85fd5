"""What a training left on the disk so far: its checkpoints by step, and what a rewind moves aside. No torch."""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from core.errors import InputError
from core.writing import remove, write_json, write_text

from smallwright_pretrain import evaluations
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.forgetting import FORGETTING
from smallwright_pretrain.policies_log import DECISIONS
from smallwright_pretrain.records import METRICS, read_records
from smallwright_pretrain.revisions import REVISIONS
from smallwright_pretrain.round_files import ROUNDS, owed
from smallwright_pretrain.segments import segments, tokens_at
from smallwright_pretrain.spikes import SPIKES

CHECKPOINTS = "checkpoint"
"""Folder in the artifact, as TorchTitan names it."""
ASIDE = "rewound"
"""Folder in the artifact for what was done behind a step to which the training was rewound."""
REWIND_FILE = "rewind.json"
"""In the unfinished work: which rewind was done, so that the same command, given again, goes on."""


def by_step(folder: Path) -> list[Path]:
    """Return the folders ``step-<number>``, lowest first, whether or not they were written to their end."""
    return sorted((path for path in folder.glob("step-*") if path.name[5:].isdigit()), key=step_of)


def step_of(folder: Path) -> int:
    """Return the step of a checkpoint or a revision."""
    return int(folder.name.removeprefix("step-"))


def finished(folder: Path) -> list[Path]:
    """Return the checkpoints that were written to their end, oldest first; PyTorch writes ``.metadata`` last."""
    return [path for path in by_step(folder) if (path / ".metadata").is_file()]


def remove_old(folder: Path, settings: TorchTitanConfig, *, latest: int | None) -> None:
    """Remove checkpoints that are neither kept for good nor of the ``latest``; TorchTitan does so when it saves one.

    Args:
        latest: How many stay anyway; None: all.
    """
    found = {step_of(path): path for path in by_step(folder)}
    for step in settings.retention.stale(found, latest, partial(tokens_at, settings)):
        remove(found[step])


def rewind(output: Path, work: Path, step: int | None) -> str | None:
    """Go back to a checkpoint: move later ones, their revisions and their records aside, and say so.

    Args:
        output: The artifact.
        work: Its unfinished work. What is done there is done once: the same command, given again, goes on.
        step: Of the checkpoint; None: no rewind is wanted.

    Raises:
        core.errors.InputError: there is no such checkpoint.
    """
    marker = work / REWIND_FILE
    if step is None:
        remove(marker)
        return None
    done = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {}
    key = f"pretrain.rewind_to={step}"
    if done.get("to") == step and done["done"]:
        return f"{key}: done when it was first given; training goes on from its last checkpoint. Leave it out."
    kept = [step_of(path) for path in finished(output / CHECKPOINTS)]
    if step not in kept:
        listed = f"There are those of the steps {', '.join(map(str, kept))}." if kept else "There are none."
        raise InputError(f"{key}: no checkpoint of that step is kept. {listed}")
    if done.get("to") != step:
        number = len(list((output / ASIDE).glob("*"))) + 1
        done = {"to": step, "aside": f"{number:02d}-to-step-{step}", "done": False}
        write_json(marker, done)
    aside = output / ASIDE / done["aside"]
    evaluations.forget_after(work.parent / evaluations.FOLDER, step)
    _move_records([output / METRICS, output / SPIKES, output / DECISIONS, output / FORGETTING], aside, step)
    for folder in (output / CHECKPOINTS, output / REVISIONS, output / ROUNDS):
        for path in reversed(by_step(folder)):
            if step_of(path) > step:
                (aside / folder.name).mkdir(parents=True, exist_ok=True)
                path.rename(aside / folder.name / path.name)
    write_json(marker, {**done, "done": True})
    return f"{key}: what was done behind this step is in {aside.relative_to(output)}."


def _move_records(paths: Iterable[Path], aside: Path, step: int) -> None:
    for path in paths:
        records = read_records(path)
        later = [record for record in records if record["step"] > step]
        if not later:
            continue
        write_text(aside / path.name, "".join(json.dumps(record) + "\n" for record in later))
        write_text(path, "".join(json.dumps(record) + "\n" for record in records if record["step"] <= step))


def next_segment(config: TorchTitanConfig, output: Path, done: int, at_least: int) -> int:
    """Return the number of the segment that is next after ``done`` steps.

    One that was ended between its last checkpoint and its last validation, or before the windows of the next round were
    drawn, is gone through again, to measure.

    Args:
        at_least: Number of a segment; those before it have nothing left to measure.
    """
    row = segments(config)
    measured = any(record["step"] == done and "validation_loss" in record for record in read_records(output / METRICS))
    for number, segment in enumerate(row):
        left = (number >= at_least and not measured) or owed(config, output, segment)
        if done < segment.last or (done == segment.last and left):
            return number
    return len(row) - 1
