"""The log of a policy that chooses among sequences, and what follows from it. No NumPy: planning reads it.

There is a line for each step. A training that goes on where it was killed trains on what the lines say, and asks the
policy only for steps that have none.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from smallwright_pretrain.policies_log import Lines

CHOSEN = "chosen"
"""Key of a line: a bit for each candidate, the first one highest, in base64."""


def counts(lines: Lines, upto: int | None = None) -> dict[int, dict[str, int]]:
    """Return, by the number of each stage, the sequences of each source that were trained on; none: nothing chose.

    Args:
        upto: The last step that counts; None: all do.
    """
    found: dict[int, dict[str, int]] = {}
    for made in lines:
        if CHOSEN in made and (upto is None or made["step"] <= upto):
            own = found.setdefault(made["stage"], {})
            for name, count in made["by_source"].items():
                own[name] = own.get(name, 0) + count
    return found


def summary(lines: Lines) -> dict[str, Any]:
    """Return ``selection``: how many were chosen, mean losses of candidates and of chosen ones; none: nothing chose."""
    made = [one for one in lines if CHOSEN in one]
    if not made:
        return {}
    means = {key: _means(one[key] for one in made if key in one) for key in ("loss", "reference")}
    return {
        "selection": {
            "policy": made[-1]["policy"],
            "candidates": sum(one["candidates"] for one in made),
            "chosen": sum(sum(one["by_source"].values()) for one in made),
            "refused": sum("refused" in one for one in made),
            **{key: pair for key, pair in means.items() if pair},
        }
    }


def _means(pairs: Iterable[Sequence[float]]) -> list[float]:
    row = list(pairs)
    return [math.fsum(column) / len(row) for column in zip(*row, strict=True)]


def notes(lines: Lines) -> list[str]:
    """Return what a user should know of the choices."""
    found = summary(lines).get("selection")
    if found is None:
        return []
    chosen, of = f"{found['chosen']:,}", f"{found['candidates']:,}"
    said = (
        f"policy {found['policy']} trained on {chosen} of {of} sequences: their mean loss was {found['loss'][1]:.3f}, "
        f"of all {found['loss'][0]:.3f}"
    )
    if "reference" in found:
        said += f"; by the reference {found['reference'][1]:.3f}, of all {found['reference'][0]:.3f}"
    refused = found["refused"]
    return [f"{said}.", *([f"policy {found['policy']}: {refused} choices were not taken."] if refused else [])]
