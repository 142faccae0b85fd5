"""List installed plugins: name, kind, version, status and what each offers; or show the settings of one thing.

python -m core.plugins
python -m core.plugins --json
python -m core.plugins show minhash
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from core import compose, discovery, settings_help
from core.errors import UserError
from core.registry import Registry


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 when a plugin is broken."""
    parser = argparse.ArgumentParser(
        prog="python -m core.plugins", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=["show"], help="show: what a registered name does and takes")
    parser.add_argument("name", nargs="?", help="the name to show, such as minhash or gqa")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="FILE", help="load hooks from a local Python file"
    )
    parser.add_argument("--traceback", action="store_true", help="show why broken plugins fail")
    options = parser.parse_args(arguments)
    try:
        registry = discovery.load(options.plugin)
        if options.command == "show":
            if options.name is None:
                parser.error("show: which name?")
            print("\n\n".join(map(settings_help.render, settings_help.find(registry, options.name))), flush=True)
            return 0
        rows = describe(registry)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read our output has gone, as in ``| head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    print(json.dumps(rows, indent=2) if options.json else render(rows))
    if options.traceback:
        for record in registry.plugins:
            if record.traceback:
                print(f"\n{record.distribution} {record.version}\n{record.traceback}", file=sys.stderr)
    return 1 if any(row["status"] == "failed" for row in rows) else 0


def describe(registry: Registry) -> list[dict[str, Any]]:
    """Return a row for each plugin."""
    options: dict[str, list[str]] = {}
    for group, names in compose.option_index(registry).items():
        for name, distribution in names.items():
            options.setdefault(distribution, []).append(f"{group}={name}")
    rows = []
    for record in registry.plugins:
        entries = [entry for entry in registry.entries() if entry.plugin == record.name]
        rows.append(
            {
                "name": record.name,
                "kind": ", ".join(sorted({entry.kind for entry in entries}))
                or ("configs" if record.status == "ok" else ""),
                "distribution": record.distribution,
                "version": record.version,
                "api_version": record.api_version,
                "status": record.status,
                "reason": record.reason,
                "offers": {
                    kind: [e.name for e in entries if e.kind == kind] for kind in sorted({e.kind for e in entries})
                },
                "configs": sorted(options.get(record.distribution, [])) if record.status == "ok" else [],
            }
        )
    return rows


def render(rows: list[dict[str, Any]]) -> str:
    """Show the rows as a table."""
    lines = [f"{'plugin':16} {'distribution':32} {'version':10} {'status':8} offers"]
    for row in rows:
        offers = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in row["offers"].items())
        configs = f"configs: {', '.join(row['configs'])}" if row["configs"] else ""
        what = row["reason"] if row["status"] != "ok" else "; ".join(filter(None, [offers, configs]))
        lines.append(f"{row['name']:16} {row['distribution']:32} {row['version']:10} {row['status']:8} {what}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
