"""The HTML report: tables and inline SVG, readable without a network and without scripts."""

import json
import re
from collections.abc import Mapping, Sequence, Set
from html import escape
from pathlib import Path
from typing import Any

from core import alignment, lineage

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--accent:#3b6fd4;--second:#d47a3b;--muted:#888}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right}.muted{color:var(--muted)}.failed{color:#c33;font-weight:600}
.bar{background:var(--accent);height:.8rem;min-width:1px}.bar.lost{background:var(--second)}
figure{margin:1rem 0}figcaption{color:var(--muted);font-size:.9rem}svg{width:100%;height:auto}
svg text{fill:currentColor;font-size:11px}pre{overflow-x:auto;font-size:.8rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:0 2rem}
pre.text{white-space:pre-wrap;max-height:24rem;overflow:auto;border-left:3px solid var(--line);padding-left:.6rem}
.tiles{display:flex;flex-wrap:wrap;gap:1rem}
.tiles div{flex:1 1 9rem;border:1px solid var(--line);border-radius:.4rem;padding:.6rem}
.tiles b{display:block;font-size:1.25rem}
"""


_LONGEST_TABLE = 30
_NUMBERS = re.compile(r"\[\s*(?:(?:[-\d.e+]+|null),?\s*)+\]")


def render(report: Mapping[str, Any]) -> str:
    """Return the whole page."""
    sections = (_head, _evaluation, _initialization, _training, _alignment, _funnel, _stages, _lineage, _configuration)
    body = "\n".join(filter(None, (section(report) for section in sections)))
    return document(report["name"], body)


def document(title: str, body: str) -> str:
    """Return a whole page with this body, which is HTML already."""
    head = f'<meta charset="utf-8"><title>{escape(title)} - smallwright</title>'
    head += f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _head(report: Mapping[str, Any]) -> str:
    tiles = []
    data, training = report.get("data"), report.get("pretrain")
    if data:
        tiles.append((f"{data['documents']:,}", f"documents kept, {_count(data['characters'])} characters"))
    if training:
        tiles += [
            (
                _count(training["stored_parameters"]),
                f"stored parameters, {_count(training['executed_parameters'])} executed",
            ),
            (_count(training["tokens"]), f"tokens trained on, {training['tokens_per_second']:,.0f} per second"),
            (
                f"{training['validation_loss']:.3f}",
                f"validation loss (unigram {training['unigram_loss']:.3f}), nats per token",
            ),
        ]
    tiles.append((f"{report['seconds']:.0f} s", "this run"))
    shown = "".join(f"<div><b>{escape(big)}</b>{escape(small)}</div>" for big, small in tiles)
    failed = [row for row in report["stages"] if row["status"] == "failed"]
    trouble = "".join(f'<p class="failed">{escape(row["name"])} failed: {escape(row["error"])}</p>' for row in failed)
    return f'<h1>{escape(report["name"])}</h1>{trouble}<div class="tiles">{shown}</div>'


def _evaluation(report: Mapping[str, Any]) -> str:
    if not report["eval"]:
        return ""
    rows = []
    for row in report["eval"]:
        engine = f"{row['engine']['name']} {row['engine']['version']}" if row.get("engine") else ""
        over = ""
        if row.get("chance") is not None and row.get("stderr") and row.get("higher_is_better", True):
            over = f"{(row['value'] - row['chance']) / row['stderr']:+.1f}"
        rows.append(
            [
                row["model"],
                row["task"],
                row["metric"],
                _number(row["value"]),
                _number(row.get("stderr")),
                _number(row.get("chance")),
                over,
                f"{row.get('n')} ({row['cut_items']} cut)" if row.get("cut_items") else row.get("n"),
                engine,
            ]
        )
    header = ["model", "task", "metric", "value", "std. error", "chance", "errors over chance", "n", "engine"]
    return "<h2>Evaluation</h2>" + table(header, rows, numeric={3, 4, 5, 6, 7})


def _initialization(report: Mapping[str, Any]) -> str:
    """Describe the weights that an initializer made, with links to the pages in its artifact."""
    summary = report.get("init")
    if not summary:
        return ""
    facts = [
        [key.replace("_", " "), _number(value) if isinstance(value, (int, float)) else _readable(value)]
        for key, value in summary.items()
        if key not in ("importance", "pages")
    ]
    artifact = next(Path(row["artifact"]) for row in report["stages"] if row["name"] == "init")
    links = [
        f'<p><a href="{escape((artifact / page).resolve().as_uri())}">{escape(title)}</a></p>'
        for title, page in (summary.get("pages") or {}).items()
    ]
    return "<h2>Starting weights</h2>" + table(["", ""], facts) + "".join(links)


def _training(report: Mapping[str, Any]) -> str:
    parts = []
    for name in ("pretrain", "pretrain-source"):
        training = report.get(name)
        if not training:
            continue
        curves = {"training": training["loss_curve"], "validation": training.get("validation_curve") or []}
        parts.append(
            f"<h2>{'Pretraining' if name == 'pretrain' else 'Pretraining of the source model'}</h2>"
            + line_chart(curves, "step", "loss, nats per token", rule=("unigram", training["unigram_loss"]))
            + line_chart(
                {"learning rate": training.get("learning_rate_curve") or []}, "step", "learning rate", height=110
            )
        )
        engine = training["engine"]
        facts = [
            ["engine", f"{engine['name']} {engine['version']}"],
            ["tokens per second", f"{training['tokens_per_second']:,.0f}"],
        ]
        if training.get("peak_memory_bytes"):
            facts.append(["peak memory", f"{training['peak_memory_bytes'] / 2**30:.2f} GiB"])
        if training.get("verification"):
            differences = training["verification"]["max_difference"]
            shown = ", ".join(f"{engines} {_number(value)}" for engines, value in differences.items())
            facts.append(["largest difference of log-probabilities between engines", shown])
        if training.get("notes"):
            facts.append(["notes", "; ".join(training["notes"])])
        parts.append(table(["", ""], facts))
    return "".join(parts)


def _alignment(report: Mapping[str, Any]) -> str:
    parts = []
    for name, summary in report["posttrain"].items():
        parts.append(
            f"<h3>{escape(name)}</h3>"
            + line_chart({"training": summary.get("loss_curve") or []}, "step", "loss", height=140)
        )
        before, after = summary.get("eval_before") or {}, summary.get("eval_after") or {}
        rows = [
            [key, _number(before.get(key)), _number(after.get(key))]
            for key in after
            if isinstance(after[key], (int, float))
        ]
        if rows:
            parts.append(table(["held-out", "before", "after"], rows, numeric={1, 2}))
        facts = [[name, shown] for name, shown in _of_the_set(summary) if shown]
        if facts:
            parts.append(table(["", ""], facts))
    changes = alignment.changes(report["eval"])
    if changes:
        first, last = alignment.models(report["eval"]) or ("", "")
        shown = [[task, metric, _number(old), _number(new), f"{new - old:+.4f}"] for task, metric, old, new in changes]
        parts.append("<h3>Before and after, on the evaluation tasks</h3>")
        parts += [f'<p class="failed">{escape(line)}</p>' for line in alignment.losses(report["eval"])]
        parts.append(table(["task", "metric", first, last, "change"], shown, numeric={2, 3, 4}))
    return f"<h2>Post-training</h2>{''.join(parts)}" if parts else ""


def _of_the_set(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a post-training method says of the set that it learned from."""

    def counted(values: Mapping[str, int]) -> str:
        return "; ".join(f"{count:,} {name}" for name, count in values.items())

    return [
        ("set", str(summary.get("dataset") or "")),
        ("recognised as", counted(summary.get("dataset_forms") or {})),
        ("set aside", counted(summary.get("rejected_reasons") or {})),
        ("not used, or written otherwise", counted(summary.get("not_used") or {})),
        ("notes", "; ".join(summary.get("notes") or ())),
    ]


def _funnel(report: Mapping[str, Any]) -> str:
    corpora = (report.get("data") or {}).get("corpora", {})
    parts = []
    for corpus in dict.fromkeys(row["corpus"] for row in report["funnel"]):
        summary = corpora.get(corpus, {})
        scores = summary.get("score_histogram")
        parts.append(f"<h3>{escape(corpus)}</h3>")
        parts.append(funnel_table([row for row in report["funnel"] if row["corpus"] == corpus]))
        if scores and any(scores["kept"] + scores["rejected"]):
            parts.append(histogram(scores, "Quality scores of documents: kept in the end (blue), set aside (orange)."))
        parts.append(_truth(summary.get("truth") or []))
        for step, found in (summary.get("step_reports") or {}).items():
            parts.append(_step_report(step, found))
    return f"<h2>Documents</h2>{''.join(parts)}" if parts else ""


def funnel_table(funnel: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of a corpus's steps, with a bar for what each kept."""
    widest = max((step["in"] for step in funnel), default=1) or 1
    rows = []
    for step in funnel:
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in step["rejected"].items())
        failures = "; ".join(f"{count:,} {reason}" for reason, count in step["failed"].items())
        bar = f'<div class="bar" style="width:{100 * step["kept"] / widest:.1f}%"></div>'
        failed = f' <span class="failed">{escape(failures)}</span>' if failures else ""
        rows.append(
            f'<tr><td>{escape(step["step"])}</td><td class="n">{step["in"]:,}</td><td class="n">{step["kept"]:,}</td>'
            f'<td style="width:22%">{bar}</td><td>{escape(reasons)}{failed}</td></tr>'
        )
    head = '<tr><th>step</th><th class="n">in</th><th class="n">kept</th><th></th><th>set aside, by reason</th></tr>'
    return f"<table>{head}{''.join(rows)}</table>"


def _truth(rows: Sequence[Mapping[str, Any]]) -> str:
    """Compare what each step set aside with what the demonstration crawl says that it should."""
    if not rows:
        return ""
    header = ["step", "set aside", "of them rightly", "precision", "should go", "recall"]
    shown = [
        [row["step"], row["removed"], row["rightly"], _share(row["precision"]), row["wanted"], _share(row["recall"])]
        for row in rows
    ]
    *steps, corpus = shown
    kept = ["", "kept", "of them rightly", "precision", "should be kept", "recall"]
    numeric = {1, 2, 3, 4, 5}
    return (
        "<h4>Against the planted truth</h4>"
        '<p class="muted">The crawl says of each record which steps should remove it. Rightly: by any step. '
        "Should go: of those that reached the step, those that it is meant for.</p>"
        + table(header, steps, numeric)
        + table(kept, [corpus], numeric)
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _step_report(step: str, found: Mapping[str, Any]) -> str:
    """Show the report of a step, folded: its tables of counts, its picture, and what else it has."""
    parts = []
    for name, counts in (found.get("tables") or {}).items():
        top = list(counts.items())[:_LONGEST_TABLE]
        parts.append(f"<h4>{escape(name)}</h4>" + table(["", "count"], [[k, _number(v)] for k, v in top], numeric={1}))
        if len(counts) > len(top):
            parts.append(f'<p class="muted">and {len(counts) - len(top):,} more in report.json</p>')
    if found.get("svg"):
        parts.append(f"<figure>{found['svg']}</figure>")
    rest = {key: value for key, value in found.items() if key not in ("tables", "svg")}
    if rest:
        parts.append(f"<pre>{escape(_readable(rest)[:20_000])}</pre>")
    return f"<details><summary>{escape(step)}</summary>{''.join(parts)}</details>"


def histogram(scores: Mapping[str, Any], caption: str) -> str:
    """Return an SVG figure of ``range`` and the counts by bin of ``kept`` and ``rejected``."""
    kept, rejected = scores["kept"], scores["rejected"]
    top = max(k + r for k, r in zip(kept, rejected, strict=True)) or 1
    width, height = 600 / len(kept), 120
    bars = []
    for i, (k, r) in enumerate(zip(kept, rejected, strict=True)):
        low, high = height * k / top, height * r / top
        place = f'x="{40 + i * width:.1f}" width="{width - 1:.1f}"'
        bars.append(f'<rect {place} y="{height - low:.1f}" height="{low:.1f}" fill="var(--accent)"/>')
        bars.append(f'<rect {place} y="{height - low - high:.1f}" height="{high:.1f}" fill="var(--second)"/>')
    low_label, high_label = scores["range"]
    return (
        f'<figure><svg viewBox="0 0 650 140">{"".join(bars)}<text x="40" y="{height + 14}">{low_label}</text>'
        f'<text x="625" y="{height + 14}">{high_label}</text><text x="0" y="12">{top:,}</text></svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _stages(report: Mapping[str, Any]) -> str:
    rows = []
    for row in report["stages"]:
        memory = f"{row['peak_memory_bytes'] / 2**30:.2f}" if "peak_memory_bytes" in row else ""
        made = f"{row['seconds_when_made']:.1f}" if "seconds_when_made" in row else ""
        rows.append([row["name"], row["status"], f"{row['seconds']:.1f}", made, memory, row["artifact"]])
    header = ["stage", "status", "seconds", "seconds when made", "peak GiB", "artifact"]
    return "<h2>Stages</h2>" + table(header, rows, numeric={2, 3, 4})


def _lineage(report: Mapping[str, Any]) -> str:
    if not report["lineage"]:
        return ""
    text = "\n".join(map(lineage.render_tree, report["lineage"].values()))
    return f"<h2>Lineage</h2><pre>{escape(text)}</pre>"


def _configuration(report: Mapping[str, Any]) -> str:
    text = json.dumps(report["config"], indent=1, default=str)
    return f"<h2>Configuration</h2><details><summary>resolved settings</summary><pre>{escape(text)}</pre></details>"


def line_chart(
    curves: Mapping[str, Sequence[Sequence[float]]],
    x_label: str,
    y_label: str,
    height: int = 240,
    rule: tuple[str, float] | None = None,
) -> str:
    """Return an SVG figure of curves, each a list of [x, y]; ``rule`` draws a labelled horizontal line."""
    points = [(x, y) for curve in curves.values() for x, y in curve]
    if not points:
        return ""
    xs, ys = [x for x, _ in points], [y for _, y in points] + ([rule[1]] if rule else [])
    left, right, top, bottom = 52.0, 640.0, 10.0, height - 24.0
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)
    span_x, span_y = (high_x - low_x) or 1.0, (high_y - low_y) or 1.0

    def place(x: float, y: float) -> str:
        return (
            f"{left + (x - low_x) / span_x * (right - left):.1f},{bottom - (y - low_y) / span_y * (bottom - top):.1f}"
        )

    shapes = []
    for color, (name, curve) in zip(("var(--accent)", "var(--second)", "#4a9"), curves.items(), strict=False):
        path = " ".join(place(x, y) for x, y in curve)
        title = f"<title>{escape(name)}</title>"
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.6">{title}</polyline>')
    if rule:
        _, y = place(low_x, rule[1]).split(",")
        shapes.append(
            f'<line x1="{left}" x2="{right}" y1="{y}" y2="{y}" stroke="var(--muted)" stroke-dasharray="4 3"/>'
        )
        shapes.append(f'<text x="{right - 60}" y="{float(y) + 12:.1f}">{escape(rule[0])}</text>')
    corners = ((2, top + 8, high_y), (2, bottom, low_y), (left, height - 8, low_x), (right - 30, height - 8, high_x))
    labels = "".join(f'<text x="{x}" y="{y}">{_number(value)}</text>' for x, y, value in corners)
    names = ", ".join(name for name, curve in curves.items() if curve)
    caption = f"<figcaption>{escape(y_label)} by {escape(x_label)} ({escape(names)})</figcaption>"
    return f'<figure><svg viewBox="0 0 650 {height}">{"".join(shapes)}{labels}</svg>{caption}</figure>'


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Set[int] = frozenset()) -> str:
    """Return a table; columns in ``numeric`` are aligned to the right."""

    def cell(tag: str, i: int, value: Any) -> str:
        mark = ' class="n"' if i in numeric else ""
        return f"<{tag}{mark}>{escape('' if value is None else str(value))}</{tag}>"

    head = "".join(cell("th", i, value) for i, value in enumerate(header))
    body = "".join(f"<tr>{''.join(cell('td', i, value) for i, value in enumerate(row))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _readable(value: Any) -> str:
    """Return JSON with rounded numbers and each list of numbers on one line."""

    def rounded(part: Any) -> Any:
        if isinstance(part, float):
            return float(f"{part:.4g}")
        if isinstance(part, Mapping):
            return {key: rounded(inner) for key, inner in part.items()}
        return [rounded(inner) for inner in part] if isinstance(part, (list, tuple)) else part

    text = json.dumps(rounded(value), indent=1, default=str, ensure_ascii=False)
    return _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)


def _number(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _count(value: float) -> str:
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2f} {unit}"
    return f"{value:,.0f}"
