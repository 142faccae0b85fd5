"""How sure scores are, in the words of a page: intervals, errors over clusters, groups, what trained the model."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

WIDTH = NormalDist().inv_cdf(0.975)


def bounds(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the 95 % interval of a share; of rows without one, by the standard error."""
    if row.get("low") is not None and row.get("high") is not None:
        return row["low"], row["high"]
    if row.get("stderr") is None:
        return None
    half = WIDTH * row["stderr"]
    return max(0.0, row["value"] - half), min(1.0, row["value"] + half)


def interval(row: Mapping[str, Any]) -> str:
    """Return the interval of a share as text; empty where there is none."""
    found = bounds(row)
    return "" if found is None else f"{100 * found[0]:.1f} to {100 * found[1]:.1f} %"


def cleaned(row: Mapping[str, Any]) -> str:
    """Return whether the task was looked for in what trained the model."""
    told = row.get("contamination")
    if not told:
        return ""
    removed = told.get("documents_removed")
    return told["checked"] + (f", {removed:,} documents" if removed else "")


def notes(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return blocks that say what the intervals rest on, and what is known of the training data."""
    lines = []
    wilson = [row["task"] for row in rows if row.get("interval") == "Wilson"]
    if wilson:
        lines.append(f"Wilson's interval, for all or none were right: {_names(wilson)}.")
    for field in dict.fromkeys(row.get("clustered_by") for row in rows if row.get("interval") == "clustered"):
        tasks = [row["task"] for row in rows if row.get("interval") == "clustered" and row["clustered_by"] == field]
        lines.append(f"Items that share their {field} count as a cluster in the interval of {_names(tasks)}.")
    for way in dict.fromkeys(row.get("aggregated") for row in rows if row.get("aggregated")):
        tasks = [row["task"] for row in rows if row.get("aggregated") == way]
        lines.append(f"{_names(tasks)}: {way}.")
    partial = {row["task"]: row["value"] for row in rows if row.get("metric") == "judged" and row["value"] < 1}
    lines += [f"{task}: partial, for a judge rated {share:.0%} alone." for task, share in partial.items()]
    empty = {row["task"]: row["empty_answers"] for row in rows if row.get("empty_answers")}
    lines += [f"{task}: {count:,} answers were empty." for task, count in empty.items()]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.get("contamination"):
            reasons.setdefault(row["contamination"]["reason"], []).append(row["task"])
    lines += [f"Training data, {_names(tasks)}: {reason}." for reason, tasks in reasons.items()]
    return [{"kind": "text", "text": line, "mood": "muted"} for line in lines]


def parity(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the block that says how far two engines differ on the same items."""
    said = f"Parity of {' and '.join(found['engines'])} on {found['items']} items of {found['model']}:"
    if found.get("largest_difference") is not None:
        said += f" log-likelihoods differ by at most {found['largest_difference']:.2g} nats,"
        said += f" {found['same_choice']:.1%} of choices are the same." if found.get("same_choice") is not None else ""
    if found.get("same_answers") is not None:
        said += f" {found['same_answers']:.1%} of {found['answers']} answers are the same."
    return {"kind": "text", "text": said.rstrip(","), "mood": "muted"}


def _names(tasks: Sequence[str]) -> str:
    known = list(dict.fromkeys(tasks))
    return ", ".join(known[:6]) + (f" and {len(known) - 6} more" if len(known) > 6 else "")
