# PYTHON_ARGCOMPLETE_OK
"""Look after a store of artifacts: what is in it, whether it is as it was written, and what can go.

    python -m core.store list
    python -m core.store verify
    python -m core.store verify data/finemath-0123456789ab
    python -m core.store gc --older-than 30
    python -m core.store rm pretrain/gqa-nano-0123456789ab

gc names what no run's report needs; it removes nothing without --delete.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from core import cli, store
from core.errors import ArtifactError, ConfigError
from core.store import upkeep
from core.store.upkeep import Artifact

UNITS = ("B", "kB", "MB", "GB", "TB")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 when ``verify`` finds something that was changed."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    return {"list": _list, "verify": _verify, "gc": _gc, "rm": _rm}[options.command](options)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("core.store", __doc__)
    commands = parser.add_subparsers(dest="command", metavar="list | verify | gc | rm", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--store", type=Path, default=Path("store"), metavar="DIR", help="the store (./store)")
    common.add_argument("--json", action="store_true", help="print JSON")
    runs = argparse.ArgumentParser(add_help=False)
    runs.add_argument(
        "--runs", type=Path, action="append", metavar="DIR", help="runs that use it (./runs); may be given several times"
    )
    commands.add_parser("list", parents=[common, runs], help="size, age and users of every artifact")
    verify = commands.add_parser("verify", parents=[common], help="read every file and compare its SHA-256")
    verify.add_argument("artifacts", nargs="*", metavar="ARTIFACT", help="only these: a path, or <folder>/<name>")
    gc = commands.add_parser("gc", parents=[common, runs], help="name what nothing needs; --delete removes it")
    gc.add_argument("--older-than", type=float, default=1.0, metavar="DAYS", help="leave what changed later (1)")
    gc.add_argument("--delete", action="store_true", help="remove what is named")
    rm = commands.add_parser("rm", parents=[common], help="remove artifacts")
    rm.add_argument("artifacts", nargs="+", metavar="ARTIFACT", help="a path, or <folder>/<name>")
    rm.add_argument("--force", action="store_true", help="also what other artifacts were made from")
    return parser


def _list(options: argparse.Namespace) -> int:
    found = upkeep.scan(options.store, _runs(options))
    if options.json:
        print(json.dumps([artifact.row() for artifact in found], indent=2))
        return 0
    width = max([len(artifact.name) for artifact in found], default=0)
    for artifact in found:
        print(f"{artifact.name:{width}} {_size(artifact.bytes):>9} {_age(artifact):>9} {_users(artifact)}")
    print(f"{len(found)} artifacts, {_size(sum(artifact.bytes for artifact in found))}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    if options.artifacts:
        folders = upkeep.find(options.artifacts, options.store)
    else:
        folders = [artifact.folder for artifact in upkeep.scan(options.store)]
    unfinished = [folder for folder in folders if not (folder / store.MANIFEST).exists()]
    faults = {str(folder): lines for folder in folders if (lines := store.faults(folder))}
    if options.json:
        print(json.dumps(faults, indent=2))
    for folder, lines in faults.items() if not options.json else ():
        for line in lines:
            print(line if line.startswith(folder) else f"{folder}: {line}")
    if not options.json:
        more = f", {len(unfinished)} unfinished" if unfinished else ""
        print(f"{len(folders) - len(unfinished)} artifacts read, {len(faults)} damaged{more}")
        if faults:
            print("Once a damaged one is removed, the run that made it makes it again, where it was made by one and what")
            print("it was made from is still here: python -m core.store rm --force <artifact>")
    return 1 if faults else 0


def _gc(options: argparse.Namespace) -> int:
    runs = _runs(options)
    artifacts = upkeep.scan(options.store, runs)
    with_runs = any(artifact.runs for artifact in artifacts)
    found = upkeep.garbage(artifacts, options.older_than, with_runs=with_runs)
    if options.json:
        print(json.dumps([{**artifact.row(), "reason": reason} for artifact, reason in found], indent=2))
    kept = 0
    for artifact, reason in found:
        done = "would go"
        if options.delete:
            try:
                upkeep.remove(artifact.folder)
                done = "removed"
            except ArtifactError:  # a run took it up a moment ago
                kept, done = kept + artifact.bytes, "kept: a run makes it now"
        if not options.json:
            print(f"{done:8} {_size(artifact.bytes):>9} {_age(artifact):>9} {artifact.name}: {reason}")
    if options.json:
        return 0
    size = _size(sum(artifact.bytes for artifact, _ in found) - kept)
    print(f"{size} {'freed' if options.delete else 'would be freed: --delete removes this'}")
    if not with_runs:
        places = ", ".join(map(str, runs)) or "./runs"
        print(f"No report in {places} names anything of this store, so finished artifacts stay: give --runs <dir>.")
    return 0


def _rm(options: argparse.Namespace) -> int:
    folders = upkeep.find(options.artifacts, options.store)
    going = {upkeep.name_of(folder) for folder in folders}
    for folder in folders if not options.force else ():
        neighbours = {artifact.name: artifact for artifact in upkeep.scan(folder.parent.parent)}
        users = [name for name in neighbours[upkeep.name_of(folder)].used_by if name not in going]
        if users:
            raise ConfigError(f"{folder}: {', '.join(users)} was made from it. --force removes it all the same.")
    for folder in folders:
        upkeep.remove(folder)
        if not options.json:
            print(f"removed {folder}")
    if options.json:
        print(json.dumps([str(folder) for folder in folders], indent=2))
    return 0


def _runs(options: argparse.Namespace) -> list[Path]:
    return options.runs or [Path("runs")]


def _users(artifact: Artifact) -> str:
    if artifact.state != "finished":
        return artifact.state
    users = [*artifact.used_by, *(f"run {Path(run).name}" for run in artifact.runs)]
    more = f" and {len(users) - 3} more" if len(users) > 3 else ""
    return f"used by {', '.join(users[:3])}{more}" if users else "used by nothing"


def _size(number: float) -> str:
    for unit in UNITS:
        if number < 1000 or unit == UNITS[-1]:
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def _age(artifact: Artifact) -> str:
    days = artifact.days()
    if days >= 1:
        return f"{days:.0f} d"
    return f"{days * 24:.0f} h" if days * 24 >= 1 else f"{days * 24 * 60:.0f} min"


if __name__ == "__main__":
    sys.exit(main())
