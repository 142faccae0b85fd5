# PYTHON_ARGCOMPLETE_OK
"""Compare runs, runs of a sweep, or models: scores on the same items with significance, settings, losses, costs.

    python -m core.compare runs/<run> runs/<other run>
    python -m core.compare runs/<run>                                  # its base model and its aligned one
    python -m core.compare runs/<run>:pretrain runs/<other run>:sft    # one of the models of a run
    python -m core.compare runs/<sweep> --baseline 2                   # all runs of a sweep against its second
    python -m core.compare runs/<sweep>#1 runs/<sweep>#3               # two runs of a sweep, by their numbers
    python -m core.compare store/pretrain/<artifact> store/posttrain/<artifact> --published SmolLM2-135M

A run is its last model that was evaluated; given alone, it is all of them. A sweep is its finished runs. A model's
artifact is looked up in its store: the evaluation with the most items of each task counts, of those the latest.

Every side is compared with the first. Tests are paired by item, on the items that all sides have: exact McNemar where
items are right or wrong, sign-flip permutation for other scores and for the losses of held-out documents. p is adjusted
over all tests (Holm); below 0.05 a difference is called better or worse. Files written: compare.json and compare.html.
"""

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from core import cli, discovery, names, pages, writing
from core.compare import arguments, build, published, statistics, text
from core.compare.sides import Side, named
from core.errors import ConfigError

RUNS = "runs"


def main(given: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(given))


def _main(given: Sequence[str] | None) -> int:
    options = _parser().parse_args(given)
    statistics.needed()  # before the work that would be lost without it
    sides, notes = arguments.read(options.sides, options.store)
    if not 1 <= options.baseline <= len(sides):
        raise ConfigError(f"--baseline {options.baseline}: there are {len(sides)} sides. Give a number from 1.")
    registry = discovery.load(options.plugin)
    others, lost = ([], []) if options.no_published else published.load(registry)
    command = shlex.join(["python", "-m", "core.compare", *(sys.argv[1:] if given is None else given)])
    found = build.compare(sides, options.baseline - 1, [*notes, *lost], others, options.published) | {
        "command": command
    }
    folder = options.to or _folder(sides)
    writing.write_json(folder / "compare.json", found)
    page = pages.attempt(registry, "compare", found, (folder / "compare.html").resolve())
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    print(cli.printable(text.render(found)))
    print(f"\nwritten: {folder / 'compare.json'}")
    if page is not None:
        print(f"page: {page}")
    elif not registry.hooks.make_page.get_hookimpls():
        print(f"no page: no installed plugin makes one. Install one: {pages.HOW}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("core.compare", __doc__)
    parser.add_argument(
        "sides", nargs="+", metavar="side", help="a run, a sweep or a model's artifact: <folder>[#<number>][:<model>]"
    )
    parser.add_argument(
        "--baseline", type=int, default=1, metavar="N", help="compare with the N-th side instead of the first"
    )
    parser.add_argument(
        "--published",
        metavar="NAME",
        help="beside the scores of published models with NAME in their names, or all; without it those of half to "
        "twice our parameters, where a task is the same",
    )
    parser.add_argument("--no-published", action="store_true", help="no published scores")
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="where the artifacts are, if not where the reports say"
    )
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="folder for compare.json and compare.html (runs/compare-<names>)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plugin", default=[], **cli.PLUGIN_OPTION)
    return parser


def _folder(sides: Sequence[Side]) -> Path:
    """Return a folder for these sides, the same for the same ones."""
    shown = named(sides)
    words = "-".join(shown[:2]) + (f"-and-{len(shown) - 2}-more" if len(shown) > 2 else "")
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in words)
    what = hashlib.sha256(json.dumps([side.argument for side in sides]).encode()).hexdigest()[:6]
    return Path(RUNS) / names.shorten(f"compare-{plain[: names.LONGEST - 20]}-{what}")


if __name__ == "__main__":
    sys.exit(main())
