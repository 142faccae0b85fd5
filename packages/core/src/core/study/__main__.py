# PYTHON_ARGCOMPLETE_OK
"""Do a study: runs that differ in one thing, for several seeds, a test between them, and one verdict.

    python -m core.study                                        # the studies that there are, with their claims
    python -m core.study shared_ffn_against_narrow
    python -m core.study shared_ffn_against_narrow 'seeds=range(0,8)' pretrain.steps=100
    python -m core.study shared_ffn_against_narrow --plan       # what it would do; nothing is run
    python -m core.study ./mine.yaml +launcher=local            # the runs side by side

Settings of the study (docs/studies.md) and of the runs can be given; those of the runs are for all arms. What earlier
runs finished is reused: with more seeds only the new ones are run. run_dir=<dir> gets study.json, study.html and the
runs.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from core import circumstances, cli, completion, discovery, names, pages, store, writing
from core.errors import UserError
from core.planning.model import Hardware
from core.registry import Registry
from core.significance import needed
from core.study import find, plan, say, verdict
from core.sweep import carry_out, describe
from core.sweep.plan import Planned, launcher_of_sweep
from core.sweep.plan import plan as plan_runs

PAGE = "study.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 where a run failed, whatever the verdict is."""
    return cli.carry_out(lambda: _main(arguments), "interrupted: give the same command to go on from here.")


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.run_parser("core.study", __doc__, _complete)
    parser.add_argument("--plan", action="store_true", help="say what the study would do, without doing it")
    options = cli.parse(parser, arguments)
    registry = discovery.load(options.plugin)
    cli.warn_about_broken(registry)
    given, own, shared = find.split(options.overrides)
    if given is None:
        for name, claim in find.listed(registry):
            print(f"{name}\n    {claim}")
        return 0
    name, study = find.load(given, own, registry)
    find.check_shared(shared)
    needed()  # before the work that would be lost without it
    planned = plan_runs(plan.points(study, shared), registry, Path())
    plan.check(study, planned)
    folder = _folder(name, planned)
    planned = [dataclasses.replace(run, directory=folder / run.directory) for run in planned]
    if options.plan:
        print(describe.render(describe.describe(planned, Hardware())))
        return 0
    said = tuple(sys.argv[1:] if arguments is None else arguments)
    sweep = carry_out.carry_out(
        planned,
        folder,
        name=name,
        arguments=said,
        registry=registry,
        plugin_files=tuple(options.plugin),
        launcher=launcher_of_sweep(planned, registry),
        module="core.study",
    )
    found = verdict.judge(name, study, shared, sweep) | {"sweep": str(folder / carry_out.NAME)}
    began = datetime.fromisoformat(sweep["started"]).timestamp()  # of the first command, where this one went on
    found["made"] = circumstances.describe(said, began, registry.versions(), "core.study")
    found["made"]["seconds"] = sweep["seconds"]
    writing.write_json(folder / verdict.NAME, found)
    print()
    for line in say.lines(found):
        print(cli.printable(line))
    print(f"study: {_page(registry, found, folder)}")
    return 0 if carry_out.all_finished(sweep) else 1


def _folder(name: str, planned: Sequence[Planned]) -> Path:
    """Return the folder of a study, named by what its runs are: the same command comes back to the same folder."""
    given = planned[0].config["run_dir"]
    if given:
        return Path(str(given)).resolve()
    made = sorted(str(artifact) for run in planned for artifact in run.artifacts)
    return Path("runs", f"{names.shorten(name)}-study-{store.digest({'runs': made})[:8]}").resolve()


def _page(registry: Registry, found: Mapping[str, Any], folder: Path) -> str:
    """Return the page of the study, or what lies there where nothing makes pages."""
    if registry.hooks.make_page.get_hookimpls():
        return str(pages.attempt(registry, "study", found, folder / PAGE) or folder / verdict.NAME)
    return f"{folder / verdict.NAME} (a page for people comes with {pages.HOW})"


def _complete(prefix: str, parsed_args: argparse.Namespace, **more: Any) -> list[str]:
    """Return what a word can become: a study or one of its settings, or what a run's can."""
    words = [f"{field}=" for field in find.FIELDS]
    try:
        words += [name for name, _ in find.listed(discovery.load(parsed_args.plugin or ()))]
    except UserError:
        return []
    return [word for word in words if word.startswith(prefix)] + completion.settings(prefix, parsed_args, **more)


if __name__ == "__main__":
    sys.exit(main())
