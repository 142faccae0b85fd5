"""What the runs of a sweep will do: all composed and checked before any work."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.registry import Registry
from core.stage_spec import StageSpec
from core.sweep.points import Point


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """One run of a sweep, composed and checked."""

    point: Point
    number: int
    """From 1, in the user's order."""
    config: Mapping[str, Any]
    stages: list[StageSpec]
    directory: Path
    """Folder of the run, inside the sweep's."""


def plan(points: Sequence[Point], registry: Registry, folder: Path) -> list[Planned]:
    """Compose and check every run.

    Args:
        points: The runs.
        registry: What is installed.
        folder: Of the sweep.

    Raises:
        core.errors.UserError: what is wrong with a run; the message names what the run differs in.
    """
    raise NotImplementedError
