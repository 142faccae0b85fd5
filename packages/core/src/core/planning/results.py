"""What the scores of trained shapes show: how depth, width and expansion go with them."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.planning.correlation import spearman

FACTORS = ("depth", "width", "expansion")
FEWEST = 4
"""Rows with a score below which a correlation says nothing."""


def correlations(path: Path) -> dict[str, Any]:
    """Return Spearman's correlation of depth, width and expansion with the score, over the rows of a file.

    Args:
        path: CSV with a head, or JSON: a list of objects, or the output of ``--grid --json`` with ``score`` added to
            its rows. Rows without a score are left out.

    Raises:
        InputError: the file cannot be read, lacks a column, or has too few rows.
    """
    rows = [row for row in _read(path) if row.get("score") not in (None, "")]
    if len(rows) < FEWEST:
        raise InputError(
            f"--results {path}: {len(rows)} rows with a score; give at least {FEWEST}, with the columns "
            f"{', '.join(FACTORS)}, score."
        )
    columns = {name: [_number(row, name, path) for row in rows] for name in (*FACTORS, "score")}
    return {
        "rows": len(rows),
        "spearman": {name: spearman(columns[name], columns["score"]) for name in FACTORS},
    }


def render(result: Mapping[str, Any]) -> str:
    """Show the correlations on a terminal, beside the published ones."""
    published = {"depth": "0.528", "width": "-0.528", "expansion": "about 0"}
    lines = [
        f"Spearman's correlation with the score, {result['rows']} shapes",
        "",
        f"{'':10} {'here':>7}   PanGu-pi Pro (1B parameters, about 30 shapes)",
    ]
    for name, value in result["spearman"].items():
        lines.append(f"{name:10} {'-' if value is None else format(value, '.3f'):>7}   {published[name]}")
    if None in result["spearman"].values():
        lines.append("-: the same in all rows, or all scores are the same.")
    return "\n".join(lines)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip().startswith(("[", "{")):
            value = json.loads(text)
            rows = value.get("rows") if isinstance(value, dict) else value
        else:
            rows = list(csv.DictReader(text.splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--results {path}: cannot be read ({reason}). Give CSV with a head, or JSON.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"--results {path}: expected rows with the columns {', '.join(FACTORS)}, score.")
    return rows


def _number(row: Mapping[str, Any], name: str, path: Path) -> float:
    if name not in row:
        raise InputError(f"--results {path}: no column {name!r}. Needed: {', '.join(FACTORS)}, score.")
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"--results {path}: {name}={row[name]!r} is no number.")
    return value
