"""What the rounds of a training leave in its artifact, and where. No NumPy: planning asks it."""

import json
from pathlib import Path
from typing import Any

from core.errors import InputError

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.segments import Segment, stages

ROUNDS = "rounds"
"""In the artifact: a folder ``step-<number>`` for the end of each round but the last."""
DRAWN = "drawn.json"
"""In such a folder: what was drawn, written when all else is there."""


def folder(output: Path, step: int) -> Path:
    """Return where the pass at the end of a round lies, which ends at a step."""
    return output / ROUNDS / f"step-{step}"


def ends_round(config: TorchTitanConfig, segment: Segment) -> int | None:
    """Return the number of the round that ends with a segment, and that another one follows; None: none does."""
    row = stages(config)
    last = segment.stages[-1]
    return last.round if last.last < config.steps and row[row.index(last) + 1].round > last.round else None


def owed(config: TorchTitanConfig, output: Path, segment: Segment) -> bool:
    """Tell whether a segment ends a round of whose windows nothing has been drawn yet, or nothing that can be read."""
    if ends_round(config, segment) is None:
        return False
    try:
        load(folder(output, segment.last) / DRAWN)
    except (FileNotFoundError, InputError):
        return True
    return False


def load(file: Path) -> dict[str, Any]:
    """Return what a file says of the windows that were drawn.

    Raises:
        FileNotFoundError: there is none.
        core.errors.InputError: it is damaged.
    """
    try:
        made = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(made["drawn"], int) or not isinstance(made["sources"], list):
            raise TypeError("it does not say what was drawn")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: damaged ({error}). {_again(file)}") from error
    return dict(made)


def _again(file: Path) -> str:
    step = file.parent.name.removeprefix("step-")
    return (
        f"Remove {file.parent} and set pretrain.rewind_to={step}, where its round ended: it is drawn again. Without "
        "that checkpoint, remove the training."
    )


def check_drawn(config: TorchTitanConfig, output: Path, segment: Segment) -> None:
    """Refuse to train a round for which nothing was drawn.

    Raises:
        core.errors.InputError: so it is in a branch from a training of other rounds.
    """
    first = segment.stages[0]
    file = folder(output, first.first - 1) / DRAWN
    if first.round > 1 and not file.is_file():
        if config.branch_from is None:
            raise InputError(f"{file}: missing. {_again(file)}")
        raise InputError(
            f"pretrain.branch_from: step {first.first - 1} of that training ends no round, so nothing was drawn for "
            f"round {first.round}. Branch from an earlier step, or set pretrain.rounds=null."
        )


def found(config: TorchTitanConfig, output: Path) -> dict[int, Path]:
    """Return what was drawn so far, by the number of the stage that trains on it."""
    files = {
        place: folder(output, stage.first - 1) / DRAWN for place, stage in enumerate(stages(config)) if stage.round > 1
    }
    return {place: file for place, file in files.items() if file.is_file()}


def summary(config: TorchTitanConfig, output: Path) -> dict[str, Any]:
    """Return ``rounds``, what was drawn for each; empty where there are none."""
    files = found(config, output)
    read_ = [load(file) for file in files.values()]
    return (
        {"rounds": [{key: value for key, value in made.items() if key != "sources"} for made in read_]} if read_ else {}
    )
