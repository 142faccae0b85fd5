"""Where each rank is: a few bytes a step, from which is told which rank died, hangs or lags. No torch."""

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BEATS = "beats"
"""Folder in the unfinished work: a file a rank."""
DIED_FILE = "died.json"
"""In the unfinished work: the rank that torchrun saw end first, where it could not report itself."""
PHASES = ("reading a batch", "computing", "saving", "measuring")
WIDTH = 128


class Beat:
    """One rank's file, overwritten in place: two system calls a step."""

    def __init__(self, folder: Path, rank: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / str(rank), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._host = socket.gethostname()[:32]

    def __call__(self, step: int, phase: str) -> None:
        """Say what the rank does now."""
        said = json.dumps({"step": step, "phase": PHASES.index(phase), "time": int(time.time()), "host": self._host})
        os.pwrite(self._file, said.ljust(WIDTH).encode(), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(folder: Path) -> dict[int, dict[str, Any]]:
    """Return what each rank said last; a rank that has not begun a step has said nothing."""
    found = {}
    for path in folder.glob("*"):
        try:
            found[int(path.name)] = json.loads(path.read_bytes())
        except ValueError:
            continue
    return dict(sorted(found.items()))


def behind(beats: Mapping[int, Mapping[str, Any]], now: float) -> str | None:
    """Say which ranks are behind the others; None where all are equally far, or nothing is known."""
    places = {rank: (beat["step"], beat["phase"]) for rank, beat in beats.items()}
    late = [rank for rank, place in places.items() if place < max(places.values())]
    if not late:
        return None
    first = min(late, key=lambda rank: places[rank])
    beat, others = beats[first], max(places.values())
    many = f"ranks {', '.join(map(str, late))} are" if len(late) > 1 else f"rank {first} is"
    return (
        f"{many} behind: since {now - beat['time']:.0f} s rank {first} on {beat['host']} is {PHASES[beat['phase']]} in "
        f"step {beat['step']}, where others are {PHASES[others[1]]} in step {others[0]}"
    )
