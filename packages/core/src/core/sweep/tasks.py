"""The pieces of a sweep that a launcher puts side by side."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One piece of work of a sweep: a command that runs on its own."""

    name: str
    """Unique in the sweep, and a safe file name."""
    command: tuple[str, ...]
    """What to run, from the folder that this process is in: ``<this Python> -m core.sweep.part <folder> ...``."""
    log: Path
    """Where its stdout and stderr go."""
    after: tuple[str, ...] = ()
    """Names of the tasks that must have ended, well or not, before this one starts."""
