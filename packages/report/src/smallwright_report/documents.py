"""What became of the documents: the funnel with reasons, scores, lengths, languages, samples, and what steps say."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from smallwright_report import charts, numbers

LONGEST_TABLE = 30
REST = 20_000
"""Characters of a step's report that are shown beside its tables."""
LANGUAGES = ("languages", "language")


def blocks(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of the section, corpus after corpus."""
    corpora = (report.get("data") or {}).get("corpora", {})
    made: list[dict[str, Any]] = []
    for corpus in dict.fromkeys(row["corpus"] for row in report["funnel"]):
        steps = [row for row in report["funnel"] if row["corpus"] == corpus]
        summary = corpora.get(corpus, {})
        made.append({"kind": "title", "text": corpus})
        made.append({"kind": "charts", "charts": [funnel(steps), *_distributions(summary)]})
        groups = [group for group in report["samples"]["documents"].get(corpus, []) if group["documents"]]
        if groups:
            shown = [{**group, **_fate(group, steps)} for group in groups]
            made.append({"kind": "documents", "text": "Samples, kept and set aside", "groups": shown})
        made += _truth(summary.get("truth") or [])
        reports = summary.get("step_reports") or {}
        if reports:
            made.append({"kind": "title", "text": f"What the steps of {corpus} say"})
            made += [_step_report(step, found) for step, found in reports.items()]
    return made


def funnel(steps: Sequence[Mapping[str, Any]]) -> charts.Chart:
    """Return the chart of a corpus's steps, with the reasons in the table behind it."""
    first, last = steps[0], steps[-1]
    about = f"{first['in']:,} documents came in, {last['kept']:,} were kept after {len(steps)} steps."
    rows = [
        [
            step["step"],
            step["in"],
            step["kept"],
            step["kept"] / step["in"] if step["in"] else None,
            "; ".join(f"{number:,} {reason}" for reason, number in step["rejected"].items()),
            "; ".join(f"{number:,} {reason}" for reason, number in step["failed"].items()),
        ]
        for step in steps
    ]
    columns = ["step", "in", "kept", "share kept", "set aside, by reason", "failed, by reason"]
    table = numbers.table(columns, rows, "What each step kept and set aside.", {"share kept": "percent"})
    return charts.funnel("Funnel of documents", about, steps, table)


def scores(name: str, histogram: Mapping[str, Any], axis: str = "score") -> charts.Chart:
    """Return the chart of ``range`` and the counts by bin of ``kept`` and ``rejected``."""
    low, high = histogram["range"]
    sides = list(zip(histogram["kept"], histogram["rejected"], strict=True))
    step = (high - low) / len(sides)
    bins = [(f"{low + i * step:.4g}", low + i * step, low + (i + 1) * step, *side) for i, side in enumerate(sides)]
    about = "Documents by score, each bin named by its lower end: kept in the end, and set aside."
    return charts.histogram(name, about, bins, axis, _bins(axis, bins))


def _bins(axis: str, bins: Sequence[tuple[str, float, float, int, int]]) -> dict[str, Any]:
    rows = [[label, kept, aside] for label, _, _, kept, aside in bins if kept or aside]
    return numbers.table([axis, "kept", "set aside"], rows)


def _distributions(summary: Mapping[str, Any]) -> list[charts.Chart]:
    made = []
    histogram = summary.get("score_histogram")
    if histogram and any(histogram["kept"] + histogram["rejected"]):
        made.append(scores("Quality scores", histogram))
    if lengths := summary.get("length_histogram"):
        made.append(_lengths(lengths))
    for found in (summary.get("step_reports") or {}).values():
        tables = found.get("tables") or {}
        name = next((name for name in LANGUAGES if tables.get(name)), None)
        if name:
            made.append(counts("Languages", "Documents by language, as the first step saw them.", tables[name]))
            break
    return made


def _lengths(lengths: Mapping[str, Sequence[int]]) -> charts.Chart:
    sides = list(zip(lengths["kept"], lengths["rejected"], strict=True))
    used = [i for i, side in enumerate(sides) if any(side)] or [0]
    bins = [
        (f"{2 ** (i - 1):,}" if i else "0", float(2**i // 2), float(2**i), *sides[i])
        for i in range(used[0], used[-1] + 1)
    ]
    about = "Documents by length in characters, each class twice as long as the one before and named by its lower end."
    return charts.histogram("Lengths", about, bins, "characters", _bins("characters from", bins))


def counts(title: str, about: str, table: Mapping[str, int]) -> charts.Chart:
    """Return bars of the largest counts of a table."""
    top = list(table.items())[:12]
    behind = numbers.table(["", "documents"], [list(row) for row in list(table.items())[:LONGEST_TABLE]], title)
    return charts.bars(title, about, top, "documents", behind)


def _fate(group: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not group["step"]:
        return {"title": "kept", "number": steps[-1]["kept"]}
    ledger = next((step for step in steps if step["step"] == group["step"]), None)
    number = (ledger or {}).get(group["outcome"], {}).get(group["reason"])
    title = f"{group['outcome']} by {group['step']}: {group['reason']}"
    return {"title": title} if number is None else {"title": title, "number": number}


def _truth(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compare what each step set aside with what the demonstration crawl says that it should."""
    if not rows:
        return []
    keys = ("step", "removed", "rightly", "precision", "wanted", "recall")
    *steps, corpus = [[row[key] for key in keys] for row in rows]
    shares = {"precision": "percent", "recall": "percent"}
    header = ["step", "set aside", "of them rightly", "precision", "should go", "recall"]
    kept = ["", "kept", "of them rightly", "precision", "should be kept", "recall"]
    about = (
        "The crawl says of each record which steps should remove it. Rightly: by any step. "
        "Should go: of those that reached the step, those that it is meant for."
    )
    return [
        {"kind": "title", "text": "Against the planted truth"},
        {"kind": "text", "text": about, "mood": "muted"},
        {"kind": "table", "table": numbers.table(kept, [corpus], "The corpus.", shares), "folded": ""},
        {"kind": "table", "table": numbers.table(header, steps, "Each step.", shares), "folded": "each step"},
    ]


def _step_report(step: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of a step: its tables of counts, its chart, and what else it has."""
    tables = []
    for name, values in (found.get("tables") or {}).items():
        top = list(values.items())[:LONGEST_TABLE]
        more = f", and {len(values) - len(top):,} more in report.json" if len(values) > len(top) else ""
        tables.append(numbers.table(["", "count"], [list(row) for row in top], name + more))
    drawn = []
    if rows := found.get("calibration"):
        keys = ["from", "to", "documents", "mean_score", "mean_label"]
        behind = numbers.table(keys, [[row[key] for key in keys] for row in rows], "Calibration.")
        about = "Mean label by mean score of held-out documents; the dashed line is perfect, the area their number."
        drawn.append(charts.calibration("Calibration", about, rows, found.get("scale") or 5, behind))
    rest = {key: value for key, value in found.items() if key not in ("tables", "calibration", "svg")}
    text = json.dumps(_rounded(rest), indent=1, default=str, ensure_ascii=False)[:REST] if rest else ""
    return {"kind": "step", "name": step, "charts": drawn, "tables": tables, "rest": text}


def _rounded(part: Any) -> Any:
    if isinstance(part, float):
        return float(f"{part:.4g}")
    if isinstance(part, Mapping):
        return {key: _rounded(inner) for key, inner in part.items()}
    return [_rounded(inner) for inner in part] if isinstance(part, (list, tuple)) else part
