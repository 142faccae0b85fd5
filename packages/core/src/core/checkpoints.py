"""Checkpoints that a stopped stage goes on from: which are whole, and what becomes of those that are not.

A trainer seals a checkpoint when it is written: the seal has size and SHA-256 of its files. A stage that starts again
takes the newest whole one. Nothing here imports an engine.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from core.store import differences, file_digest
from core.writing import remove, write_json

SEAL = "seal.json"
"""File beside the others of a checkpoint: name to [size, SHA-256]."""
ASIDE = "damaged"
"""Folder in the stage's unfinished work for checkpoints that cannot be used; it goes when the stage is finished."""


def digests(folder: Path, names: Iterable[str]) -> dict[str, list[int | str]]:
    """Return size and SHA-256 of files of a checkpoint, for :func:`seal`; each rank can do its own."""
    return {name: [(folder / name).stat().st_size, file_digest(folder / name)] for name in names}


def seal(folder: Path, files: dict[str, list[int | str]]) -> None:
    """Say that a checkpoint is whole, as the last thing that is done to it."""
    write_json(folder / SEAL, files)


def fault(folder: Path) -> str | None:
    """Say what is wrong with a checkpoint; None where every sealed file is as it was written, or there is no seal."""
    path = folder / SEAL
    if not path.is_file():
        return None
    try:
        sealed = {str(name): (size, sha256) for name, (size, sha256) in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return f"{SEAL} is damaged"
    return next(differences(folder, sealed), None)


def set_aside(folder: Path, work: Path) -> None:
    """Move a checkpoint that cannot be used out of the way, to ``work/damaged``, where it can be looked at."""
    place = work / ASIDE / folder.name
    place.parent.mkdir(parents=True, exist_ok=True)
    remove(place)
    folder.rename(place)


def keep_whole(found: Iterable[Path], work: Path) -> tuple[Path | None, list[str]]:
    """Return the newest checkpoint that is whole, and a line for each newer one, which is set aside.

    Args:
        found: The checkpoints, oldest first. One without a seal is taken for whole.
        work: The stage's unfinished work.
    """
    notes = []
    newest = None
    for folder in reversed(list(found)):
        reason = fault(folder)
        if reason is None:
            newest = folder
            break
        set_aside(folder, work)
        notes.append(f"checkpoint {folder.name} is damaged ({reason})")
    if notes:
        where = f"goes on from {newest.name}" if newest is not None else "starts from the beginning"
        notes[-1] += f": training {where}"
    return newest, notes
