"""Which package brings what, for the line that says how to install a missing part.

``catalog.json`` beside this module is written from what the packages of this repository register and ship::

    python -m core.catalog

A test compares it with them.
"""

import functools
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from core.kinds import BY_NAME

FILE = "catalog.json"
OURS = "smallwright-"
CORE = "smallwright-core"
"""Needs no hint: it is there."""


@functools.cache
def _catalog() -> dict[str, dict[str, str]]:
    return json.loads((files("core") / FILE).read_text(encoding="utf-8"))


def package_of(kind: str, name: str) -> str | None:
    """Return the package of ours that brings a name of a kind, or an option of a group such as ``data/scorer``."""
    group = BY_NAME[kind].group if kind in BY_NAME else None
    found = [_catalog().get(place, {}).get(name) for place in (kind, group) if place is not None]
    return next((package for package in found if package is not None), None)


def install_hint(kind: str, *names: str) -> str:
    """Return ``" Install it: pip install ..."`` where packages of ours bring the names, else where to look."""
    packages = sorted({package for name in names if (package := package_of(kind, name)) is not None})
    if packages:
        return f" Install {'it' if len(packages) == 1 else 'them'}: pip install {' '.join(packages)}"
    return " See what is installed: python -m core.plugins"


def collect(registry: Any, options: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return what the catalog must say: kind or group to name to package, of our installed packages.

    Args:
        registry: A :class:`core.registry.Registry`.
        options: Of :func:`core.compose.option_index`.
    """
    found: dict[str, dict[str, str]] = {}
    for entry in registry.entries():
        if _is_hint(entry.distribution):
            found.setdefault(entry.kind, {})[entry.name] = entry.distribution
    for group, offered in options.items():
        ours = {name: package for name, package in offered.items() if _is_hint(package)}
        if ours:
            found.setdefault(group, {}).update(ours)
    return {place: dict(sorted(names.items())) for place, names in sorted(found.items())}


def _is_hint(package: str) -> bool:
    return package.startswith(OURS) and package != CORE


if __name__ == "__main__":
    from core import compose, discovery
    from core.writing import write_json

    installed = discovery.load()
    write_json(Path(str(files("core"))) / FILE, collect(installed, compose.option_index(installed, Path("no folder"))))
