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
MOST_TOLD = 4
"""Sides of which the sentence tells one by one."""
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
    """Return what a reader needs first: which sides are better on how many measures, and which are not."""
    words: dict[str, list[str]] = {side["name"]: [] for side in found["sides"]}
    for row in found["tasks"]:
        for pair in row["pairs"]:
            words[pair["b"]].append(verdict(row, pair))
    tested = {name: verdicts for name, verdicts in words.items() if verdicts}
    if not tested:
        return f"No items in common with {found['baseline']} that could be tested: the scores stand side by side."
    against = f"Against {found['baseline']}, on the same items, at 5 % after Holm's correction: "
    if len(tested) <= MOST_TOLD:
        return f"{against}{'; '.join(f'{name} {_said(verdicts)}' for name, verdicts in tested.items())}."
    some = {what: [name for name, verdicts in tested.items() if what in verdicts] for what in ("better", "worse")}
    neither = sum(not {"better", "worse"} & set(verdicts) for verdicts in tested.values())
    told = [f"{len(names)} of {len(tested)} sides are {what} on a measure" for what, names in some.items() if names]
    return f"{against}{'; '.join([*told, *([f'{neither} differ significantly on none'] if neither else [])])}."


def _said(verdicts: Sequence[str]) -> str:
    parts = [f"{word} on {verdicts.count(word)}" for word in ("better", "worse") if word in verdicts]
    shown = f"is {' and '.join(parts)}" if parts else "differs significantly on none"
    return f"{shown} of {len(verdicts)} measure{'s' if len(verdicts) > 1 else ''}"
