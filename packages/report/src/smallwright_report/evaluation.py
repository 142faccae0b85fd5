"""How good the models are: a dot for each task against chance, the table behind it, and single answers."""

import math
import os
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any
from urllib.parse import quote

from core import alignment
from core.headline import is_share

from smallwright_report import charts, numbers, sureness

WIDTH = NormalDist().inv_cdf(0.975)
"""Standard errors on either side of a 95 % interval."""
TESTED = "p (exact binomial)"
CLEANED = "decontaminated"


def blocks(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of the section."""
    rows = report["eval"]
    if not rows:
        return []
    shares = [row for row in rows if _is_share(row)]
    others = [row for row in rows if not _is_share(row)]
    made: list[dict[str, Any]] = []
    if shares:
        made.append({"kind": "charts", "charts": [_dots(shares, _tasks(shares)), *_grids(rows)]})
    if others:
        made.append({"kind": "table", "table": _held_out(others), "folded": ""})
    engines = sorted({f"{row['engine']['name']} {row['engine']['version']}" for row in rows if row.get("engine")})
    if engines:
        made.append({"kind": "text", "text": f"Measured with {', '.join(engines)}.", "mood": "muted"})
    made += sureness.notes(rows)
    made += [sureness.parity(found) for found in report["samples"].get("parity", ())]
    return [*made, *_changes(rows), *_items(report["samples"]["items"]), *_files(report)]


def _grids(rows: Sequence[Mapping[str, Any]]) -> list[charts.Chart]:
    """Return a heat map of each score that has a grid: a needle by length and depth."""
    made = []
    for row in rows:
        grid = row.get("grid")
        if not grid or not grid["cells"]:
            continue
        title = f"{row['task']}, {row['model']}"
        found = sum(cell[2] for cell in grid["cells"]) / len(grid["cells"])
        about = f"Share right by {grid['across']} and {grid['down']}; over all places {found:.0%}."
        columns = [grid["across"], grid["down"], "right ↑"]
        table = numbers.table(columns, grid["cells"], f"{title}: share right by place.", {"right ↑": "percent"})
        made.append(charts.heat(title, about, grid["cells"], grid["across"], grid["down"], table))
    return made


def _is_share(row: Mapping[str, Any]) -> bool:
    return is_share(row["metric"], row["value"])


def _half(row: Mapping[str, Any]) -> float:
    return WIDTH * (row.get("stderr") or 0.0)


def _tasks(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = ["task", "metric", "model", "right ↑", "95 % interval", "chance", TESTED, "items", "cut items", CLEANED]
    shown = [
        [
            row["task"],
            row["metric"],
            row["model"],
            row["value"],
            sureness.interval(row),
            row.get("chance"),
            row.get("p_value"),
            row.get("n"),
            row.get("cut_items"),
            sureness.cleaned(row),
        ]
        for row in rows
    ]
    formats: dict[str, str | int] = {"right ↑": "percent", "chance": "percent", "95 % interval": "right", TESTED: "p"}
    return numbers.table(columns, shown, "Tasks: share of items that were right.", formats)


def _held_out(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = ["measure", "of", "model", "value", "± 95 %", "uniform guess", "tokens or items"]
    shown = [
        [
            f"{row['metric'].replace('_', ' ')} {'↑' if row.get('higher_is_better', True) else '↓'}",
            row["task"],
            row["model"],
            float(row["value"]),
            _half(row) if row.get("stderr") is not None else None,
            row.get("chance"),
            row.get("n"),
        ]
        for row in rows
    ]
    return numbers.table(columns, shown, "Other measures; the arrow points to better.")


def _dots(rows: Sequence[Mapping[str, Any]], table: dict[str, Any]) -> charts.Chart:
    """Return the chart of each task's first metric, its others are in the table."""
    first = {(row["model"], row["task"]): row for row in reversed(rows)}
    shown = [row for row in rows if first[row["model"], row["task"]] is row]
    prefix = common([row["task"] for row in shown])
    values = [
        {
            "task": row["task"].removeprefix(prefix).replace("_", " "),
            "model": row["model"],
            "value": row["value"],
            "low": low,
            "high": high,
            "chance": row.get("chance"),
        }
        for row in shown
        for low, high in [sureness.bounds(row) or (row["value"], row["value"])]
    ]
    about = "Share of items that were right, with its 95 % interval; the grey mark is chance."
    return charts.dots("Tasks", about, values, table)


def common(tasks: Sequence[str]) -> str:
    """Return the word that the names of several tasks all begin with, such as that of their package."""
    word = tasks[0].partition("_")[0] + "_"
    return word if len(set(tasks)) > 1 and all(task.startswith(word) for task in tasks) else ""


def _changes(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    changes = alignment.changes(rows)
    if not changes:
        return []
    better = {(row["task"], row["metric"]): row.get("higher_is_better", True) for row in rows}
    first, last = alignment.models(rows) or ("", "")
    errors = {(row["model"], row["task"], row["metric"]): row.get("stderr") for row in rows}
    shown = []
    for task, metric, old, new in changes:
        word = "same" if new == old else "better" if (new > old) == better[task, metric] else "worse"
        arrow = {"same": "=", "better": "▲", "worse": "▼"}[word]
        both = [errors.get((model, task, metric)) for model in (first, last)]
        known = [error for error in both if error is not None]
        unsure = word != "same" and len(known) == 2 and abs(new - old) <= WIDTH * math.hypot(*known)
        said = f"{arrow} {word}, within the error" if unsure else f"{arrow} {word}"
        shown.append([task, metric, float(old), float(new), float(new - old), said])
    columns = ["task", "metric", first, last, "change", ""]
    about = f"From {first} to {last}. Within the error: so large a change comes by chance, as far as two intervals say."
    table = numbers.table(columns, shown, f"{about} core.compare tests it on the same items.")
    return [
        {"kind": "title", "text": "Before and after post-training"},
        {"kind": "table", "table": table, "folded": ""},
    ]


def _items(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for task in tasks:
        for side in ("wrong", "right"):
            items = [_item(item) for item in task[side]]
            if items:
                text = f"{task['task']}, {task['model']}: {len(items)} that were {side}"
                made.append({"kind": "items", "text": text, "shown": items})
    return [{"kind": "title", "text": "Single answers"}, *made] if made else []


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    texts = item.get("choices") or [f"choice {i + 1}" for i in range(len(item.get("loglikelihoods", ())))]
    choices = []
    chances = item.get("loglikelihoods") or ()
    for i, text in enumerate(texts):
        right, chosen = i == item.get("label"), i == item.get("chosen")
        marks = [word for word, holds in (("right", right), ("the model's", chosen)) if holds]
        notes = [*marks, f"{chances[i]:.2f}"] if i < len(chances) else marks
        mood = "bad" if chosen and not right and item.get("label") is not None else "good" if marks else ""
        choices.append({"text": text, "notes": ", ".join(notes), "mood": mood})
    question = item.get("question") or f"item {item.get('id')}"
    said = item.get("answers", [])
    rest = []
    if said:
        taken = ", ".join(dict.fromkeys(map(str, item.get("extracted", ()))))
        rest.append(f"taken from it: {taken or 'nothing'}; right: {item.get('gold', 'not known')}")
    if item.get("cut"):
        rest.append("the prompt is longer than the model reads, and was cut from its left")
    return {"question": question, "choices": choices, "answers": said, "rest": rest}


def _files(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Link the files with all items."""
    made = report.get("made") or {}
    blocks: list[dict[str, Any]] = []
    for file in report["samples"].get("files", ()):
        place = os.path.join(made.get("store", ""), file["path"])
        artifact = os.path.dirname(place)
        link = quote(os.path.relpath(place, made["directory"]) if made.get("directory") else place)
        command = f"python -m core.inspect {artifact} --wrong"
        blocks.append({"kind": "link", "text": f"All items of {file['model']}", "link": link, "command": command})
    return blocks
