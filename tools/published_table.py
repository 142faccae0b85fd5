"""Set an evaluation beside the scores that were published of the same model, as a Markdown table.

    python tools/published_table.py store/eval/<artifact> [...] --model SmolLM2-135M-Instruct
    python tools/published_table.py store/eval/<artifact> --model SmolLM2-135M-Instruct --points 1

A score is near where it lies within two standard errors and ``--points`` of the published one. Several artifacts of one
model are put together; of a task that two have, the later counts. Tasks that were not asked are named.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import cli, discovery
from core.compare import published
from core.compare.published import Published
from core.errors import InputError

Key = tuple[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+", type=Path)
    parser.add_argument("--model", required=True, help="its name in the published scores")
    parser.add_argument("--points", type=float, default=0.0, help="allowed beside two standard errors, in per cent")
    options = parser.parse_args(arguments)
    scores, _ = published.load(discovery.load())
    chosen = [score for score in scores if score.model == options.model]
    if not chosen:
        raise InputError(f"--model {options.model}: no such model. There are: {', '.join({s.model for s in scores})}.")
    print("\n".join(table(chosen, rows_of(options.artifacts), options.points)))
    return 0


def rows_of(artifacts: Sequence[Path]) -> dict[Key, Mapping[str, Any]]:
    """Return the rows of ``results.json`` by task and metric.

    Raises:
        InputError: no evaluation there.
    """
    found: dict[Key, Mapping[str, Any]] = {}
    for artifact in artifacts:
        try:
            rows = json.loads((artifact / "results.json").read_text(encoding="utf-8"))["eval"]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{artifact}: no results.json of an evaluation ({error}).") from error
        found |= {(row["task"], row["metric"]): row for row in rows}
    return found


def table(scores: Sequence[Published], rows: Mapping[Key, Mapping[str, Any]], points: float) -> list[str]:
    """Return the lines of the table, one for each published score; per cent.

    Args:
        points: Allowed beside two standard errors.
    """
    lines = ["| published task | published | ours | items | two standard errors | |", "|---|---|---|---|---|---|"]
    for score in scores:
        measured = [rows[key] for key in score.ours if key in rows]
        parts = [row for key in score.ours if key not in rows for row in _parts(key, rows)]
        if not measured and not parts:
            why = "not asked" if score.ours else "no task of ours"
            lines.append(f"| {score.task} | {score.value:g} | | | | {why} |")
            continue
        told = [*measured, *parts]
        items = " and ".join(dict.fromkeys(f"{row['n']:,}" for row in told))
        value = 100 * sum(row["value"] for row in told) / len(told)
        error = 100 * _error(told)
        if len(measured) < len(score.ours):
            said = f"of {len(told)} parts alone" if parts else f"of {' and '.join(row['task'] for row in told)} alone"
        else:
            apart = abs(value - score.value)
            near = apart <= 2 * error + points
            said = f"{'near' if near else 'apart'}, {apart:.1f}"
        lines.append(f"| {score.task} | {score.value:g} | {value:.1f} | {items} | {2 * error:.1f} | {said} |")
    return lines


def _parts(key: Key, rows: Mapping[Key, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the members of a group that were asked alone."""
    task, metric = key
    return [row for (name, other), row in rows.items() if name.startswith(f"{task}_") and other == metric]


def _error(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the standard error of the mean of scores; those of one task are of the same items, and move alike.

    A score without an error has the largest of its task's others.
    """
    by_task: dict[str, list[float | None]] = {}
    for row in rows:
        by_task.setdefault(row["task"], []).append(row["stderr_clustered"] or row["stderr"] or None)
    sums = []
    for errors in by_task.values():
        largest = max((error for error in errors if error is not None), default=0.0)
        sums.append(sum(largest if error is None else error for error in errors))
    return math.sqrt(sum(total**2 for total in sums)) / len(rows)


if __name__ == "__main__":
    sys.exit(main())
