"""The page of a sweep, from its ``sweep.json`` alone."""

import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from core.headline import duration

from smallwright_report import measures, numbers, page, sweep_charts
from smallwright_report.measures import Measures

NAME = "sweep.html"
MOST_CHOICES = 8
"""Measures that a reader can choose for the pictures."""
MOST_CELLS = 25_000
"""Numbers of metrics in the table: a page with more takes long to open. ``sweep.parquet`` has them all."""


def render(data: Mapping[str, Any]) -> str:
    """Return the whole page."""
    found = Measures(data)
    choices = found.varying()[:MOST_CHOICES]
    charts = sweep_charts.by_key(data, choices)
    values = {
        "title": data["name"],
        "headline": headline(data),
        "charts": charts,
        "choices": list(map(measures.label, choices)),
        "runs": _runs(data, found),
        "failures": _failures(data),
        "constant": _constant(data, found),
        "command": data["command"],
        "facts": _facts(data),
        "sorting": page.asset("sort.js"),
    }
    return page.fill("sweep.html", values, charts=bool(charts))


def headline(data: Mapping[str, Any]) -> str:
    """Return what a reader needs first: how many runs of what, and which is the best."""
    rows, keys = data["runs"], data["keys"]
    differ = f" that differ in {_listed(keys)}" if keys else ""
    counts = Counter(row["status"] for row in rows)
    ended = (
        "all finished" if counts["finished"] == len(rows) else _listed([f"{counts[word]:,} {word}" for word in counts])
    )
    said = f"{len(rows):,} run{'' if len(rows) == 1 else 's'}{differ}: {ended}."
    metric = Measures(data).main
    ranked = measures.ranked(rows, metric) if metric is not None else []
    if metric is None or not ranked:
        return said
    best, last = ranked[0], ranked[-1]
    first, other = (measures.written(metric, row["metrics"][metric]) for row in (best, last))
    if len(ranked) == 1 or first == other:
        return f"{said} {metric} is {first}{' in all' if len(ranked) > 1 else ''}."
    word = {"lower": "Lowest", "higher": "Highest", "": "Lowest"}[measures.better(metric)]
    end = {"Lowest": "the highest is", "Highest": "the lowest is"}[word]
    made_with = measures.settings(best, keys) or f"run {best['number']}"
    return f"{said} {word} {metric}: {first} with {made_with}; {end} {other}."


def _runs(data: Mapping[str, Any], found: Measures) -> dict[str, Any]:
    """Return the table of runs: a column for each key and each metric that differs."""
    rows, keys = data["runs"], data["keys"]
    metrics = found.varying()
    most = max(1, MOST_CELLS // max(1, len(rows)))
    shown, left = metrics[:most], metrics[most:]
    ended = any(row["status"] != "finished" for row in rows)
    columns = [*keys, *(["status"] if ended else []), *map(measures.label, shown), "seconds"]
    kinds = {name: measures.form(name, measures.values(rows, name)) for name in shown}
    formats: dict[str, str | int] = {measures.label(name): kind for name, kind in kinds.items() if kind}
    formats |= {key: "right" for key in keys if _are_numbers(rows, key)}
    cells = [
        [
            *(row["values"].get(key, "") for key in keys),
            *([row["status"]] if ended else []),
            *(measures.value(row, name) for name in shown),
            row["seconds"],
        ]
        for row in rows
    ]
    table = numbers.table(columns, cells, "", formats)
    ranked = measures.ranked(rows, found.main) if found.main is not None else []
    lines = [
        {
            "number": row["number"],
            "link": _link(row),
            "best": row in ranked[:1],
            "cells": made,
        }
        for row, made in zip(rows, table["rows"], strict=True)
    ]
    return {**table, "rows": lines, "left": left}


def _failures(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return why runs failed: a row for each reason, the most frequent first."""
    reasons: dict[str, list[Mapping[str, Any]]] = {}
    for row in data["runs"]:
        if row["error"]:
            reasons.setdefault(row["error"], []).append(row)
    if not reasons:
        return None
    most = sorted(reasons.items(), key=lambda found: -len(found[1]))
    cells = [[reason, len(rows), _some(rows, data["keys"])] for reason, rows in most]
    return numbers.table(["reason", "runs", "which"], cells, "Runs that failed; the same command does them again.")


def _some(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    if len(rows) == 1:
        return f"{rows[0]['number']} ({measures.settings(rows[0], keys)})"
    shown = ", ".join(str(row["number"]) for row in rows[:20])
    return shown + (f" and {len(rows) - 20:,} more" if len(rows) > 20 else "")


def _link(row: Mapping[str, Any]) -> str:
    """Return where the page of a run is; nothing where it has no report."""
    return urllib.parse.quote(f"{row['directory']}/report.html") if row["headline"] is not None else ""


def _are_numbers(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    try:
        return bool([float(row["values"][key]) for row in rows if row["values"].get(key) is not None])
    except ValueError:
        return False


def _constant(data: Mapping[str, Any], found: Measures) -> list[tuple[str, str]]:
    """Return the metrics that are the same in all runs."""
    names = [name for name in found.constant if name != found.main]
    return [(name, measures.written(name, measures.values(data["runs"], name)[0])) for name in names]


def _facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("begun", _time(data["started"])),
        ("ended", _time(data["ended"])),
        ("work", duration(data["seconds"]) if data.get("seconds") else ""),
        ("store", data["store"]),
        ("folder", data["directory"]),
    ]
    return [(name, text) for name, text in rows if text]


def _time(text: str | None) -> str:
    return (text or "").replace("T", " ").replace("+00:00", " UTC").replace("Z", " UTC")


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""]))
