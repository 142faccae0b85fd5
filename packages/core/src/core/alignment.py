"""What post-training took from the base model, by the evaluations of both that a run's report has."""

from collections.abc import Mapping, Sequence
from typing import Any

HELD_OUT = ("validation", "nats_per_token")
MOST_LOSS = 0.15
"""Share by which the loss on held-out documents may rise before it is told as a loss."""
MOST_ACCURACY = 0.03
"""How far an accuracy may fall before it is told as a loss."""


def models(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return the names of the base and of the last model of a report's evaluation rows; None of one model."""
    names = list(dict.fromkeys(row["model"] for row in rows))
    return (names[0], names[-1]) if len(names) > 1 else None


def changes(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, float, float]]:
    """Return task, metric, and its value before and after post-training, of all that was measured of both."""
    named = models(rows)
    if named is None:
        return []
    values = {(row["model"], row["task"], row["metric"]): row["value"] for row in rows}
    first, last = named
    return [
        (task, metric, value, values[last, task, metric])
        for (model, task, metric), value in values.items()
        if model == first and (last, task, metric) in values
    ]


def losses(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for what post-training took beyond the limits of this module: knowledge of the base model."""
    lines = []
    first, last = models(rows) or ("", "")
    for task, metric, before, after in changes(rows):
        if (task, metric) == HELD_OUT and after > before * (1 + MOST_LOSS):
            what = f"loss on held-out documents {before:.3f} -> {after:.3f} nats per token ({after / before - 1:+.0%})"
        elif metric == "acc" and after < before - MOST_ACCURACY:
            what = f"{task} {before:.1%} -> {after:.1%}"
        else:
            continue
        lines.append(f"post-training cost the model what it had learned: {what}, from {first} to {last}")
    if lines:
        lines[-1] += ". Lower learning_rate or num_train_epochs of its methods."
    return lines
