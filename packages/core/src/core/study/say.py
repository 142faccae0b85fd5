"""A study's verdict as a terminal shows it."""

from collections.abc import Iterator, Mapping
from typing import Any

from core.headline import count
from core.study.verdict import difference_places, p_text, value_places

TESTS = {"permutation": "permutation test of the signs", "paired_t": "paired t-test"}


def lines(study: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines: claim, arms, comparisons, notes, verdict."""
    seeds = len(study["arms"][0]["runs"])
    yield f"claim    {study['claim']}"
    better = f"{study['metric']}, {study['direction']} is better"
    yield f"test     {better}; {seeds} seeds, {TESTS[study['test']]}, one-sided, alpha {study['alpha']:g}"
    value, difference = value_places(study["arms"]), difference_places(study["comparisons"])
    width = max(len(arm["name"]) for arm in study["arms"])
    for arm in study["arms"]:
        role = "control" if arm["name"] == study["control"] else "arm"
        yield f"{role:8} {arm['name']:{width}}  {_values(arm, value)}{_equal(arm)}"
    for row in study["comparisons"]:
        if row["p"] is not None:
            yield f"compare  {row['arm']} - {row['control']}  {_compared(row, len(study['comparisons']), difference)}"
    for note in study["notes"]:
        yield f"note     {note}"
    yield f"verdict  {study['sentence']}"


def _values(arm: Mapping[str, Any], places: int) -> str:
    if arm["mean"] is None:
        return "no values"
    number = sum(run["value"] is not None for run in arm["runs"])
    spread = "" if arm["std"] is None else f" ± {arm['std']:.{places}f}"
    return f"{arm['mean']:.{places}f}{spread} (n = {number})"


def _equal(arm: Mapping[str, Any]) -> str:
    return "".join(f", {key.rpartition('.')[2]} {count(value)}" for key, value in arm["equal"].items() if value)


def _compared(row: Mapping[str, Any], comparisons: int, places: int) -> str:
    effect = "" if row["effect_size"] is None else f", effect size {row['effect_size']:.2f}"
    adjusted = f", {p_text(row['p_adjusted'])} for {comparisons} arms" if comparisons > 1 else ""
    mean, low, high = row["mean_difference"], row["low"], row["high"]
    interval = f"{mean:+.{places}f}, 95 % {low:.{places}f} to {high:.{places}f}"
    return f"{interval}{effect}, {p_text(row['p'])}{adjusted}"
