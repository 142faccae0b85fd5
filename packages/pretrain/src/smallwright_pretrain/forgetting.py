"""What a training forgets: windows that it was trained on, whose loss rises again. No NumPy: planning reads it.

At each measurement of the held-out loss the loss of some windows of the interval that ends is measured (it is what the
model knows of them then), and that of windows of earlier intervals once more, whose rise is what was forgotten.
PanGu-pi Pro (arXiv 2402.02791, section 3.3) compares the loss of early data at the end of a round with that when it was
learnt.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.typed import setting

FORGETTING = "forgetting.jsonl"
"""In the artifact: a line for each measurement, with its windows."""
FRESH = 8
"""Measurements whose windows are as many as are measured again."""

Lines = Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForgettingConfig:
    """A meter of what is forgotten, by corpus; the numbers are ours."""

    windows: int = setting(64, ge=1)
    """Windows of each corpus that are measured again each time; an eighth of them, at least one, is new each time."""
    margin: float = setting(0.1, ge=0)
    """Rise of a window's loss, in nats per token, above which it is forgotten."""

    @property
    def fresh(self) -> int:
        """Windows of each corpus that are measured for the first time at a measurement."""
        return max(1, self.windows // FRESH)


def earlier(lines: Lines, seq_len: int, count: int) -> list[tuple[str, int, float]]:
    """Return source, window and loss of windows that were measured when they were trained on.

    Args:
        lines: Of the measurements so far.
        seq_len: Of the windows; those of another length are left out.
        count: Most of each source; more are thinned evenly over the training.
    """
    known: dict[str, list[tuple[str, int, float]]] = {}
    for line in lines:
        for name, window, loss in line["trained"] if line["seq_len"] == seq_len else ():
            known.setdefault(name, []).append((name, window, loss))
    return [own[place] for own in known.values() for place in spread(len(own), count)]


def spread(size: int, count: int) -> list[int]:
    """Return ``count`` places below ``size``, or all of them, evenly spread."""
    return [place * size // count for place in range(count)] if count < size else list(range(size))


def by_source(again: Sequence[Sequence[Any]], margin: float) -> dict[str, dict[str, float]]:
    """Return what is said of each source: ``windows``, ``forgotten`` (their share) and ``rise``, its mean.

    Args:
        again: Source, window, loss when it was trained on, and now.
    """
    rises: dict[str, list[float]] = {}
    for name, _, then, now in again:
        rises.setdefault(name, []).append(now - then)
    return {
        name: {
            "windows": len(own),
            "forgotten": sum(rise > margin for rise in own) / len(own),
            "rise": math.fsum(own) / len(own),
        }
        for name, own in rises.items()
    }


def summary(settings: ForgettingConfig | None, lines: Lines) -> dict[str, Any]:
    """Return ``forgetting``: what the last measurement says of each source; empty where nothing was measured again."""
    measured = [line for line in lines if line["again"]]
    if settings is None or not measured:
        return {}
    last = measured[-1]
    return {
        "forgetting": {
            "step": last["step"],
            "margin": settings.margin,
            "by_source": by_source(last["again"], settings.margin),
        }
    }
