"""The page of ``core.compare``: differences with their intervals, losses over each other, settings, costs, others."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.compare.build import verdict
from core.compare.text import is_share, notes, scale_of

from smallwright_report import charts, compare_charts, evaluation, numbers, page

ARROWS = {"better": "▲ better", "worse": "▼ worse", "not significant": "not significant"}
LIMITS = ("difference", "low", "high")
TABLE_ROWS = 10
"""Rows of each side in the table behind curves, evenly spread."""


def render(found: Mapping[str, Any]) -> str:
    """Return the page of a ``compare.json``."""
    sections: list[dict[str, Any]] = [
        {"anchor": anchor, "name": name, "blocks": blocks} for anchor, name, make in SECTIONS if (blocks := make(found))
    ]
    names = [side["name"] for side in found["sides"]]
    values = {
        "title": f"{names[0]} and {names[1]}" if len(names) == 2 else f"{len(names)} sides against {found['baseline']}",
        "headline": found["sentence"],
        "contents": [(section["anchor"], section["name"]) for section in sections],
        "sections": sections,
    }
    drawn = any(block.get("charts") for section in sections for block in section["blocks"])
    return page.fill("compare.html", values, charts=drawn)


def _scores(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    tested = [row for row in found["tasks"] if row["pairs"]]
    kinds = dict.fromkeys(_kind(row) for row in tested)
    drawn = [_forest(kind, [row for row in tested if _kind(row) == kind], found) for kind in kinds]
    made: list[dict[str, Any]] = [{"kind": "charts", "charts": drawn}] if drawn else []
    made.append({"kind": "title", "text": "Scores"})
    names = [side["name"] for side in found["sides"]]
    rows = [[row["task"], _measure(row), row["items"], *_values(row)] for row in found["tasks"]]
    columns = ["task", "measure", "items of all", *names]
    caption = "Scores on the items that all sides have; where nothing was tested, with their standard errors."
    table = numbers.table(columns, rows, caption, dict.fromkeys(names, "right"))
    return [*made, {"kind": "table", "table": table, "folded": ""}]


def _kind(row: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the unit of a row's differences, and whether more is better: what shares an axis."""
    return ("percentage points" if is_share(row) else row["metric"].replace("_", " "), bool(row["higher_is_better"]))


def _measure(row: Mapping[str, Any]) -> str:
    return f"{row['metric'].replace('_', ' ')} {'↑' if row['higher_is_better'] else '↓'}".replace(
        " ", "\N{NO-BREAK SPACE}"
    )


def _values(row: Mapping[str, Any]) -> list[str]:
    scale, places = scale_of(row)
    shown = []
    for value, error in zip(row["values"], row["stderrs"], strict=True):
        wide = f" ± {scale * error:.{places}f}" if error is not None and not row["pairs"] else ""
        unit = " %" if is_share(row) else ""
        shown.append("" if value is None else f"{scale * value:.{places}f}{wide}{unit}")
    return shown


def _forest(kind: tuple[str, bool], rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> charts.Chart:
    unit, more_is_better = kind
    scale = 100 if unit == "percentage points" else 1
    prefix = evaluation.common([row["task"] for row in rows])
    shown = [
        {
            "what": f"{row['task'].removeprefix(prefix)}, {row['metric']}".replace("_", " "),
            "side": pair["b"],
            **{key: scale * pair[key] for key in LIMITS},
            "p": pair["p_adjusted"],
            "verdict": verdict(row, pair),
        }
        for row in rows
        for pair in row["pairs"]
    ]
    better = "right" if more_is_better else "left"
    title = "Differences" if unit == "percentage points" else f"Differences of {unit}"
    about = (
        f"Difference of each side from {found['baseline']} on the same items, in {unit}, with its 95 % interval; "
        f"better is to the {better} of zero. A full point is significant after Holm's correction, a hollow one is not."
    )
    columns = ["measure", "side", "difference", "95 % from", "95 % to", "p", "p (Holm)", "verdict", "test"]
    pairs = [pair for row in rows for pair in row["pairs"]]
    places = 1 if scale == 100 else numbers.decimals(one[key] for one in shown for key in LIMITS)
    cells = [
        [
            one["what"],
            one["side"],
            *(f"{one[key]:+.{places}f}" for key in LIMITS),
            pair["p"],
            one["p"],
            ARROWS[one["verdict"]],
            pair["test"],
        ]
        for one, pair in zip(shown, pairs, strict=True)
    ]
    formats = {"p": "p", "p (Holm)": "p", **dict.fromkeys(columns[2:5], "right")}
    table = numbers.table(columns, cells, f"Differences from {found['baseline']} in {unit}.", formats)
    return compare_charts.forest(title, about, shown, f"difference in {unit}", table)


def _losses(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    drawn, said = [], []
    for curve in found["curves"].values():
        named = {one["side"]: one["points"] for one in curve["sides"]}
        title = f"{curve['name'][:1].upper()}{curve['name'][1:]}"
        if (words := charts.in_words(title, named, curve["unit"])) is not None:
            said.append(words)
            continue
        ends = "; ".join(f"{name} ends at {points[-1][1]:.4g}" for name, points in named.items())
        rows = [[name, int(x), float(y)] for name, points in named.items() for x, y in _some(points)]
        table = numbers.table(["side", "step", curve["unit"] or "value"], rows, f"{title} by step.")
        about = f"{title} by training step: {ends}."
        drawn.append(charts.lines(title, about, named, curve["unit"], table, named=True))
    text = [{"kind": "text", "text": " ".join(said), "mood": ""}] if said else []
    return [*([{"kind": "charts", "charts": drawn}] if drawn else []), *text]


def _some(points: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    if len(points) <= TABLE_ROWS:
        return list(points)
    return [points[i * (len(points) - 1) // (TABLE_ROWS - 1)] for i in range(TABLE_ROWS)]


def _settings(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not found["differences"]:
        return [{"kind": "text", "text": "The settings are the same.", "mood": ""}]
    rows = [
        [row["key"], *("-" if value is None else str(value) for value in row["values"])] for row in found["differences"]
    ]
    columns = ["setting", *(side["name"] for side in found["sides"])]
    table = numbers.table(columns, rows, "What differs, and nothing else; - where a side has no such setting.")
    return [{"kind": "table", "table": table, "folded": ""}]


def _costs(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    def written(value: Any, form: Any) -> str:
        return "" if value is None else form(value)

    rows = [
        [
            side["name"],
            written(side["parameters"], numbers.count),
            written(side["tokens"], numbers.count),
            written(side["seconds"], numbers.duration),
            written(side["peak_memory_bytes"], numbers.memory),
        ]
        for side in found["sides"]
    ]
    columns = ["side", "parameters", "tokens trained on", "time", "peak memory"]
    caption = "Time of all stages from pages to the model when they were made, without evaluation."
    table = numbers.table(columns, rows, caption, dict.fromkeys(columns[1:], "right"))
    facts = [(side["name"], f"{side['headline']} ({side['place']})") for side in found["sides"]]
    return [{"kind": "table", "table": table, "folded": ""}, {"kind": "facts", "rows": facts}]


def _published(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not found["published"]:
        return []
    names = [side["name"] for side in found["sides"]]
    rows = [
        [
            row["task"],
            row["model"],
            f"{row['value']:g}",
            *("" if value is None else f"{value:.1f}" for value in row["ours"]),
            ". ".join(row["differences"]),
            f"{row['source']}{'; ' if row['note'] else ''}{row['note']}",
        ]
        for row in sorted(found["published"], key=lambda row: row["task"])
    ]
    columns = ["task", "model", "published", *names, "what differs in how it was measured", "source"]
    caption = "Scores that others published, in per cent, beside ours."
    right = dict.fromkeys(["published", *names], "right")
    return [{"kind": "table", "table": numbers.table(columns, rows, caption, right), "folded": ""}]


def _notes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"kind": "text", "text": note, "mood": ""} for note in notes(found)]


def _again(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"kind": "pre", "text": found["command"], "folded": ""}] if found.get("command") else []


SECTIONS = (
    ("differences", "What differs", _scores),
    ("losses", "Losses over each other", _losses),
    ("settings", "Settings that differ", _settings),
    ("cost", "What each is, and what it cost", _costs),
    ("published", "Published scores", _published),
    ("notes", "Notes", _notes),
    ("again", "To make it again", _again),
)
