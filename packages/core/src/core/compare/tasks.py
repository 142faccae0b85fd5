"""Scores of the sides task by task: differences on the items that all have, and whether they are more than chance."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from core.compare import samples, statistics
from core.compare.samples import Items
from core.compare.sides import Score, Side
from core.errors import ArtifactError, InputError

FOLLOWS = ("perplexity", "bits_per_byte")
"""Measures of held-out text that say again what ``nats_per_token`` says."""
PROTOCOL = {
    "shots": lambda score: score.row.get("num_fewshot"),
    "engine": lambda score: _named(score.row.get("engine")),
    "harness": lambda score: _named(score.row.get("harness")),
    "chat template": lambda score: score.settings.get("apply_chat_template"),
}
"""What must be equal where scores are compared."""


@dataclasses.dataclass
class _Found:
    """One task and metric of all sides."""

    task: str
    metric: str
    scores: list[Score | None]
    items: list[Items | None]
    follows: bool
    """Whether it says again what another row of the table says."""
    notes: list[str] = dataclasses.field(default_factory=list)


def rows(sides: Sequence[Side], names: Sequence[str], baseline: int) -> list[dict[str, Any]]:
    """Return the rows ``tasks`` of ``compare.json``: what at least two sides were measured on.

    Every side is tested against the baseline on the items that all sides with samples have; the p-values are adjusted
    over all tests (Holm).

    Args:
        sides: At least two.
        names: Of the sides.
        baseline: Place of the side that the others are compared with.

    Raises:
        core.errors.UserError: a side shares no task, or no item, with the baseline; damaged samples.
    """
    found = list(_found(sides))
    _check_shared(sides, baseline, found)
    met: set[int] = set()
    strangers: dict[int, list[str]] = {}
    made = [_row(one, names, baseline, met, strangers) for one in found]
    for place, tasks in strangers.items():
        if place not in met:
            raise InputError(
                f"{sides[place].argument}: no item in common with {sides[baseline].argument}: the questions of "
                f"{', '.join(dict.fromkeys(tasks))} are others. Evaluate both on the same tasks and held-out text."
            )
    pairs = [pair for row in made for pair in row["pairs"]]
    for pair, p in zip(pairs, statistics.holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_adjusted"] = p
    return made


def _found(sides: Sequence[Side]) -> list[_Found]:
    keys = dict.fromkeys(key for side in sides for key in side.scores)
    found = []
    in_groups: set[tuple[str, str]] = set()
    for task, metric in keys:
        scores = [side.scores.get((task, metric)) for side in sides]
        if not _in_table(sides, task, metric):
            continue
        follows = metric in FOLLOWS and _in_table(sides, task, samples.PER_TOKEN)
        items = [
            None if follows else _items(side, task, metric, score) for side, score in zip(sides, scores, strict=True)
        ]
        one = _Found(task=task, metric=metric, scores=scores, items=items, follows=follows)
        members = {key[0] for known in items if known is not None for key in known.values} - {task}
        if members:
            one.notes.append(f"the items of its {len(members)} tasks together")
            in_groups |= {(member, metric) for member in members}
        found.append(one)
    return [one for one in found if (one.task, one.metric) not in in_groups]


def _in_table(sides: Sequence[Side], task: str, metric: str) -> bool:
    return sum((task, metric) in side.scores for side in sides) >= 2


def _items(side: Side, task: str, metric: str, score: Score | None) -> Items | None:
    if score is None or score.artifact is None:
        return None
    try:
        return samples.read(score.artifact).of(task, metric, score.row["value"])
    except ArtifactError as error:
        raise InputError(f"{side.argument}: {error}") from error


def _check_shared(sides: Sequence[Side], baseline: int, found: Sequence[_Found]) -> None:
    for place, side in enumerate(sides):
        if place != baseline and not any(one.scores[place] and one.scores[baseline] for one in found):
            own, others = ({task for task, _ in one.scores} for one in (side, sides[baseline]))
            raise InputError(
                f"{side.argument}: no task in common with {sides[baseline].argument}: {', '.join(sorted(own))} and "
                f"{', '.join(sorted(others))}. Evaluate both with the same eval.tasks."
            )


def _row(
    one: _Found, names: Sequence[str], baseline: int, met: set[int], strangers: dict[int, list[str]]
) -> dict[str, Any]:
    items = list(one.items)
    if any(known is not None and not known.hashed() for known in items):
        items = [known and known.by_id() for known in items]
        one.notes.append("items are known by their ids alone: an evaluation kept no hash of the questions")
    base = items[baseline]
    for place, known in enumerate(items):
        if place == baseline or known is None or base is None:
            continue
        if known.values.keys().isdisjoint(base.values):
            items[place] = None
            strangers.setdefault(place, []).append(one.task)
            one.notes.append(f"{names[place]} was asked other questions: not compared")
        else:
            met.add(place)
    held = [known for known in items if known is not None]
    common = sorted(set.intersection(*(set(known.values) for known in held))) if held else []
    paired = base is not None and len(held) > 1 and len(common) > 1
    pairs = []
    values = [_finite(score) for score in one.scores]
    if lost := [names[place] for place, score in enumerate(one.scores) if score and values[place] is None]:
        one.notes.append(f"{', '.join(lost)}: not a number")
    left_out: list[int | None] = [None] * len(items)
    if paired:
        assert base is not None
        for place, known in enumerate(items):
            if known is None:
                continue
            values[place], left_out[place] = known.mean(common), len(known.values) - len(common)
            if place != baseline:
                pairs.append(_pair(names[baseline], names[place], base, known, common))
        if 2.0 ** (1 - len(common)) > statistics.ALPHA:  # neither of both tests can give less
            one.notes.append(f"{len(common)} items are too few for a p below {statistics.ALPHA:g}, whatever they show")
        if any(left_out):
            said = ", ".join(f"{names[place]} {count:,}" for place, count in enumerate(left_out) if count)
            one.notes.append(f"left out, since not all sides have them: {said}")
    elif one.follows:
        one.notes.append(f"not tested: it follows from {samples.PER_TOKEN}")
    else:
        one.notes.append("unpaired, for lack of samples of the same items: values with their standard errors")
    shown = [score for score in one.scores if score is not None]
    for what, of in PROTOCOL.items():
        ways = list(dict.fromkeys(str(value) for score in shown if (value := of(score)) is not None))
        if len(ways) > 1:
            one.notes.append(f"{what} differ{'s' if what != 'shots' else ''}: {', '.join(ways)}")
    return {
        "task": one.task,
        "metric": one.metric,
        "higher_is_better": bool(shown[0].row.get("higher_is_better", True)),
        "items": len(common) if paired else None,
        "left_out": left_out,
        "values": values,
        "stderrs": [_finite(score, "stderr") for score in one.scores],
        "pairs": pairs,
        "note": "; ".join(one.notes),
    }


def _finite(score: Score | None, key: str = "value") -> float | None:
    value = None if score is None else score.row.get(key)
    return value if value is not None and math.isfinite(value) else None


def _pair(first: str, second: str, base: Items, other: Items, common: Sequence[samples.Key]) -> dict[str, Any]:
    a, b = ([known.values[key] for key in common] for known in (base, other))
    if base.weights is None:
        compared = statistics.of_items(a, b)
    else:
        differences = [two - one for one, two in zip(a, b, strict=True)]
        compared = statistics.of_differences(differences, [base.weights[key] for key in common])
    return {"a": first, "b": second, **dataclasses.asdict(compared)}


def _named(made: Any) -> str | None:
    return " ".join(str(made[key]) for key in ("name", "version", "dtype") if key in made) if made else None
