"""How the training went: curves, speed, and what each post-training method learned from."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.curves import name_of

from smallwright_report import charts, mixture, numbers, on_the_way, rounds

TABLE_ROWS = 25
"""Rows of the table behind a curve, evenly spread; report.json has all points that are drawn."""
TITLES = {"pretrain": "Pretraining", "pretrain-source": "Pretraining of the source model"}
TOGETHER = ("loss", "validation_loss")
"""Curves that share a chart."""


def blocks(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of the section."""
    made: list[dict[str, Any]] = []
    for name in ("pretrain-source", "pretrain"):
        if summary := report.get(name):
            rules = {"word frequencies alone": summary["unigram_loss"]} if summary.get("unigram_loss") else {}
            made.append({"kind": "title", "text": TITLES[name]})
            borders = {stage["name"]: stage["first_step"] for stage in summary.get("stages") or []}
            made += _charts(report["curves"].get(name, []), rules, borders if len(borders) > 1 else {})
            made += on_the_way.blocks(summary, [row for row in report["eval"] if row["model"] == name])
            made.append({"kind": "facts", "rows": _facts(summary)})
            made += [*mixture.blocks(summary), *rounds.blocks(summary)]
    for name, summary in report["posttrain"].items():
        made.append({"kind": "title", "text": f"Post-training: {name}"})
        made += _charts(report["curves"].get(name, []), {}, {})
        made += _held_out(summary)
        made.append({"kind": "facts", "rows": [*_facts(summary), *_of_the_set(summary)]})
    return made


def _charts(
    curves: Sequence[Mapping[str, Any]], rules: Mapping[str, float], borders: Mapping[str, float]
) -> list[dict[str, Any]]:
    known = [curve for curve in curves if curve["points"]]
    losses = [curve for curve in known if curve["key"] in TOGETHER]
    groups = [("Loss", losses, rules)] if losses else []
    others: dict[str, list[Mapping[str, Any]]] = {}
    for curve in known:
        if curve["key"] not in TOGETHER:
            others.setdefault(curve["key"].partition(".")[0], []).append(curve)
    for key, found in others.items():
        several = key != found[0]["key"]  # a curve for each corpus, say
        groups.append(((name_of(key)[0] if several else found[0]["name"]).capitalize(), found, {}))
    made, said = [], []
    for title, group, levels in groups:
        name = group[0]["name"].capitalize() if len(group) == 1 else title
        words = charts.in_words(name, {curve["name"]: curve["points"] for curve in group}, group[0]["unit"])
        if words is None:
            made.append(_chart(title, group, levels, borders))
        else:
            said.append(words)
    text = [{"kind": "text", "text": " ".join(said), "mood": ""}] if said else []
    return [*([{"kind": "charts", "charts": made}] if made else []), *text]


def _chart(
    title: str, curves: Sequence[Mapping[str, Any]], rules: Mapping[str, float], borders: Mapping[str, float]
) -> charts.Chart:
    unit = curves[0]["unit"]
    named = {curve["name"]: curve["points"] for curve in curves}
    ends = "; ".join(f"{curve['name']} ends at {curve['points'][-1][1]:.4g}" for curve in curves)
    thinned = any(curve["of"] > len(curve["points"]) for curve in curves)
    few = f", its highs and lows of {curves[0]['of']:,} steps" if thinned else ""
    parts = ", ".join(f"{name} from step {step:,}" for name, step in borders.items())
    about = f"{title}{f' in {unit}' if unit else ''} by training step{few}. {ends[:1].upper()}{ends[1:]}."
    about += f" Stages: {parts}." if parts else ""
    rows = [[curve["name"], int(x), float(y)] for curve in curves for x, y in _some(curve["points"])]
    table = numbers.table(["curve", "step", unit or "value"], rows, f"{title} by step.")
    return charts.lines(title, about, named, unit, table, rules, borders=borders)


def _some(points: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    if len(points) <= TABLE_ROWS:
        return list(points)
    return [points[i * (len(points) - 1) // (TABLE_ROWS - 1)] for i in range(TABLE_ROWS)]


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    engine = summary.get("engine") or {}
    rows = [("engine", f"{engine.get('name', '')} {engine.get('version', '')}".strip())]
    ranks = summary.get("world_size") or 1
    device = str(summary.get("device_name") or summary.get("device") or "")
    rows.append(("device", f"{ranks} × {device}" if ranks > 1 else device))
    if summary.get("tokens_per_second"):
        rows.append(("tokens per second", f"{summary['tokens_per_second']:,.0f}"))
    if summary.get("epochs") is not None:
        rows.append(("epochs", f"{summary['epochs']:.2f}"))
    rows.append(("peak memory", numbers.memory(summary.get("peak_memory_bytes"))))
    if differences := (summary.get("verification") or {}).get("max_difference"):
        shown = ", ".join(f"{engines} {value:.1e}" for engines, value in differences.items())
        rows.append(("largest difference of log-probabilities between engines", shown))
    rows.append(("notes", "; ".join(map(str, summary.get("notes") or ()))))
    return [(name, value) for name, value in rows if value]


def _held_out(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    before, after = summary.get("eval_before") or {}, summary.get("eval_after") or {}
    rows = [
        [key.replace("_", " "), _float(before.get(key)), _float(value)]
        for key, value in after.items()
        if isinstance(value, (int, float))
    ]
    table = numbers.table(["held-out", "before", "after"], rows, "On its own held-out examples.")
    return [{"kind": "table", "table": table, "folded": ""}] if rows else []


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _of_the_set(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a post-training method says of the set that it learned from."""

    def counted(values: Mapping[str, int]) -> str:
        return "; ".join(f"{count:,} {name}" for name, count in values.items())

    rows = [
        ("set", str(summary.get("dataset") or "")),
        ("recognised as", counted(summary.get("dataset_forms") or {})),
        ("set aside", counted(summary.get("rejected_reasons") or {})),
        ("not used, or written otherwise", counted(summary.get("not_used") or {})),
    ]
    return [(name, value) for name, value in rows if value]
