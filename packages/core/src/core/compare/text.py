"""A comparison on a terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core import headline
from core.compare.build import verdict
from core.headline import count, duration

LONGEST = 48
"""Characters of a value of a setting."""
MOST_NAMES = 3
"""Sides that have columns under their names; more have them under their numbers."""


def render(found: Mapping[str, Any]) -> str:
    """Show a comparison: the sentence, the sides, scores, settings that differ, and published scores."""
    names = [side["name"] for side in found["sides"]]
    head = ["", "side", "parameters", "tokens", "time", "memory", "place"]
    heads = names if len(names) <= MOST_NAMES else [str(number) for number in range(1, len(names) + 1)]
    differing = [[row["key"], *map(_short, row["values"])] for row in found["differences"]]
    parts = [
        [found["sentence"]],
        _table([head, *(_side(number, side) for number, side in enumerate(found["sides"], 1))]),
        _table(_scores(found, names)),
        _table([["setting", *heads], *differing]) if differing else ["The settings are the same."],
        _published(found["published"], heads),
        [f"note: {note}" for note in notes(found)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _side(number: int, side: Mapping[str, Any]) -> list[str]:
    memory = side["peak_memory_bytes"]
    return [
        str(number),
        side["name"],
        count(side["parameters"]) if side["parameters"] else "",
        count(side["tokens"]) if side["tokens"] else "",
        duration(side["seconds"]) if side["seconds"] is not None else "",
        f"{memory / 2**30:.1f} GiB" if memory else "",
        side["place"],
    ]


def _scores(found: Mapping[str, Any], names: Sequence[str]) -> list[list[str]]:
    rows = [["task", "metric", "items", "side", "score", "change", "95 % interval", "p (Holm)", ""]]
    for row in found["tasks"]:
        pairs = {pair["b"]: pair for pair in row["pairs"]}
        scale, places = scale_of(row)
        first = True
        for name, value, error in zip(names, row["values"], row["stderrs"], strict=True):
            if value is None:
                continue
            cells = [row["task"], _arrow(row), str(row["items"] or "")] if first else ["", "", ""]
            first = False
            pair = pairs.get(name)
            wide = "" if row["pairs"] or error is None else f" ± {scale * error:.{places}f}"
            score = f"{scale * value:.{places}f}{wide}"
            cells += [name, score]
            if pair is not None:
                p = pair["p_adjusted"]
                change, low, high = (f"{scale * pair[key]:+.{places}f}" for key in ("difference", "low", "high"))
                cells += [change, f"[{low}, {high}]", "< 0.001" if p < 0.001 else f"{p:.3f}"]
                cells.append(verdict(row, pair))
            rows.append(cells + [""] * (9 - len(cells)))
    return rows


def is_share(row: Mapping[str, Any]) -> bool:
    """Whether a row's scores are shares of one, which are shown per cent."""
    known = [value for value in row["values"] if value is not None]
    return headline.is_share(row["metric"], *known)


def _arrow(row: Mapping[str, Any]) -> str:
    return f"{row['metric']} {'↑' if row['higher_is_better'] else '↓'}"


def scale_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """Return by how much the scores of a row are multiplied, and with how many decimals all of them are written."""
    if is_share(row):
        return 100, 1
    largest = max((abs(value) for value in row["values"] if value), default=1.0)
    return 1, min(6, max(0, 3 - math.floor(math.log10(largest))))


def _short(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _published(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    if not rows:
        return []
    numbers: dict[str, int] = {}
    shown = [["published", "task", "score", *names, "differs in"]]
    for row in rows:
        said = "; ".join(row["differences"])
        number = f"[{numbers.setdefault(said, len(numbers) + 1)}]" if said else ""
        ours = ["" if value is None else f"{value:.1f}" for value in row["ours"]]
        shown.append([row["model"], row["task"], f"{row['value']:g}", *ours, number])
    return [*_table(shown), *(f"[{number}] {said}" for said, number in numbers.items())]


def notes(found: Mapping[str, Any]) -> list[str]:
    """Return all notes, one of several tasks once."""
    notes: dict[str, list[tuple[str, str]]] = {}
    for row in found["tasks"]:
        for note in filter(None, row["note"].split("; ")):
            notes.setdefault(note, []).append((row["task"], row["metric"]))
    return [*found["notes"], *(f"{_where(of, found)}{note}" for note, of in notes.items())]


def _where(of: Sequence[tuple[str, str]], found: Mapping[str, Any]) -> str:
    """Return which measures a note is about: nothing where it is about all, a task's name for all of its metrics."""
    if len(of) == len(found["tasks"]):
        return ""
    told = []
    for task in dict.fromkeys(task for task, _ in of):
        own = [metric for name, metric in of if name == task]
        whole = len(own) == sum(row["task"] == task for row in found["tasks"])
        told.append(task if whole else f"{task} ({', '.join(own)})")
    return f"{', '.join(told)}: "


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]
