"""The pictures of a study: its runs by seed, and the differences against zero."""

from collections.abc import Mapping
from typing import Any

import altair as alt
from core.study.verdict import difference_places, value_places

from smallwright_report import numbers
from smallwright_report.charts import KEPT, LOST, ROW, Chart, _spec, _values

HEIGHT = 240
"""Of the picture of all runs, in pixels."""


def pairs(study: Mapping[str, Any]) -> list[Chart]:
    """Return the value of each run, with a line between the arms for each seed."""
    rows = [
        {"arm": arm["name"], "seed": str(run["seed"]), "value": run["value"]}
        for arm in study["arms"]
        for run in arm["runs"]
        if run["value"] is not None
    ]
    if not rows:
        return []
    order = [study["control"], *(row["arm"] for row in study["comparisons"])]
    base = alt.Chart(_values(rows)).encode(
        x=alt.X("arm:N", sort=order, title=None, axis=alt.Axis(labelAngle=0, labelLimit=150)),
        y=alt.Y("value:Q", title=_unit(study), scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5)),
        detail="seed:N",
        tooltip=[alt.Tooltip("arm:N"), alt.Tooltip("seed:N"), alt.Tooltip("value:Q", format=".6~g")],
    )
    layers = alt.layer(
        base.mark_line(color=KEPT, opacity=0.5, strokeWidth=1.6),
        base.mark_point(filled=True, size=70, opacity=1, color=KEPT),
    )
    columns = ["arm", "seed", study["metric"]]
    cells = [[row["arm"], row["seed"], row["value"]] for row in rows]
    table = numbers.table(columns, cells, "A row for each run.", {study["metric"]: value_places(study["arms"])})
    about = "A point for each run; a line joins the runs of one seed."
    return [Chart(title="By seed", about=about, spec=_spec(layers, HEIGHT), table=table)]


def differences(study: Mapping[str, Any]) -> list[Chart]:
    """Return the differences from the control and the interval of their mean, against zero."""
    known = [row for row in study["comparisons"] if row["low"] is not None]
    if not known:
        return []
    single = [{"arm": row["arm"], "difference": value} for row in known for value in row["differences"]]
    means = [{key: row[key] for key in ("arm", "mean_difference", "low", "high")} for row in known]
    y = alt.Y("arm:N", sort=[row["arm"] for row in known], title=None, axis=alt.Axis(labelLimit=150))
    title = f"difference in {_unit(study)}"
    x = alt.X("difference:Q", title=title, scale=alt.Scale(nice=True), axis=alt.Axis(tickCount=5))
    tips = [
        alt.Tooltip("arm:N"),
        *(alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("mean_difference", "low", "high")),
    ]
    base = alt.Chart(_values(means)).encode(y=y, tooltip=tips)
    smallest = study["study"].get("smallest")
    worth = smallest and (-smallest if study["direction"] == "lower" else smallest)
    levels = [_level(0.0, "no difference"), *([_level(worth, "worth having", strokeDash=[5, 4])] if worth else [])]
    layers = alt.layer(
        *levels,
        base.mark_rule(strokeWidth=3, color=KEPT).encode(x="low:Q", x2="high:Q"),
        base.mark_point(filled=True, size=110, opacity=1, color=KEPT).encode(x="mean_difference:Q"),
        alt.Chart(_values(single))
        .mark_tick(thickness=2, size=ROW, color=LOST)
        .encode(x=x, y=y, tooltip=[alt.Tooltip("arm:N"), alt.Tooltip("difference:Q", format=".4~g")]),
    )
    rows = [[row["arm"], row["mean_difference"], row["low"], row["high"]] for row in known]
    columns = ["arm", "mean difference", "95 % from", "95 % to"]
    formats = dict.fromkeys(columns[1:], difference_places(study["comparisons"]))
    table = numbers.table(columns, rows, f"Against {study['control']}.", formats)
    about = "The mean difference with its 95 % interval, a tick for each seed, and a line at no difference."
    about += " The dashed line is the smallest difference worth having." if worth else ""
    height = 3 * ROW * len(known) + 60
    return [Chart(title="Difference", about=about, spec=_spec(layers, height), table=table)]


def _unit(study: Mapping[str, Any]) -> str:
    """Return the last word of the metric: the whole name, which is above, runs out of a picture."""
    return study["metric"].rpartition(".")[2].replace("_", " ")


def _level(value: float, name: str, **look: Any) -> Any:
    rows = _values([{"level": value, "name": name}])
    return alt.Chart(rows).mark_rule(opacity=0.8, **look).encode(x="level:Q", tooltip="name:N")
