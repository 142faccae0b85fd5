"""One page: a template filled with plain data, the charts of it as Vega-Lite, and the scripts that draw them."""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from core import writing
from jinja2 import Environment, PackageLoader, StrictUndefined

from smallwright_report import numbers

SNIPPET = "window.vegaEmbed = vegaEmbed;"
"""What of the bundle a page can call."""


@functools.cache
def environment() -> Environment:
    """Return the templates' environment: everything is escaped, and a name that is missing is an error."""
    made = Environment(
        loader=PackageLoader("smallwright_report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": numbers.number,
        "count": numbers.count,
        "duration": numbers.duration,
        "memory": numbers.memory,
        "percent": numbers.percent,
        # For readers: tojson, for scripts, writes & and < as escapes of JSON.
        "json": functools.partial(json.dumps, indent=1, ensure_ascii=False, default=str),
    }
    return made


@functools.cache
def scripts() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script, from vl-convert.

    It takes two seconds to bundle them, so the script is kept in the user's cache, by version and :data:`SNIPPET`.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if not base.is_absolute():  # a user without a home has no cache
        base = Path(os.devnull)
    snippet = hashlib.sha256(SNIPPET.encode()).hexdigest()[:8]
    kept = base / "smallwright" / f"vega-{importlib.metadata.version('vl-convert-python')}-{snippet}.js"
    with contextlib.suppress(OSError, UnicodeError):
        if found := kept.read_text(encoding="utf-8"):  # a machine that lost its power can leave an empty file
            return found
    import vl_convert

    bundle = vl_convert.javascript_bundle(SNIPPET)
    # A script in a page ends at the first of these, wherever it stands.
    made = re.sub(r"</(script)", r"<\\/\1", bundle, flags=re.IGNORECASE)
    with contextlib.suppress(OSError):  # a cache that cannot be written is done without
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")  # of this process alone: several may begin at once
        partial.write_text(made, encoding="utf-8")
        partial.replace(kept)
    return made


def asset(name: str) -> str:
    """Return a style or script that this package brings."""
    return (files("smallwright_report") / "templates" / name).read_text(encoding="utf-8")


def fill(template: str, values: Mapping[str, Any], *, charts: bool) -> str:
    """Return a page.

    Args:
        template: File in ``templates/``.
        values: What it shows.
        charts: Whether it has any; without them it gets no script.
    """
    drawing = {"bundle": scripts(), "drawing": asset("page.js")} if charts else {"bundle": "", "drawing": ""}
    return environment().get_template(template).render(**values, **drawing, style=asset("page.css"))


def write(path: Path, text: str) -> Path:
    """Write a page, whole or not at all."""
    writing.write_text(path, text)
    return path
