"""The charts of the pages, as Vega-Lite made with Altair. A page draws them; vl-convert makes SVG and PNG of them."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

KEPT, LOST, FAILED = "#3b6fd4", "#d98a3d", "#c0392b"
"""Colours that a reader who sees no red or green tells apart; contrast above 3 on white and on dark grey."""
FATES = alt.Scale(domain=["kept", "set aside", "failed"], range=[KEPT, LOST, FAILED])
SERIES = ["#3b6fd4", "#d98a3d", "#2a9d8f", "#9b5de5", "#c0392b", "#7f8c8d"]
ROW = 22
"""Height of a row of bars, in pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """One picture of a page, with what stands behind it."""

    title: str
    about: str
    """What it shows, in a sentence: read out to who cannot see it."""
    spec: dict[str, Any]
    table: dict[str, Any]
    """Of :func:`smallwright_report.numbers.table`: the same values."""
    log: bool = False
    """Whether a switch makes its y axis logarithmic."""
    smooth: bool = False
    """Whether a slider smooths its lines."""
    unfolded: bool = False
    """Whether the table is seen without being asked for."""


def _spec(chart: Any, height: int | None = None, *, named: bool = False) -> dict[str, Any]:
    sizes: dict[str, Any] = {"width": "container", "autosize": alt.AutoSizeParams(type="fit", contains="padding")}
    if height is not None:
        sizes["height"] = height
    made = chart.properties(**sizes).to_dict(validate=False)
    made.pop("config", None)  # the page has its own, for light and dark
    if named:  # from the right edge a long name reaches over the labels of the axis; from the left it would be cut
        made["config"] = {"legend": {"layout": {"top": {"anchor": "end", "direction": "vertical"}}}}
    return made


def _format(values: Iterable[float]) -> Any:
    """Return how the numbers of an axis are written: in thousands and millions where there are such."""
    return "~s" if max((abs(value) for value in values), default=0) >= 10_000 else alt.Undefined


def _values(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def legend(names: Sequence[str]) -> alt.Legend:
    """Return a legend of names that are long: in two columns where they fit, so that none is cut on a phone."""
    return alt.Legend(title=None, orient="top", columns=_columns(names), labelLimit=300)


def legend_height(names: Sequence[str]) -> int:
    """Return the pixels that a legend of long names takes, beyond the row that every chart has."""
    return 18 * (math.ceil(len(names) / _columns(names)) - 1)


def _columns(names: Sequence[str]) -> int:
    return 2 if max(map(len, names), default=0) <= 22 else 1


def in_words(title: str, curves: Mapping[str, Sequence[Sequence[float]]], unit: str) -> str | None:
    """Return a sentence in the place of :func:`lines` for curves of one point each; None: there is a line to draw.

    Args:
        title: What the curves show.
        curves: Name to points (step, value); a single one goes without its name.
        unit: Of the values.
    """
    if any(len(curve) > 1 for curve in curves.values()):
        return None
    said = [
        f"{f'{name} ' if len(curves) > 1 else ''}{y:.4g}{f' {unit}' if unit else ''} at step {int(x):,}"
        for name, curve in curves.items()
        for x, y in curve
    ]
    return f"{title}, measured once: {', '.join(said)}."


def lines(
    title: str,
    about: str,
    curves: Mapping[str, Sequence[Sequence[float]]],
    unit: str,
    table: dict[str, Any],
    rules: Mapping[str, float] | None = None,
    named: bool = False,
    borders: Mapping[str, float] | None = None,
) -> Chart:
    """Return curves over steps, with a pointer that reads out the values, level lines, and where parts begin.

    Args:
        curves: Name to points (step, value).
        unit: Of the values.
        rules: Name to value of each level line.
        named: Whether the names of the curves are long ones, such as those of runs.
        borders: Name to first step of each part of the training.
    """
    rows = [{"step": x, "value": y, "curve": name} for name, curve in curves.items() for x, y in curve]
    form = _format(y for curve in curves.values() for _, y in curve)
    positive = all(y > 0 for curve in curves.values() for _, y in curve)
    shown = [name for name in curves if curves[name]]
    color = alt.Color(
        "curve:N",
        scale=alt.Scale(domain=shown, range=SERIES[: len(shown)]),
        legend=(legend(shown) if named else alt.Legend(title=None, orient="top")) if len(shown) > 1 else None,
    )
    x = alt.X("step:Q", title="step", axis=alt.Axis(tickCount=6, format="~s"))
    y = alt.Y(
        "value:Q",
        title=unit or title,
        scale=alt.Scale(zero=False, nice=True),
        axis=alt.Axis(tickCount=5, format=form),
    )
    tips = [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip("step:Q", title="step", format=","),
        alt.Tooltip("value:Q", title=unit or "value", format=".4~g"),
    ]
    base = alt.Chart(_values(rows)).encode(x=x, y=y, color=color)
    pointed = alt.selection_point(nearest=True, on="pointerover", fields=["step"], empty=False)
    layers = [
        base.mark_line(strokeWidth=1.6, clip=True, interpolate="linear"),
        base.mark_point(filled=True, size=55)
        .encode(opacity=alt.condition(pointed, alt.value(1), alt.value(0)), tooltip=tips)
        .add_params(pointed),
    ]
    short = [name for name, curve in curves.items() if 0 < len(curve) <= 30]
    if short:  # a curve of few points is seen by its points
        layers.append(
            base.transform_filter(alt.FieldOneOfPredicate(field="curve", oneOf=short)).mark_point(filled=True, size=36)
        )
    for name, value in (rules or {}).items():
        mark = alt.Chart(_values([{"value": value, "name": name}]))
        layers.append(mark.mark_rule(strokeDash=[5, 4], opacity=0.7).encode(y="value:Q"))
        layers.append(mark.mark_text(align="right", dy=-6, x="width", fontSize=11).encode(y="value:Q", text="name:N"))
    layers += _borders(borders or {})
    dense = any(len(curve) > 30 for curve in curves.values())
    return Chart(
        title=title,
        about=about,
        spec=_spec(alt.layer(*layers), 220 + (legend_height(shown) if named else 0), named=named),
        table=table,
        log=positive,
        smooth=dense,
    )


def _borders(parts: Mapping[str, float]) -> list[Any]:
    """Return a rule where each part but the first begins, and the name of each, by turns in one of two rows."""
    marks = []
    for number, (name, step) in enumerate(parts.items()):
        mark = alt.Chart(_values([{"step": step, "name": name}])).encode(x=alt.X("step:Q", title="step"))
        if number:
            marks.append(mark.mark_rule(opacity=0.45))
        row = 8 + 13 * (number % 2)
        marks.append(mark.mark_text(align="left", dx=4, y=row, fontSize=11, limit=110).encode(text="name:N"))
    return marks


def histogram(
    title: str, about: str, bins: Sequence[tuple[str, float, float, int, int]], axis: str, table: dict[str, Any]
) -> Chart:
    """Return stacked bars of (label, from, to, kept, set aside)."""
    rows = [
        {"label": label, "fate": fate, "documents": number, "place": place}
        for label, _, _, kept, aside in bins
        for place, (fate, number) in enumerate((("kept", kept), ("set aside", aside)))
    ]
    legend = alt.Legend(title=None, orient="top", values=["kept", "set aside"])
    form = _format(kept + aside for *_, kept, aside in bins)
    level = alt.Axis(labelOverlap="greedy", labelAngle=0, labelSeparation=8)
    chart = (
        alt.Chart(_values(rows))
        .mark_bar()
        .encode(
            x=alt.X(
                "label:N",
                sort=[label for label, *_ in bins],
                title=axis,
                axis=level,
            ),
            y=alt.Y("documents:Q", title="documents", stack="zero", axis=alt.Axis(tickCount=5, format=form)),
            color=alt.Color("fate:N", scale=FATES, legend=legend),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("label:N", title=axis),
                alt.Tooltip("fate:N"),
                alt.Tooltip("documents:Q", format=","),
            ],
        )
    )
    return Chart(title=title, about=about, spec=_spec(chart, 180), table=table)


def funnel(title: str, about: str, steps: Sequence[Mapping[str, Any]], table: dict[str, Any]) -> Chart:
    """Return a bar for each step: what it kept, what it set aside, what it failed at."""
    rows = []
    for step in steps:
        lost, failed = sum(step["rejected"].values()), sum(step["failed"].values())
        both = Counter(step["rejected"]) + Counter(step["failed"])  # a reason can be in each
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in both.items())
        for fate, number in (("kept", step["kept"]), ("set aside", lost), ("failed", failed)):
            rows.append(
                {
                    "step": step["step"],
                    "fate": fate,
                    "documents": number,
                    "why": reasons[:300] if fate != "kept" else "",
                    "place": ("kept", "set aside", "failed").index(fate),
                }
            )
    form = _format(step["in"] for step in steps)
    chart = (
        alt.Chart(_values(rows))
        .mark_bar()
        .encode(
            y=alt.Y("step:N", sort=[step["step"] for step in steps], title=None, axis=alt.Axis(labelLimit=130)),
            x=alt.X("documents:Q", title="documents", stack="zero", axis=alt.Axis(tickCount=5, format=form)),
            color=alt.Color("fate:N", scale=FATES, legend=alt.Legend(title=None, orient="top")),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("step:N"),
                alt.Tooltip("fate:N"),
                alt.Tooltip("documents:Q", format=","),
                alt.Tooltip("why:N", title="reasons"),
            ],
        )
    )
    return Chart(title=title, about=about, spec=_spec(chart, ROW * len(steps) + 40), table=table)


def dots(title: str, about: str, rows: Sequence[Mapping[str, Any]], table: dict[str, Any]) -> Chart:
    """Return a dot with its 95 % interval for each task and model, and a mark where chance is.

    Args:
        rows: Objects with ``task``, ``model``, ``value``, ``low``, ``high`` and ``chance``, all shares.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    data = _values(rows)
    y = alt.Y("task:N", sort=tasks, title=None, axis=alt.Axis(labelLimit=150))
    color = alt.Color(
        "model:N",
        scale=alt.Scale(domain=models, range=SERIES[: len(models)]),
        legend=alt.Legend(title=None, orient="top") if len(models) > 1 else None,
    )
    offset: dict[str, Any] = {"yOffset": alt.YOffset("model:N", sort=models)} if len(models) > 1 else {}
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(data).encode(y=y, **offset)
    tips = [
        alt.Tooltip("task:N"),
        alt.Tooltip("model:N"),
        alt.Tooltip("value:Q", format=".1%"),
        alt.Tooltip("low:Q", title="95 % from", format=".1%"),
        alt.Tooltip("high:Q", title="95 % to", format=".1%"),
        alt.Tooltip("chance:Q", format=".1%"),
    ]
    x = alt.X("value:Q", title="share right", scale=scale, axis=alt.Axis(format="%", tickCount=5))
    layers = [
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", color=color),
        base.mark_point(filled=True, size=80, opacity=1).encode(x=x, color=color, tooltip=tips),
        alt.Chart(data)
        .transform_filter("isValid(datum.chance)")
        .mark_tick(thickness=2, size=ROW, color="#888")
        .encode(x=alt.X("chance:Q", scale=scale), y=y, tooltip=[alt.Tooltip("chance:Q", format=".1%")]),
    ]
    height = max(ROW, 18 * len(models)) * len(tasks) + (80 if len(models) > 1 else 50)
    spec = _spec(alt.layer(*layers), height, named=True)
    return Chart(title=title, about=about, spec=spec, table=table, unfolded=True)


def heat(
    title: str, about: str, cells: Sequence[Sequence[float]], across: str, down: str, table: dict[str, Any]
) -> Chart:
    """Return a grid of shares: dark is none, light is all.

    Args:
        cells: (place across, place down, share).
        across: Title of the horizontal axis.
        down: Title of the vertical one.
    """
    places = sorted({cell[1] for cell in cells})
    chart = (
        alt.Chart(_values([{"across": cell[0], "down": cell[1], "share": cell[2]} for cell in cells]))
        .mark_rect()
        .encode(
            x=alt.X("across:O", title=across, axis=alt.Axis(labelOverlap=True, labelAngle=0)),
            y=alt.Y("down:O", title=down),
            color=alt.Color(
                "share:Q",
                title="share right",
                scale=alt.Scale(domain=[0, 1], scheme="viridis"),
                legend=alt.Legend(format="%", orient="top"),
            ),
            tooltip=[
                alt.Tooltip("across:O", title=across),
                alt.Tooltip("down:O", title=down),
                alt.Tooltip("share:Q", title="share right", format=".0%"),
            ],
        )
    )
    return Chart(title=title, about=about, spec=_spec(chart, ROW * len(places) + 90), table=table)


def bars(title: str, about: str, rows: Sequence[tuple[str, float]], axis: str, table: dict[str, Any]) -> Chart:
    """Return a bar for each (name, number)."""
    form = _format(number for _, number in rows)
    chart = (
        alt.Chart(_values([{"name": name, "number": number} for name, number in rows]))
        .mark_bar(color=KEPT)
        .encode(
            y=alt.Y("name:N", sort=[name for name, _ in rows], title=None, axis=alt.Axis(labelLimit=150)),
            x=alt.X("number:Q", title=axis, axis=alt.Axis(tickCount=5, format=form)),
            tooltip=[alt.Tooltip("name:N"), alt.Tooltip("number:Q", title=axis, format=",")],
        )
    )
    return Chart(title=title, about=about, spec=_spec(chart, ROW * len(rows) + 30), table=table)


def calibration(
    title: str, about: str, rows: Sequence[Mapping[str, Any]], scale: float, table: dict[str, Any]
) -> Chart:
    """Return the mean label by the mean score of held-out documents, a circle's area their number, and the diagonal."""
    axis = alt.Scale(domain=[0, scale])
    ideal = alt.Chart(_values([{"x": 0, "y": 0}, {"x": scale, "y": scale}]))
    chart = alt.layer(
        ideal.mark_line(strokeDash=[5, 4], color="#888").encode(x="x:Q", y="y:Q"),
        alt.Chart(_values(rows))
        .mark_circle(color=KEPT, opacity=0.8)
        .encode(
            x=alt.X("mean_score:Q", title="mean score", scale=axis),
            y=alt.Y("mean_label:Q", title="mean label", scale=axis),
            size=alt.Size("documents:Q", legend=None, scale=alt.Scale(range=[40, 400])),
            tooltip=[alt.Tooltip(f"{key}:Q", format=".3~g") for key in ("documents", "mean_score", "mean_label")],
        ),
    )
    return Chart(title=title, about=about, spec=_spec(chart, 220), table=table)


def strips(title: str, about: str, rows: Sequence[Mapping[str, Any]], axis: str, table: dict[str, Any]) -> Chart:
    """Return the scores of structures, a strip for each group of them: kept ones and those left out.

    Args:
        rows: Objects with ``group``, ``place``, ``score`` and ``fate`` (``kept`` or ``left out``).
    """
    groups = list(dict.fromkeys(row["group"] for row in rows))
    colors = alt.Scale(domain=["kept", "left out"], range=[KEPT, LOST])
    chart = (
        alt.Chart(_values(rows))
        .mark_tick(thickness=2, size=ROW - 6)
        .encode(
            x=alt.X("score:Q", title=axis, axis=alt.Axis(tickCount=5, format="~g")),
            y=alt.Y("group:N", sort=groups, title=None, axis=alt.Axis(labelLimit=130)),
            color=alt.Color("fate:N", scale=colors, legend=alt.Legend(title=None, orient="top")),
            tooltip=[alt.Tooltip("group:N"), alt.Tooltip("place:Q"), alt.Tooltip("score:Q", format=".4~g"), "fate:N"],
        )
    )
    return Chart(title=title, about=about, spec=_spec(chart, ROW * len(groups) + 45), table=table)
