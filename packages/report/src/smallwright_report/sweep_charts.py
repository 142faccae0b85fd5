"""The pictures of a sweep: a metric against each of the settings that differ, a point for each run."""

import math
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import altair as alt

from smallwright_report import measures, numbers
from smallwright_report.charts import KEPT, ROW, SERIES, Chart, _spec, legend, legend_height
from smallwright_report.measures import Row

MOST_KEYS, MOST_VALUES, MOST_NAMES = 6, 25, 40
MOST_POINTS = 3000
"""Of all pictures together: a page with more takes long to open."""
HEIGHT = 240


def by_key(data: Mapping[str, Any], metrics: Sequence[str]) -> list[Chart]:
    """Return a picture for each key that differs. Seeds only repeat a run: they have none beside other keys.

    Args:
        data: ``sweep.json``.
        metrics: What a reader can choose to see; the first is drawn at first.
    """
    rows = [row for row in data["runs"] if any(measures.value(row, name) is not None for name in metrics)]
    keys = [key for key in data["keys"] if not measures.SEEDS.search(key)] or list(data["keys"])
    if not metrics or len(rows) < 2:
        return []
    keys = keys[:MOST_KEYS]
    return [_chart(data, rows, key, metrics, MOST_POINTS // max(1, len(keys))) for key in keys]


def _chart(data: Mapping[str, Any], rows: Sequence[Row], key: str, metrics: Sequence[str], most: int) -> Chart:
    keys, numeric = data["keys"], _numbers(rows, key)
    names = [] if numeric else list(dict.fromkeys(row["values"].get(key, "") for row in rows))[:MOST_NAMES]
    drawn = [row for row in rows if (row["number"] in numeric if numeric else row["values"].get(key, "") in names)]
    shown = _spread(drawn, most)
    group, groups = _groups(rows, [other for other in keys if other != key])
    points = [
        {
            "x": numeric[row["number"]] if numeric else row["values"].get(key, ""),
            "run": f"run {row['number']}",
            "made with": measures.settings(row, keys),
            **({"group": group[row["number"]]} if groups else {}),
            **{f"m{place}": _rounded(measures.value(row, name)) for place, name in enumerate(metrics)},
        }
        for row in shown
    ]
    color: Any = alt.value(KEPT)
    if groups:
        scale = alt.Scale(domain=groups, range=SERIES[: len(groups)])
        color = alt.Color("group:N", scale=scale, legend=legend(groups))
    title = measures.label(metrics[0])
    level = alt.Axis(tickCount=5, format="~s" if _large(points) else "~g")
    tips = ["run:N", "made with:N", alt.Tooltip("m0:Q", title=title, format=".5~g")]
    base = alt.Chart(alt.NamedData(name="runs")).encode(color=color)
    if numeric:
        picture = _against_a_number(base, list(numeric.values()), key, title, level, tips, bool(groups))
        height = HEIGHT
    else:
        picture = _against_names(base, names, title, level, tips)
        height = (ROW + 8) * len(names) + 60
    height += legend_height(groups) + 20 if groups else 0
    over = f" {len(rows) - len(shown):,} more runs are in the table." if len(rows) > len(shown) else ""
    about = f"A point for each run, a {'line through' if numeric else 'tick at'} their means.{over}"
    spec = {**_spec(picture, height, named=True), "datasets": {"runs": points}}
    return Chart(title=key, about=about, spec=spec, table=_table(rows, key, numeric, metrics[0]))


def _against_a_number(
    base: alt.Chart, numbers_of: Sequence[float], key: str, title: str, level: alt.Axis, tips: list[Any], grouped: bool
) -> Any:
    low, high = min(numbers_of), max(numbers_of)
    scale = alt.Scale(type="log", padding=12) if low > 0 and high / low >= 10 else alt.Scale(zero=False, padding=12)
    values = sorted(set(numbers_of))
    ticks = alt.Axis(values=values, format="~g", labelOverlap=True) if len(values) <= 8 else alt.Axis(tickCount=6)
    x = alt.X("x:Q", title=key, scale=scale, axis=ticks)
    y = alt.Y("m0:Q", title=title, scale=alt.Scale(zero=False, nice=True), axis=level)
    layers = [
        base.mark_line(strokeWidth=1.4, opacity=0.6).encode(x=x, y=alt.Y("m0:Q", aggregate="mean", title=title)),
        base.mark_point(filled=True, size=60, opacity=0.8).encode(x=x, y=y, tooltip=tips),
    ]
    return alt.layer(*layers)


def _against_names(base: alt.Chart, names: Sequence[str], title: str, level: alt.Axis, tips: list[Any]) -> Any:
    y = alt.Y("x:N", sort=list(names), title=None, axis=alt.Axis(labelLimit=150))
    x = alt.X("m0:Q", title=title, scale=alt.Scale(zero=False, nice=True), axis=level)
    return alt.layer(
        base.mark_tick(thickness=3, size=ROW, opacity=0.6).encode(y=y, x=alt.X("m0:Q", aggregate="mean", title=title)),
        base.mark_point(filled=True, size=60, opacity=0.8).encode(y=y, x=x, tooltip=tips),
    )


def _spread(rows: Sequence[Row], most: int) -> list[Row]:
    """Return at most so many runs, evenly spread."""
    return [rows[place * len(rows) // most] for place in range(most)] if len(rows) > most else list(rows)


def _rounded(number: float | None) -> float | None:
    """Return what a picture shows of a number: the page is a third smaller for it."""
    return None if number is None else float(f"{number:.6g}")


def _numbers(rows: Sequence[Row], key: str) -> dict[int, float]:
    """Return the value of a key by run, where all that have one have a number; else nothing."""
    found = {}
    for row in rows:
        text = row["values"].get(key)
        if text is None:
            continue
        try:
            number = float(text)
        except ValueError:
            return {}
        if not math.isfinite(number):
            return {}
        found[row["number"]] = number
    return found


def _groups(rows: Sequence[Row], keys: Sequence[str]) -> tuple[dict[int, str], list[str]]:
    """Return the colour of each run, and all colours: of what the other keys say, as far as colours reach."""
    telling = [key for key in keys if not measures.SEEDS.search(key)]
    for chosen in (telling, *([key] for key in telling)):
        groups = {row["number"]: measures.settings(row, chosen) for row in rows}
        different = list(dict.fromkeys(groups.values()))
        if 1 < len(different) <= len(SERIES):
            return groups, different
    return {}, []


def _large(points: Sequence[Mapping[str, Any]]) -> bool:
    return max((abs(point["m0"]) for point in points if point["m0"] is not None), default=0) >= 10_000


def _table(rows: Sequence[Row], key: str, numeric: Mapping[int, float], metric: str) -> dict[str, Any]:
    """Return the mean and the best of a metric for each value of a key."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["values"].get(key, ""), []).append(row)
    order = sorted(groups, key=lambda text: numeric.get(groups[text][0]["number"], 0.0))
    if len(order) > MOST_VALUES:
        order = [order[place * (len(order) - 1) // (MOST_VALUES - 1)] for place in range(MOST_VALUES)]
    shown = []
    for text in order:
        found = measures.values(groups[text], metric)
        best = max(found) if measures.better(metric) == "higher" else min(found) if found else None
        shown.append([text, len(groups[text]), float(mean(found)) if found else None, best])
    name = measures.label(metric)
    kind = measures.form(metric, measures.values(rows, metric))
    formats = {f"mean {name}": kind, f"best {name}": kind, key: "right" if numeric else ""}
    return numbers.table(
        [key, "runs", f"mean {name}", f"best {name}"],
        shown,
        f"{metric} by {key}.",
        {column: form for column, form in formats.items() if form},
    )
