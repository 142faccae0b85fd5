"""Write ``core/catalog.json``: which package of this repository brings which name and which option.

    python tools/write_catalog.py            # after a package, a name or an option was added
    python tools/write_catalog.py --check    # exit code 1 where it is not up to date

All packages must be installed (``make setup``).
"""

import json
import sys
from importlib.resources import files
from pathlib import Path

from core import compose, discovery
from core.catalog import FILE
from core.writing import write_json

CORE = "smallwright-core"
"""Needs no hint: whoever reads it has it."""


def collect() -> dict[str, dict[str, str]]:
    """Return what the catalog must say: kind or config group to name to package."""
    registry = discovery.load()
    found: dict[str, dict[str, str]] = {}
    for entry in registry.entries():
        if _is_ours(entry.distribution):
            found.setdefault(entry.kind, {})[entry.name] = entry.distribution
    for group, offered in compose.option_index(registry, Path("no folder")).items():
        for name, package in offered.items():
            if _is_ours(package):
                found.setdefault(group, {})[name] = package
    return {place: dict(sorted(names.items())) for place, names in sorted(found.items())}


def _is_ours(package: str) -> bool:
    return package.startswith("smallwright-") and package != CORE


def main() -> int:
    """Write the file, or with ``--check`` compare it."""
    path = Path(str(files("core"))) / FILE
    if sys.argv[1:] != ["--check"]:
        write_json(path, collect())
        return 0
    if json.loads(path.read_text(encoding="utf-8")) == collect():
        return 0
    print(f"{path} is not up to date: python tools/write_catalog.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
