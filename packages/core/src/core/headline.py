"""The one sentence that a reader of a report needs: what model, from what, how good, at what cost."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.alignment import HELD_OUT

MOST_DECIMALS = 6
MOST_SCORES = 16
"""Lines of scores in the terminal; the report has all of them."""


SHARES = re.compile(r"(acc(uracy)?|exact_match|math_verify|f1|em)(?![a-z])|pass@|prompt_level_|inst_level_")
"""How metrics begin that are shares of one; ``accumulation`` and ``embedding`` are none."""


def is_share(metric: str, *values: float) -> bool:
    """Whether scores of a metric are shares of one, which people read per cent."""
    return SHARES.match(metric) is not None and all(0 <= value <= 1 for value in values)


def sentence(report: Mapping[str, Any]) -> str:
    """Return the sentence about a collected report; about a run that failed it begins with where."""
    stopped = next((row for row in report["stages"] if row["status"] == "failed"), None)
    parts = [f"Failed in stage {stopped['name']}." if stopped else "", _model(report) or _corpus(report), _good(report)]
    return " ".join(filter(None, [*parts, _cost(report)]))


def _model(report: Mapping[str, Any]) -> str:
    training, start = report.get("pretrain"), report.get("started_from")
    methods = "".join(f", then {name}" for name in report["posttrain"])
    if not training:
        return f"The model {entered(start)}{methods}." if start else ""
    size = f"A model of {count(training['stored_parameters'])} parameters"
    corpora = list((report.get("data") or {}).get("corpora", {}))
    source = f" of {' and '.join(corpora)}" if corpora else ""
    begun = f" from {entered(start)}" if start else ""
    return f"{size}, trained{begun} on {count(training['tokens'])} tokens{source}{methods}."


def entered(start: Mapping[str, Any]) -> str:
    """Return what people call the model that a run started from: its hub id, or the name of its folder.

    Args:
        start: ``started_from`` of a report.
    """
    return str(start["origin"] if start.get("revision") else start["label"])


def _corpus(report: Mapping[str, Any]) -> str:
    data = report.get("data")
    if not data:
        return ""
    met = sum(next((row["in"] for row in report["funnel"] if row["corpus"] == name), 0) for name in data["corpora"])
    of = f" out of {met:,} records" if met else ""
    return f"A corpus of {data['documents']:,} documents ({count(data['characters'])} characters){of}."


def _good(report: Mapping[str, Any]) -> str:
    """Say how good the last model is: its accuracy against chance and before post-training, its loss against word
    frequencies."""
    rows: Sequence[Mapping[str, Any]] = report["eval"]
    last = rows[-1]["model"] if rows else None
    said = []
    scored = [row for row in rows if row["model"] == last and row.get("chance") is not None]
    scored = [row for row in scored if row["metric"].startswith("acc")]
    if scored:  # a task's first metric is the one that its suite asks for; acc_norm and acc may be far apart
        row = scored[0]
        same = (other for other in rows if (other["task"], other["metric"]) == (row["task"], row["metric"]))
        before = next(same)
        had = f" ({before['value']:.0%} before)" if before["model"] != last else ""
        task = row["task"].replace("_", " ")
        said.append(f"{row['value']:.0%} on {task}{had}, where chance is {row['chance']:.0%}")
    held_out = [row["value"] for row in rows if row["model"] == last and (row["task"], row["metric"]) == HELD_OUT]
    trained = report.get("pretrain") or {}
    # After post-training the loss of the training is that of another model.
    loss = held_out[0] if held_out else None if report["posttrain"] else trained.get("validation_loss")
    if loss is not None:
        unigram = trained.get("unigram_loss")
        against = f", where word frequencies alone give {unigram:.2f}" if unigram is not None else ""
        said.append(f"{loss:.2f} nats per token on held-out text{against}")
    return f"It reaches {'; '.join(said)}." if said else ""


def scores(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each task of an evaluation: its first metric, which is the one that its suite asks for.

    Args:
        rows: Those of ``results.json``. Parts of a group are left out, and what is more than :data:`MOST_SCORES`.
    """
    first = {str(row["task"]): row for row in reversed(rows) if row.get("value") is not None}
    groups = tuple(f"{task}_" for task, row in first.items() if row.get("aggregated"))
    shown = [row for task, row in reversed(first.items()) if row.get("aggregated") or not task.startswith(groups)]
    lines = [_score(row) for row in shown[:MOST_SCORES]]
    return lines + ([f"and {len(shown) - MOST_SCORES} more"] if len(shown) > MOST_SCORES else [])


def _score(row: Mapping[str, Any]) -> str:
    share = is_share(str(row["metric"]), row["value"])

    def said(value: float) -> str:
        return f"{100 * value:.1f}" if share else f"{value:.4g}"

    low, high, chance, items = (row.get(key) for key in ("low", "high", "chance", "n"))
    parts = [
        f"{row['task']} {said(row['value'])}{' %' if share else ''} {row['metric']}",
        f"95 %: {said(low)} to {said(high)}" if low is not None and high is not None else "",
        f"chance {said(chance)}" if chance is not None else "",
        f"{items:,} {row.get('n_of', 'items')}" if items is not None else "",
    ]
    return ", ".join(filter(None, parts))


def _cost(report: Mapping[str, Any]) -> str:
    """Say what the parts cost when they were made, also where this run reused them."""
    made = sum(row.get("seconds_when_made", row["seconds"]) for row in report["stages"])
    peak = max((row.get("peak_memory_bytes", 0) for row in report["stages"]), default=0)
    memory = f" and {peak / 2**30:.1f} GiB of memory" if peak else ""
    return f"It took {duration(made)}{memory}."


def duration(seconds: float) -> str:
    """Return seconds as people say them: ``12.3 s``, ``4.5 min``, ``1.25 h``."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.2f} h"


def decimals(values: Iterable[Any], digits: int = 3) -> int:
    """Return the decimals with which the median of the values' magnitudes has so many digits."""
    sizes = sorted(abs(value) for value in values if isinstance(value, float) and math.isfinite(value) and value)
    if not sizes:
        return 0
    middle = sizes[len(sizes) // 2]
    return min(MOST_DECIMALS, max(0, digits - 1 - math.floor(math.log10(middle))))


def count(value: float) -> str:
    """Return a count as people say it: ``1.07 M``."""
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2f} {unit}"
    return f"{value:,.0f}"
