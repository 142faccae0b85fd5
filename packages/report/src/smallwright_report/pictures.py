"""The charts of a run as files, for papers and model cards."""

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core import writing

from smallwright_report import run_page
from smallwright_report.charts import Chart

WIDTH = 640
"""Pixels: what takes a page's width there has this one here."""
CONFIG = {"background": "white", "font": "sans-serif", "view": {"stroke": None}}


def charts(report: Mapping[str, Any]) -> Iterator[tuple[str, Chart]]:
    """Yield every chart of a run's page with a name for its file."""
    for anchor, _, make in run_page.SECTIONS:
        corpus = ""
        for block in make(report):
            if block["kind"] in ("title", "step"):
                corpus = block.get("text") or block["name"]
            for chart in block.get("charts", ()):
                name = " ".join(filter(None, [anchor, corpus, chart.title]))
                yield re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"), chart


def write(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write every chart as SVG and as PNG of twice the size; return the paths."""
    import vl_convert

    written = []
    for name, chart in charts(report):
        spec = copy.deepcopy(chart.spec) | {"width": WIDTH, "config": CONFIG}
        svg, png = folder / f"{name}.svg", folder / f"{name}.png"
        writing.write_text(svg, vl_convert.vegalite_to_svg(spec))
        with writing.replacing(png) as partial:
            partial.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
        written += [svg, png]
    return written
