"""Which package brings what, for the line that says how to install a missing part.

``catalog.json`` beside this module is written from what the packages of this repository register and ship, by
``tools/write_catalog.py``. A test compares it with them.
"""

import functools
import json
from importlib.resources import files

from core.kinds import BY_NAME

FILE = "catalog.json"


@functools.cache
def catalog() -> dict[str, dict[str, str]]:
    """Return the package of each name, by kind (``steps``) or config group (``data/scorer``)."""
    return json.loads((files("core") / FILE).read_text(encoding="utf-8"))


def package_of(kind: str, name: str) -> str | None:
    """Return the package of ours that brings a name of a kind, or an option of a group such as ``data/scorer``."""
    group = BY_NAME[kind].group if kind in BY_NAME else None
    found = [catalog().get(place, {}).get(name) for place in (kind, group) if place is not None]
    return next((package for package in found if package is not None), None)


def install_hint(kind: str, *names: str) -> str:
    """Return ``" Install it: pip install ..."`` where packages of ours bring the names, else where to look."""
    packages = sorted({package for name in names if (package := package_of(kind, name)) is not None})
    if packages:
        return f" Install {'it' if len(packages) == 1 else 'them'}: pip install {' '.join(packages)}"
    return " See what is installed: python -m core.plugins"
