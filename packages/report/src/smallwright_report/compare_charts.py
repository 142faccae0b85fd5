"""The picture of a comparison: differences with their intervals against zero."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from smallwright_report.charts import SERIES, Chart, _spec, _values, legend, legend_height

_TOLD = (("difference", "difference"), ("low", "95 % from"), ("high", "95 % to"))


def forest(title: str, about: str, rows: Sequence[Mapping[str, Any]], axis: str, table: dict[str, Any]) -> Chart:
    """Return differences with their 95 % intervals against zero: full where they are significant, hollow where not.

    Args:
        rows: Objects with ``what``, ``side``, ``difference``, ``low``, ``high``, ``p`` and ``verdict``.
        axis: Title of the differences' axis, with their unit.
    """
    sides = list(dict.fromkeys(row["side"] for row in rows))
    labels = list(dict.fromkeys(row["what"] for row in rows))
    # The metric on a line of its own: at the end of a long name it would be cut.
    lines = alt.Axis(labelLimit=190, labelExpr="split(datum.label, ', ')")
    y = alt.Y("what:N", sort=labels, title=None, axis=lines)
    scale = alt.Scale(domain=sides, range=SERIES[: len(sides)])
    names = legend(sides) if len(sides) > 1 else None
    color = alt.Color("side:N", scale=scale, legend=names)
    offset: dict[str, Any] = {"yOffset": alt.YOffset("side:N", sort=sides)} if len(sides) > 1 else {}
    tips = [
        alt.Tooltip("what:N", title="measure"),
        alt.Tooltip("side:N"),
        *(alt.Tooltip(f"{key}:Q", title=name, format="+.3~g") for key, name in _TOLD),
        alt.Tooltip("p:Q", title="p (Holm)", format=".3~g"),
        alt.Tooltip("verdict:N"),
    ]
    base = alt.Chart(_values(rows)).encode(y=y, **offset)
    x = alt.X("difference:Q", title=axis, axis=alt.Axis(tickCount=5, format="+f"))
    sure = alt.condition("datum.verdict != 'not significant'", alt.value(1), alt.value(0))
    layers = [
        alt.Chart(_values([{"zero": 0}])).mark_rule(color="#888", strokeDash=[5, 4]).encode(x="zero:Q"),
        base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", color=color),
        base.mark_point(size=70, strokeWidth=2).encode(
            x=x, color=color, fill=alt.Fill("side:N", scale=scale, legend=names), fillOpacity=sure, tooltip=tips
        ),
    ]
    height = max(30, 15 * len(sides)) * len(labels) + (50 if len(sides) == 1 else 80 + legend_height(sides))
    spec = _spec(alt.layer(*layers), height, named=True)
    return Chart(title=title, about=about, spec=spec, table=table, unfolded=True)
