"""What a plan says of the stages of a training: their steps, tokens and batches, and the learning rate at their ends."""

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("stage", "steps", "tokens", "seq_len", "batch", "RoPE theta", "rate from", "to")


def render(estimate: Mapping[str, Any]) -> list[str]:
    """Return the lines for a terminal.

    Args:
        estimate: What :meth:`core.interfaces.Trainer.plan` returned. Of ``schedule``, a text, ``notes``, and
            ``stages``, each with ``name``, ``first_step``, ``last_step``, ``tokens``, ``seq_len``, ``sequences`` (a step),
            ``rope_theta``, ``mixture``, ``first_rate`` and ``last_rate``, it can say nothing.
    """
    lines = [f"  schedule           {estimate['schedule']}"] if estimate.get("schedule") else []
    stages = estimate.get("stages") or ()
    if len(stages) > 1:
        lines += ["stages", *_table([HEAD, *map(_row, stages)])]
        lines += [f"  {stage['name']}: {_mixture(stage['mixture'])}" for stage in stages if stage["mixture"]]
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
    return [
        "  "
        + "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _mixture(mixture: Mapping[str, Any]) -> str:
    """Return a mixture as it is written on a command line, groups in braces."""
    shown = []
    for name, value in mixture.items():
        if isinstance(value, Mapping):
            inner = f" {{{_mixture(value['of'])}}}" if isinstance(value.get("of"), Mapping) else ""
            shown.append(f"{name} {value.get('share')}{inner}")
        else:
            shown.append(f"{name} {value}")
    return ", ".join(shown)
