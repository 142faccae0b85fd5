"""Checkpoints that a killed run goes on from, as :mod:`core.checkpoints` seals them and finds the newest whole one.

transformers writes a checkpoint file by file: one without a seal was not written to its end.
"""

import shutil
from pathlib import Path

from core import checkpoints


def seal(directory: Path) -> None:
    """Say that a checkpoint is whole."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != checkpoints.SEAL)
    names = [str(path.relative_to(directory)) for path in files]
    checkpoints.seal(directory, checkpoints.digests(directory, names))


def newest_whole(directory: Path, work: Path) -> tuple[Path | None, list[str]]:
    """Return the newest whole checkpoint, and a line for each newer one that is damaged and set aside in ``work``.

    What was not written to its end is deleted.
    """
    found = sorted(directory.glob("checkpoint-*"), key=step)
    for path in found:
        if not (path / checkpoints.SEAL).exists():
            shutil.rmtree(path)
    return checkpoints.keep_whole([path for path in found if path.exists()], work)


def step(checkpoint: Path) -> int:
    """Return the number of steps after which it was made; -1 for a name without a number."""
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdecimal() else -1
