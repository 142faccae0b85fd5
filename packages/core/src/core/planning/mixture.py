"""What a plan says of the text that a training reads: shares of the corpora, and how often each is read."""

from collections.abc import Mapping
from typing import Any


def render(read: Mapping[str, Any] | None, policy: str | None = None) -> list[str]:
    """Return the lines for a terminal.

    Args:
        read: What :meth:`core.interfaces.Trainer.reads` returned.
        policy: Name of what changes the mixture on the way; None: nothing does.
    """
    if read is None:
        return []
    lines = []
    mixed = [stage for stage in read["stages"] if len(read["stages"]) > 1 or len(stage["sources"]) > 1]
    for stage in mixed:
        name = f"{stage['name']}: " if len(read["stages"]) > 1 else ""
        lines.append(f"mixture              {name}{stage['tokens']:,} tokens")
        drawn = stage.get("drawn", False)
        lines += [f"  {name:19}{_source(row, drawn)}" for name, row in stage["sources"].items()]
    if policy is not None:
        lines.append(f"policy               {policy} changes what is read on the way; what is said here is without it")
    if read["corpora"]:
        lines.append("epochs               how often each corpus is read")
        lines += [
            f"  {label:19}{row['epochs']:.3f}: {row['tokens']:,} tokens out of {row['size']:,}"
            for label, row in read["corpora"].items()
        ]
    if read["unknown"]:
        of = f" of {', '.join(read['unknown'])}" if read["unknown"] != ["corpus"] else ""
        lines.append(f"epochs               unknown until the tokens{of} are made")
    return [*lines, *(f"  note: {note}" for note in read["notes"])]


def _source(row: Mapping[str, Any], drawn: bool) -> str:
    by_size = "as its windows are drawn, in the shares so far" if drawn else "in proportion to its tokens"
    declared = by_size if row["declared"] is None else _percent(row["declared"])
    tokens = "" if row["tokens"] is None else f": {row['tokens']:,} tokens"
    realised = "" if row["realised"] is None else f", {_percent(row['realised'])}"
    return declared + tokens + realised


def _percent(share: float) -> str:
    return f"{100 * share:.6g} %"
