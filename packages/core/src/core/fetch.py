# PYTHON_ARGCOMPLETE_OK
"""Download the data sets that a run reads from the Hugging Face hub, once, so that it needs no network afterwards.

    python -m core.fetch +eval=smollm2_base --to data
    python -m core.fetch eval.tasks=[piqa,hellaswag] --to data
    python -m core.fetch +eval=olmes --to data --list

Each is read at the commit that its suite names, as Parquet; the folder's datasets.lock.json keeps the commit and the
SHA-256 of each file. A second call verifies what is there and downloads what is missing. Then: eval.data_dir=data.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import cli, completion, compose, discovery, kinds
from core.errors import InputError
from core.interfaces import Stage
from core.registry import Registry
from core.remote import PARTIAL, Folder, alone
from core.remote_data import DEFAULT, RemoteData, merged


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    options = cli.parse(_parser(), arguments)
    registry = discovery.load(options.plugin)
    cli.warn_about_broken(registry)
    wanted = read_by(options.overrides, registry)
    if options.list:
        print(json.dumps([{**vars(data), "folder": data.folder} for data in wanted], indent=2, default=list))
        return 0
    root = Path(options.to).expanduser()
    if root.exists() and not root.is_dir():
        raise InputError(f"--to {root}: not a folder. Give one; it is made where there is none.")
    fetch(wanted, root)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.run_parser("core.fetch", __doc__, completion.settings)
    parser.add_argument(
        "--to", required=True, metavar="FOLDER", help="where the data sets go; it may have some already"
    )
    parser.add_argument("--list", action="store_true", help="print as JSON what would be fetched, and fetch nothing")
    return parser


def read_by(overrides: Sequence[str], registry: Registry) -> list[RemoteData]:
    """Return the data sets on the hub that the stages of a command line read.

    Raises:
        core.errors.UserError: whatever is wrong with the configuration of a stage that reads some.
    """
    config = compose.compose(overrides, registry)
    found: list[RemoteData] = []
    for group, kind in kinds.GROUPS.items():
        node = config.get(group)
        name = node.get("name") if isinstance(node, dict) else None
        if name is None or name not in registry.names(kind.name):
            continue
        entry = registry.get(kind.name, str(name))
        made: Any = entry.load()
        if isinstance(made, type) and getattr(made, "fetches", Stage.fetches) is not Stage.fetches:
            settings = {key: value for key, value in node.items() if key != "name"}
            found += entry.build(entry.settings(settings, group)).fetches(group)
    return merged(found)


def fetch(wanted: Sequence[RemoteData], root: Path) -> None:
    """Download what is missing of the data sets, verify the rest, and print a line for each.

    Raises:
        core.errors.UserError: the hub cannot be reached, or does not have it.
    """
    if not wanted:
        print("nothing to fetch: no stage of this run reads a data set from the hub")
        return
    folder = Folder(root)
    fetched = False
    files = bytes_ = 0
    by_hand = []
    for number, data in enumerate(wanted, start=1):
        place = f"[{number}/{len(wanted)}]"
        if data.elsewhere:
            by_hand.append(data)
            continue
        whole = folder.complete(data)
        if not whole:
            with alone(root, f"{place} waits for another core.fetch into {root}"):
                folder, fetched = Folder(root), True
                whole = folder.complete(data)  # whoever held it may have brought it
                for line in () if whole else folder.fetch(data):
                    print(f"{place} {line}", flush=True)
        if whole:
            print(f"{place} {data.name} {data.config or DEFAULT}: verified", flush=True)
        entries = folder.files(data).values()
        files, bytes_ = files + len(entries), bytes_ + sum(entry["bytes"] for entry in entries)
    if fetched:
        with alone(root):  # another one may download there now
            shutil.rmtree(root / PARTIAL, ignore_errors=True)
    print(f"{root}: {files} files, {bytes_ / 1e6:.1f} MB; use them with eval.data_dir={root}")
    for data in by_hand:
        if not all((root / data.folder / f"{split}.jsonl").is_file() for split in data.splits):
            target = root / data.folder / f"{data.splits[0]}.jsonl"
            print(f"warning: {data.name} is not on the hub: take it from {data.elsewhere} to {target}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
