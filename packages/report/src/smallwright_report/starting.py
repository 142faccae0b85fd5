"""The weights that an initializer made: what it kept of another model, and why."""

from collections.abc import Mapping
from typing import Any

from smallwright_report import charts, numbers

SECTIONS = {
    "layers": "Layers",
    "query_heads": "Query heads",
    "key_value_heads": "Key/value heads",
    "neurons": "Feed-forward neurons",
    "channels": "Hidden channels",
    "shortcuts": "Bottleneck channels of shortcuts",
}


def blocks(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of the section."""
    summary = report.get("init")
    if not summary:
        return []
    hidden = ("importance", "scores", "pages")
    facts = [(key.replace("_", " "), _fact(value)) for key, value in summary.items() if key not in hidden]
    made: list[dict[str, Any]] = [{"kind": "facts", "rows": facts}]
    importance = summary.get("importance") or {}
    drawn = [
        _strips(title, {key: rows for key, rows in (summary.get("scores") or {}).items() if _section(key) == section})
        for section, title in SECTIONS.items()
    ]
    found = [chart for chart in drawn if chart is not None]
    if found:
        made.append({"kind": "charts", "charts": found})
    rows = [
        [key, value.get("kept"), value.get("of"), value.get("share")]
        for key, value in importance.items()
        if isinstance(value, Mapping)
    ]
    if rows:
        columns = ["structures", "kept", "of", "share of all scores that is kept"]
        table = numbers.table(columns, rows, "What was kept.", {columns[-1]: "percent"})
        made.append({"kind": "table", "table": table, "folded": "what was kept of each structure"})
    return made


def _strips(title: str, groups: Mapping[str, Any]) -> charts.Chart | None:
    rows = [
        {"group": _label(key), "place": place, "score": score, "fate": "kept" if kept else "left out"}
        for key, scores in groups.items()
        for place, score, kept in scores
    ]
    if not rows:
        return None
    about = f"{title}: the score of each, in blue what was kept, in orange what was left out."
    table = numbers.table(
        ["group", "place", "score", "fate"],
        [[row["group"], row["place"], float(row["score"]), row["fate"]] for row in rows[:200]],
        f"{title}, the first {min(200, len(rows))}.",
    )
    return charts.strips(title, about, rows, "score", table)


def _section(key: str) -> str:
    return "shortcuts" if ".attention_shortcuts." in key else key.partition(".")[0]


def _label(key: str) -> str:
    kind, _, place = key.partition(".")
    if ".attention_shortcuts." in key:
        return f"layer {kind}, path {key.rpartition('.')[2]}"
    return "all" if not place else f"layer {place}" if place[0].isdigit() else place


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_fact(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else numbers.number(value)
