# PYTHON_ARGCOMPLETE_OK
"""List installed plugins: name, kind, version, status and what each offers; show the settings of one name; or write the
package of a new plugin.

    python -m core.plugins
    python -m core.plugins --json
    python -m core.plugins show minhash
    python -m core.plugins new arch mine
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import cli, compose, discovery, new_plugin, option_help, settings_help
from core.kinds import TEMPLATES
from core.registry import Registry


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 when a plugin is broken, or two offer the same name."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    registry = discovery.load(options.plugin)
    if options.command == "show":
        print(_show(registry, options.name))
        return 0
    if options.command == "new":
        folder = new_plugin.create(options.kind, options.name, Path(options.into), registry)
        print(_next_commands(options.kind, options.name, folder))
        return 0
    rows = describe(registry)
    print(json.dumps(rows, indent=2) if options.json else render(rows))
    if options.traceback:
        for record in registry.plugins:
            if record.traceback:
                print(f"\n{record.distribution} {record.version}\n{record.traceback}", file=sys.stderr)
    return 1 if any(row["status"] in ("failed", "clash") for row in rows) else 0


def _show(registry: Registry, name: str) -> str:
    """Return what is registered under a name, or else the option of that name; ``data=jsonl`` means ``jsonl``."""
    name = name.rpartition("=")[2]
    options = option_help.render(registry, name) if not settings_help.registered(registry, name) else []
    return "\n\n".join(options or map(settings_help.render, settings_help.find(registry, name)))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("core.plugins", __doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--traceback", action="store_true", help="show why broken plugins fail")
    parser.add_argument("--plugin", default=[], **cli.PLUGIN_OPTION)
    commands = parser.add_subparsers(dest="command", metavar="show | new")
    show = commands.add_parser("show", help="what a registered name or an option does, and its settings")
    show.add_argument("name", help="the name, such as minhash, gqa or jsonl")
    show.add_argument("--plugin", default=argparse.SUPPRESS, **cli.PLUGIN_OPTION)
    kinds = "\n".join(f"  {kind:10} {about.about}" for kind, about in TEMPLATES.items())
    new = commands.add_parser(
        "new",
        help="write the package of a new plugin",
        description=f"Write a package that works as it is: install it, run its tests, change it.\n\nkinds:\n{kinds}",
        formatter_class=parser.formatter_class,
    )
    new.add_argument("kind", metavar="kind", choices=list(TEMPLATES), help=", ".join(TEMPLATES))
    new.add_argument("name", help="small letters, digits and underscores, such as my_filter")
    new.add_argument("--into", default=".", metavar="DIR", help="folder that gets the package's folder; default: here")
    return parser


def _next_commands(kind: str, name: str, folder: Path) -> str:
    use = TEMPLATES[kind].use.format(name=name)
    # Where hatchling is, everything is: a checkout. Elsewhere pip fetches hatchling, and what the tests need.
    whole = importlib.util.find_spec("hatchling") is not None
    install = f"--no-deps --no-build-isolation -e {folder}" if whole else f"-e '{folder}[test]'"
    return f"wrote {folder}\n\npython -m pip install {install}\npython -m pytest {folder}\npython -m core.run {use}"


def describe(registry: Registry) -> list[dict[str, Any]]:
    """Return a row for each plugin."""
    options: dict[str, list[str]] = {}
    for group, names in compose.option_index(registry).items():
        for name, distribution in names.items():
            options.setdefault(distribution, []).append(f"{group}={name}")
    clashes: dict[str, list[str]] = {}
    for found, message in registry.clashes():
        for entry in found:
            clashes.setdefault(entry.distribution, []).append(message)
    for (group, name), (origins, message) in compose.option_clashes(registry).items():
        for place, origin in enumerate(origins):
            clashes.setdefault(origin, []).append(message)
            if place:  # the index names the first distribution that offers an option, not the others
                options.setdefault(origin, []).append(f"{group}={name}")
    rows = []
    for record in registry.plugins:
        entries = [e for e in registry.entries() if (e.plugin, e.distribution) == (record.name, record.distribution)]
        clash = record.status == "ok" and record.distribution in clashes
        observes = registry.observes(record.name) if record.status == "ok" else []
        rows.append(
            {
                "name": record.name,
                "kind": ", ".join(sorted({entry.kind for entry in entries} | ({"observers"} if observes else set())))
                or ("configs" if record.status == "ok" else ""),
                "distribution": record.distribution,
                "version": record.version,
                "api_version": record.api_version,
                "status": "clash" if clash else record.status,
                "reason": " ".join(clashes[record.distribution]) if clash else record.reason,
                "offers": {
                    kind: [e.name for e in entries if e.kind == kind] for kind in sorted({e.kind for e in entries})
                },
                "observes": observes,
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
        observes = f"observes: {', '.join(row['observes'])}" if row["observes"] else ""
        said = "; ".join(filter(None, [offers, observes, configs]))
        what = row["reason"] if row["status"] != "ok" else said
        if row["status"] == "clash":
            what += f" Offers {said}"
        lines.append(f"{row['name']:16} {row['distribution']:32} {row['version']:10} {row['status']:8} {what}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
