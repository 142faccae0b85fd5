"""Checkpoints that a killed run goes on from: which is whole, and which is damaged.

transformers writes a checkpoint file by file. A list of digests, written last, says that it is whole and how it was.
"""

import json
import shutil
from pathlib import Path

from core.store import file_digest
from core.writing import write_json

DIGESTS = "digests.json"


def seal(directory: Path) -> None:
    """Write the digests of a checkpoint's files: from now on it is whole."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != DIGESTS)
    write_json(directory / DIGESTS, {str(path.relative_to(directory)): file_digest(path) for path in files})


def newest_whole(directory: Path) -> tuple[Path | None, list[str]]:
    """Return the newest whole checkpoint, and the names of newer ones that were sealed and are damaged now.

    These, and what was not written to its end, are deleted.
    """
    damaged: list[str] = []
    for path in sorted(directory.glob("checkpoint-*"), key=step, reverse=True):
        if _is_whole(path):
            return path, damaged
        if (path / DIGESTS).exists():
            damaged.append(path.name)
        shutil.rmtree(path)
    return None, damaged


def step(checkpoint: Path) -> int:
    """Return the number of steps after which it was made; -1 for a name without a number."""
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdecimal() else -1


def _is_whole(checkpoint: Path) -> bool:
    try:
        digests = json.loads((checkpoint / DIGESTS).read_text(encoding="utf-8"))
        return bool(digests) and all(file_digest(checkpoint / name) == value for name, value in digests.items())
    except (OSError, ValueError, AttributeError):
        return False
