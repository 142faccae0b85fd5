"""What a plan says of the text that a training reads: shares of the corpora, and how often each is read."""

from collections.abc import Mapping
from typing import Any


def render(read: Mapping[str, Any] | None) -> list[str]:
    """Return the lines for a terminal.

    Args:
        read: What :meth:`core.interfaces.Trainer.reads` returned.
    """
    if read is None:
        return []
    lines = []
    mixed = [stage for stage in read["stages"] if len(read["stages"]) > 1 or len(stage["sources"]) > 1]
    for stage in mixed:
        lines.append(f"mixture              {stage['name']}: {stage['tokens']:,} tokens")
        lines += [f"  {name:19}{_source(row)}" for name, row in stage["sources"].items()]
    if read["unknown"]:
        of = f" of {', '.join(read['unknown'])}" if read["unknown"] != ["corpus"] else ""
        lines.append(f"epochs               unknown until the tokens{of} are made")
    elif read["corpora"]:
        lines.append("epochs               how often each corpus is read")
        lines += [
            f"  {label:19}{row['epochs']:.3f}: {row['tokens']:,} tokens out of {row['size']:,}"
            for label, row in read["corpora"].items()
        ]
    return [*lines, *(f"  note: {note}" for note in read["notes"])]


def _source(row: Mapping[str, Any]) -> str:
    declared = "in proportion to its tokens" if row["declared"] is None else f"{row['declared']:.4%}"
    if row["realised"] is None:
        return declared
    return f"{declared}: {row['tokens']:,} tokens, {row['realised']:.4%}"
