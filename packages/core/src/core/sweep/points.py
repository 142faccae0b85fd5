"""The runs of a sweep, out of a command line in Hydra's sweep grammar."""

import dataclasses
from collections.abc import Mapping, Sequence

from core.registry import Registry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One run of a sweep."""

    overrides: tuple[str, ...]
    """Its whole command line, without sweep grammar."""
    values: Mapping[str, str]
    """What differs from the other runs: key to value as written; the columns of the table."""


def expand(overrides: Sequence[str], registry: Registry, *, samples: int | None = None, seed: int = 0) -> list[Point]:
    """Return the runs that a command line in Hydra's sweep grammar asks for, in the order of its words.

    Args:
        overrides: As the user wrote them.
        registry: What is installed: the options that a glob over a group chooses among.
        samples: How many values are drawn from each interval.
        seed: What they are drawn from.

    Raises:
        core.errors.ConfigError: a sweep of no runs, of too many, or one that cannot be read.
    """
    raise NotImplementedError
