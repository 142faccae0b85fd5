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
    """Yield every chart of a run's page with a name for its file, which no other has."""
    given: set[str] = set()
    for anchor, _, make in run_page.SECTIONS:
        section = step = ""
        for block in make(report):
            if block["kind"] == "title":
                section, step = block["text"], ""
            elif block["kind"] == "step":
                step = block["name"]
            for chart in block.get("charts", ()):
                words = " ".join(filter(None, [anchor, section, step, chart.title]))
                name = plain = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
                number = 1
                while name in given:  # words in other scripts leave nothing in a name
                    number += 1
                    name = f"{plain}-{number}"
                given.add(name)
                yield name, chart


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
