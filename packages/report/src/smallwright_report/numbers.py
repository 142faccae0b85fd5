"""How numbers are written: one format for all of a column, chosen from its values."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.headline import count, decimals, duration

__all__ = ["count", "decimals", "duration", "memory", "number", "p_value", "percent", "table"]


def number(value: Any) -> str:
    """Return one number that stands alone; None is nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def memory(size: float | None) -> str:
    """Return bytes in GiB."""
    return "" if size is None else f"{size / 2**30:.2f} GiB"


def percent(share: float | None) -> str:
    """Return a share as per cent."""
    return "" if share is None else f"{100 * share:.1f} %"


def p_value(value: float | None) -> str:
    """Return a p-value as papers write it."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    caption: str = "",
    formats: Mapping[str, str | int] | None = None,
) -> dict[str, Any]:
    """Return a table for the templates: every number of a column is written with the same decimals.

    Args:
        columns: Names of the columns.
        rows: Values: numbers, text, or None for an empty cell.
        caption: Read out before the table.
        formats: Of single columns: ``percent``, ``memory``, ``p``, a number of decimals, or ``right`` for text that
            stands as numbers do; others are chosen from the values.
    """
    kinds = [(formats or {}).get(name) for name in columns]
    cells = [_column(kind, [row[i] for row in rows]) for i, kind in enumerate(kinds)]
    numeric = [kinds[i] == "right" or any(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    return {
        "columns": [{"name": name, "numeric": right} for name, right in zip(columns, numeric, strict=True)],
        "rows": [list(row) for row in zip(*cells, strict=True)],
        "caption": caption,
    }


def _column(kind: str | int | None, values: list[Any]) -> list[str]:
    if kind == "percent":
        return [percent(value) for value in values]
    if kind == "p":
        return [p_value(value) for value in values]
    if kind == "memory":
        return ["" if value is None else f"{value / 2**30:.2f}" for value in values]
    places = kind if isinstance(kind, int) else decimals(values)
    if any(isinstance(value, float) for value in values):
        return [f"{value:,.{places}f}" if _is_number(value) else number(value) for value in values]
    return [number(value) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
