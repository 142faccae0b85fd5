"""``importance.html``: how much each layer, head, neuron and channel matters, and where the cut falls."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from core.report_html import document, table

from smallwright_inherited_init.layer_choice import LayerChoice

LEFT, RIGHT, ROW, GAP = 110.0, 640.0, 34.0, 8.0
"""Where bars begin and end, height of a row and room between rows, in SVG units."""
SINGLE = 64
"""Up to so many structures are drawn one by one in their order; more as a curve, sorted."""
POINTS = 240
"""Points of a curve."""
KEPT, DROPPED = "var(--accent)", "var(--second)"
SECTIONS = {
    "query_heads": ("Query heads", "each in its place"),
    "key_value_heads": ("Key/value heads", "each in its place"),
    "neurons": ("Feed-forward neurons", "sorted by score"),
    "channels": ("Hidden channels", "sorted by score"),
    "shortcuts": ("Bottleneck channels of shortcuts", "sorted by score"),
}


def render(
    choice: LayerChoice, scores: Mapping[str, Sequence[float]], report: Mapping[str, Any], layers: int, rule: str
) -> str:
    """Return the whole page.

    Args:
        scores: Score of each structure, by the report's keys, such as ``neurons.3``.
        report: What was kept, by the same keys: ``kept``, ``of``, ``indices``.
        layers: Layers of the source.
        rule: What structures are ranked by.
    """
    parts = [
        "<h1>What was inherited</h1>",
        '<p class="muted">Blue: kept. Orange: left out. Bars and curves of a row are relative to its highest.</p>',
        _layers(choice, layers),
    ]
    for section, (title, order) in SECTIONS.items():
        keys = [key for key in scores if _section(key) == section]
        if keys:
            rows = [(_label(key), scores[key], report[key]["indices"]) for key in keys]
            caption = f"{title}, {order}; ranked by {rule}."
            parts.append(f"<h2>{title}</h2>{_strips(rows, caption)}{_table(keys, report)}")
    return document("What was inherited", "\n".join(parts))


def _layers(choice: LayerChoice, layers: int) -> str:
    kept = set(choice.kept)
    values = [score - (choice.loss or 0.0) for score in choice.scores] if choice.scores else [1.0] * layers
    if choice.rule == "contiguous" and choice.scores:
        chosen = [start for start in range(len(values)) if start not in kept][:1]
        kept = set(range(len(values))) - set(chosen)
    loss = "" if choice.loss is None else f" Bars begin at the whole source's loss, {choice.loss:.4g}."
    caption = f"Layers by {choice.rule}: {choice.meaning or 'not measured'}.{loss}"
    figure = _strips([("layers", values, sorted(kept))], caption)
    header = ["layer", "kept", choice.meaning or "not measured"]
    shown = choice.scores or []
    rows = [
        [n, "yes" if n in choice.kept else "no", f"{shown[n]:.4g}" if n < len(shown) else ""] for n in range(layers)
    ]
    return f"<h2>Layers</h2>{figure}<details><summary>table</summary>{table(header, rows, numeric={0, 2})}</details>"


def _table(keys: Sequence[str], report: Mapping[str, Any]) -> str:
    rows = [[key, report[key]["kept"], report[key]["of"], report[key].get("share")] for key in keys]
    header = ["structures", "kept", "of", "share of all scores that is kept"]
    return f"<details><summary>table</summary>{table(header, rows, numeric={1, 2, 3})}</details>"


def _strips(rows: Sequence[tuple[str, Sequence[float], Sequence[int]]], caption: str) -> str:
    """Return an SVG figure with a row of bars, or a curve, for each (label, scores, kept indices)."""
    shapes = []
    for number, (label, scores, kept) in enumerate(rows):
        top = number * (ROW + GAP)
        shapes.append(f'<text x="0" y="{top + ROW - 4:.0f}">{escape(label)}</text>')
        low, high = min(0.0, min(scores)), max(scores)
        heights = [(score - low) / ((high - low) or 1.0) * ROW for score in scores]
        draw = _bars if len(scores) <= SINGLE else _curve
        shapes += draw(heights, set(kept), top + ROW)
    height = len(rows) * (ROW + GAP)
    svg = f'<svg viewBox="0 0 650 {height:.0f}" role="img">{"".join(shapes)}</svg>'
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _bars(heights: Sequence[float], kept: set[int], bottom: float) -> list[str]:
    width = (RIGHT - LEFT) / len(heights)
    return [
        f'<rect x="{LEFT + i * width:.1f}" y="{bottom - max(height, 1):.1f}" width="{width * 0.85:.1f}" '
        f'height="{max(height, 1):.1f}" fill="{KEPT if i in kept else DROPPED}"><title>{i}</title></rect>'
        for i, height in enumerate(heights)
    ]


def _curve(heights: Sequence[float], kept: set[int], bottom: float) -> list[str]:
    """Draw kept and dropped structures, each sorted, side by side as two areas."""
    shapes, x = [], LEFT
    step = (RIGHT - LEFT) / len(heights)
    for color, members in ((KEPT, kept), (DROPPED, set(range(len(heights))) - kept)):
        found = sorted((heights[i] for i in members), reverse=True)
        if not found:
            continue
        stride = max(1, len(heights) // POINTS)
        points = [f"{x + i * step:.1f},{bottom - found[i]:.1f}" for i in range(0, len(found), stride)]
        end = x + len(found) * step
        corners = f"{end:.1f},{bottom - found[-1]:.1f} {end:.1f},{bottom:.1f}"
        shapes.append(f'<polygon points="{x:.1f},{bottom:.1f} {" ".join(points)} {corners}" fill="{color}"/>')
        x = end
    return shapes


def _section(key: str) -> str:
    return "shortcuts" if ".attention_shortcuts." in key else key.partition(".")[0]


def _label(key: str) -> str:
    kind, _, place = key.partition(".")
    if ".attention_shortcuts." in key:
        return f"layer {kind}, path {key.rpartition('.')[2]}"
    return "all layers" if not place else f"layer {place}" if place[0].isdigit() else place
