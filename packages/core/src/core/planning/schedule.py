"""What a plan says of the stages of a training: steps, tokens, batches, and the learning rate at both ends."""

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("stage", "steps", "tokens", "seq_len", "batch", "RoPE theta", "rate from", "to")


def render(estimate: Mapping[str, Any]) -> list[str]:
    """Return the lines for a terminal.

    Args:
        estimate: What :meth:`core.interfaces.Trainer.plan` returned, of which it needs none: ``schedule``, a text;
            ``notes``, lines; ``stages``, each with ``name``, ``first_step``, ``last_step``, ``tokens``, ``seq_len``,
            ``sequences`` (of a step), ``rope_theta``, ``first_rate`` and ``last_rate``.
    """
    lines = [f"  schedule           {estimate['schedule']}"] if estimate.get("schedule") else []
    stages = estimate.get("stages") or ()
    if len(stages) > 1:
        lines += ["stages", *_table([HEAD, *map(_row, stages)])]
    return [*lines, *(f"  note: {note}" for note in estimate.get("notes") or ())]


def _row(stage: Mapping[str, Any]) -> tuple[str, ...]:
    theta = stage["rope_theta"]
    return (
        str(stage["name"]),
        f"{stage['first_step']:,}-{stage['last_step']:,}",
        f"{stage['tokens']:,}",
        f"{stage['seq_len']:,}",
        f"{stage['sequences']:,}",
        "" if theta is None else f"{theta:,.10g}",
        f"{stage['first_rate']:.3g}",
        f"{stage['last_rate']:.3g}",
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(["", first.ljust(widths[0]), *cells]))
    return lines
