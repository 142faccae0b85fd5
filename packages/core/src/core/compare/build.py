"""``compare.json``: everything that is known of the sides, as plain data. docs/report_json.md describes it."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.compare import published, settings, tasks
from core.compare.published import Published
from core.compare.sides import Side, named

VERSION = 1
"""Of the schema: raised when a key goes, or comes to mean something else. New keys do not raise it."""
ALPHA = 0.05
"""Below it an adjusted p-value is called significant."""
LOSSES = ("loss", "validation_loss")
"""Curves that are laid over each other."""


def compare(
    sides: Sequence[Side], baseline: int, notes: Sequence[str], others: Sequence[Published], wanted: str | None
) -> dict[str, Any]:
    """Return the comparison.

    Args:
        sides: At least two.
        baseline: Place of the side that the others are tested against.
        notes: On what was left out.
        others: Published scores.
        wanted: Of which published models; see :func:`core.compare.published.beside`.

    Raises:
        core.errors.UserError: nothing in common, damaged samples, or no such published model.
    """
    names = named(sides)
    found = {
        "version": VERSION,
        "baseline": names[baseline],
        "sides": [_side(side, name) for side, name in zip(sides, names, strict=True)],
        "differences": settings.differences([side.config for side in sides], [side.resolved for side in sides]),
        "tasks": tasks.rows(sides, names, baseline),
        "curves": _curves(sides, names),
        "published": published.beside(others, sides, wanted),
        "notes": list(notes),
    }
    return {"sentence": sentence(found), **found}


def _side(side: Side, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": side.kind,
        "place": side.argument,
        "headline": side.headline,
        "parameters": side.parameters,
        "tokens": side.tokens,
        "seconds": side.seconds,
        "peak_memory_bytes": side.peak_memory_bytes,
    }


def _curves(sides: Sequence[Side], names: Sequence[str]) -> dict[str, Any]:
    """Return the losses that at least two trainings have, by stage and key; sides of one training have one curve."""
    found: dict[str, Any] = {}
    for side, name in zip(sides, names, strict=True):
        for stage, (artifact, curves) in side.curves.items():
            for curve in curves:
                if curve["key"] not in LOSSES or not curve["points"]:
                    continue
                key = f"{stage}.{curve['key']}"
                about = {"name": f"{stage}: {curve['name']}", "unit": curve["unit"], "sides": {}}
                drawn = found.setdefault(key, about)["sides"]
                if artifact in drawn:
                    drawn[artifact]["side"] += f" and {name}"
                else:
                    drawn[artifact] = {"side": name, "points": curve["points"]}
    return {key: {**one, "sides": list(one["sides"].values())} for key, one in found.items() if len(one["sides"]) > 1}


def verdict(row: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    """Return ``better``, ``worse`` or ``not significant`` for the second side of a pair."""
    if pair["p_adjusted"] >= ALPHA:
        return "not significant"
    return "better" if (pair["difference"] > 0) == row["higher_is_better"] else "worse"


def sentence(found: Mapping[str, Any]) -> str:
    """Return what a reader needs first: which side is better on how many measures, and that the rest is no more than
    chance."""
    said = []
    for side in found["sides"]:
        words = [verdict(row, pair) for row in found["tasks"] for pair in row["pairs"] if pair["b"] == side["name"]]
        if not words:
            continue
        parts = [f"{word} on {words.count(word)}" for word in ("better", "worse") if word in words]
        shown = f"is {' and '.join(parts)}" if parts else "differs significantly on none"
        said.append(f"{side['name']} {shown} of {len(words)} measure{'s' if len(words) > 1 else ''}")
    if not said:
        return f"No items in common with {found['baseline']} that could be tested: the scores stand side by side."
    told = said if len(said) <= 4 else [*said[:4], f"{len(said) - 4} more sides are in the table"]
    against = f"Against {found['baseline']}, on the same items, at 5 % after Holm's correction: "
    return f"{against}{'; '.join(told)}."
