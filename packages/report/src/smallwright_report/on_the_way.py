"""How the scores grew while the model was trained: a chart a task over the tokens, with its errors and chance."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from smallwright_report import numbers
from smallwright_report.charts import KEPT, Chart, _spec, _values
from smallwright_report.evaluation import WIDTH, common

HEIGHT = 180
COLUMNS = ["task", "metric", "tokens", "step", "score", "± 95 %", "chance", "items"]


def blocks(summary: Mapping[str, Any], final: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks, none where nothing was evaluated on the way.

    Args:
        summary: Of the training.
        final: Rows of the evaluation of the model that came out; those of the same items end the curves.
    """
    found = summary.get("evaluations")
    if not found:
        return []
    curves: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found["scores"]:
        curves.setdefault((row["task"], row["metric"]), []).append(dict(row))
    for row in final:
        rows = curves.get((row["task"], row["metric"]))
        if rows and row.get("n") == rows[-1]["n"]:
            rows.append({**row, "tokens": summary["tokens"], "step": None})
    made: list[dict[str, Any]] = [{"kind": "title", "text": "Scores on the way"}]
    if curves:
        cells = [
            [
                *(row[key] for key in ("task", "metric", "tokens")),
                "end" if row["step"] is None else f"{row['step']:,}",
                float(row["value"]),
                _half(row) if row.get("stderr") is not None else None,
                row.get("chance"),
                row.get("n"),
            ]
            for rows in curves.values()
            for row in sorted(rows, key=lambda row: int(row["tokens"]))
        ]
        table = numbers.table(COLUMNS, cells, "Every score on the way.", {"step": "right"})
        first = dict(reversed(curves))
        prefix = common([*first])
        made.append(
            {
                "kind": "charts",
                "charts": [
                    _chart(task.removeprefix(prefix), metric, curves[task, metric], _of(table, task, metric))
                    for task, metric in curves
                    if first[task] == metric
                ],
            }
        )
        made.append({"kind": "table", "table": table, "folded": "All scores on the way"})
    failed = [f"The evaluation of step {one['step']:,} failed: {one['reason']}" for one in found["failed"]]
    return [*made, *({"kind": "text", "text": line, "mood": "bad"} for line in failed)]


def _of(table: Mapping[str, Any], task: str, metric: str) -> dict[str, Any]:
    rows = [row for row in table["rows"] if row[:2] == [task, metric]]
    return {**table, "rows": rows, "caption": f"{task}, {metric}."}


def _half(row: Mapping[str, Any]) -> float:
    return WIDTH * float(row.get("stderr") or 0.0)


def _chart(task: str, metric: str, rows: Sequence[Mapping[str, Any]], table: dict[str, Any]) -> Chart:
    values = [
        {
            "tokens": row["tokens"],
            "value": row["value"],
            "low": row["value"] - _half(row),
            "high": row["value"] + _half(row),
        }
        for row in sorted(rows, key=lambda row: int(row["tokens"]))
    ]
    chance = rows[-1].get("chance")
    base = alt.Chart(_values(values)).encode(
        x=alt.X("tokens:Q", title="tokens", axis=alt.Axis(tickCount=6, format="~s")),
        tooltip=[alt.Tooltip("tokens:Q", format=",")]
        + [alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("value", "low", "high")],
    )
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5))
    layers = [
        base.mark_area(opacity=0.2, color=KEPT).encode(y="low:Q", y2="high:Q"),
        base.mark_line(color=KEPT, strokeWidth=1.6).encode(y=y),
        base.mark_point(color=KEPT, filled=True, size=40, opacity=1).encode(y=y),
    ]
    if chance is not None:
        mark = alt.Chart(_values([{"value": chance, "name": "chance"}]))
        layers.append(mark.mark_rule(strokeDash=[5, 4], opacity=0.7).encode(y="value:Q"))
        layers.append(mark.mark_text(align="right", dy=-6, x="width", fontSize=11).encode(y="value:Q", text="name:N"))
    title = task.replace("_", " ")
    about = (
        f"{title}, {metric}, by tokens trained on, with the 95 % interval; it ends at {values[-1]['value']:.4g}"
        f"{'' if chance is None else f', and chance is {chance:.4g}'}."
    )
    return Chart(title=title, about=about, spec=_spec(alt.layer(*layers), HEIGHT), table=table)
