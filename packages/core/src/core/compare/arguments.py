"""What each argument of the command names: a side, or several where it is a sweep."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import store
from core.compare import model_side, run_side, settings
from core.compare.sides import Side
from core.errors import InputError, reading
from core.sweep.table import FINISHED
from core.sweep.table import VERSION as SWEEP_VERSION

WHAT = "Give the folder of a run (runs/<run>), of a sweep, or of a model's artifact (store/pretrain/<artifact>)."
_ARGUMENT = re.compile(r"(?P<place>.+?)(?:#(?P<number>\d+))?(?::(?P<model>[\w.-]+))?")


def split(argument: str) -> tuple[Path, int | None, str | None]:
    """Return the folder, the number of a sweep's run and the model that ``folder#3:sft`` names."""
    if Path(argument).is_dir():
        return Path(argument), None, None
    match = _ARGUMENT.fullmatch(argument)
    if match is None:
        raise InputError(f"an empty argument names no side. {WHAT}")
    number = match["number"]
    return Path(match["place"]), None if number is None else int(number), match["model"]


def read(arguments: Sequence[str], root: Path | None) -> tuple[list[Side], list[str]]:
    """Return the sides that the arguments name, and notes on what was left out.

    A run is its last model that was evaluated; alone, it is all of them. A sweep is its finished runs.

    Args:
        arguments: Of the command: ``folder``, ``folder:model``, ``sweep#number``, ``sweep#number:model``.
        root: The store, where it is not the one that a report or an artifact stands in.

    Raises:
        core.errors.UserError: naming the argument.
    """
    if root is not None and not root.is_dir():
        raise InputError(f"--store {root}: no such folder. Leave it out where the reports say where the artifacts are.")
    notes: list[str] = []
    seen: dict[frozenset[str], tuple[int, Side]] = {}
    for place, argument in enumerate(arguments):
        if argument in arguments[:place]:
            raise InputError(f"{argument}: the same side twice. Give another run, sweep or model.")
        for side in _sides_of(argument, root, notes, alone=len(arguments) == 1):
            whose, first = seen.setdefault(side.made, (place, side))
            if first is side:
                continue
            if whose != place:
                raise InputError(
                    f"{side.argument}: the same side as {first.argument}: one model, one evaluation. Give another."
                )
            # Runs of a sweep whose settings differ in what changes nothing.
            notes.append(f"{side.argument} is left out: its model and evaluation are those of {first.argument}.")
    kept = [side for _, side in seen.values()]
    if len(kept) < 2:
        why = f" ({' '.join(notes)})" if notes else ""
        raise InputError(
            f"{', '.join(arguments)}: one side only{why}. Give a second run, sweep or model to compare with."
        )
    return kept, notes + [f"{side.names[0]}: {note}" for side in kept for note in side.notes]


def _sides_of(argument: str, root: Path | None, notes: list[str], *, alone: bool) -> list[Side]:
    place, number, model = split(argument)
    if not place.is_dir():
        raise InputError(f"{argument}: no such folder. {WHAT}")
    if (place / "sweep.json").is_file():
        return _of_sweep(argument, place, number, model, root, notes)
    if number is not None:
        raise InputError(f"{argument}: #{number} names a run of a sweep, and {place} has no sweep.json. {WHAT}")
    if (place / "report.json").is_file():
        return run_side.sides(argument, place, model, root, every=alone)
    artifact = next((folder for folder in (place, place.parent) if (folder / store.MANIFEST).is_file()), None)
    if artifact is not None and model is None:
        return [model_side.side(argument, artifact, root)]
    if (place / "logs").is_dir():
        raise InputError(f"{argument}: the run has no report.json: it is not finished. Run its command again.")
    if (place / "config.json").is_file():
        raise InputError(
            f"{argument}: a model without an evaluation. Evaluate it (python -m core.run model={place}), then give "
            "that run."
        )
    raise InputError(f"{argument}: neither a run, nor a sweep, nor a model's artifact. {WHAT}")


def _fate(run: Mapping[str, Any]) -> str:
    return ": ".join(str(run[key]) for key in ("status", "error") if run.get(key))


def _of_sweep(
    argument: str, place: Path, number: int | None, model: str | None, root: Path | None, notes: list[str]
) -> list[Side]:
    path = place / "sweep.json"
    with reading(path, "Run the sweep's command again."):
        table = json.loads(path.read_text(encoding="utf-8"))
        runs = [
            (int(run["number"]), _fate(run), place / str(run.get("directory") or ""), dict(run["values"]))
            for run in table["runs"]
        ]
        if (version := table.get("version", SWEEP_VERSION)) != SWEEP_VERSION:
            raise InputError(
                f"{argument}: {path} has version {version}, this core reads {SWEEP_VERSION}. Run the sweep's command "
                "again."
            )
    known = [one for one, *_ in runs]
    if number is not None and number not in known:
        raise InputError(f"{argument}: no run {number} in this sweep: it has {', '.join(map(str, known))}.")
    sides = []
    for one, status, folder, values in runs:
        if number is not None and one != number:
            continue
        if number is None and status != FINISHED:
            notes.append(f"{place}#{one} is left out: {status}.")
            continue
        if not (folder / "report.json").is_file():
            raise InputError(f"{place}#{one}: {status}: no report.json in {folder}. Run the sweep's command again.")
        (side,) = run_side.sides(f"{place}#{one}", folder, model, root, every=False)
        short = ", ".join(f"{key.rpartition('.')[2]}={settings.without_place(value)}" for key, value in values.items())
        suffix = f":{model}" if model else ""
        names = (f"{short}{suffix}", f"#{one} {short}{suffix}", f"{place.name}#{one}{suffix}", f"{place}#{one}{suffix}")
        sides.append(dataclasses.replace(side, argument=names[-1], names=names if short else names[2:]))
    if not sides:
        raise InputError(f"{argument}: no run of this sweep is finished. Run its command again.")
    return sides
