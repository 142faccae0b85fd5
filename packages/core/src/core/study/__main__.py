# PYTHON_ARGCOMPLETE_OK
"""Do a study: runs that differ in one thing, for several seeds, a test between them, and one verdict.

    python -m core.study                                        # the studies that there are, with their claims
    python -m core.study shared_ffn_against_narrow
    python -m core.study shared_ffn_against_narrow 'seeds=range(0,8)' pretrain.steps=100
    python -m core.study ./mine.yaml +launcher=local            # the runs side by side

Settings of the study (docs/studies.md) and of the runs can be given; those of the runs are for all arms. What earlier
runs finished is reused: with more seeds only the new ones are run. run_dir=<dir> gets study.json, study.html and the
runs.
"""

import sys
from collections.abc import Sequence

from core import cli, discovery, writing
from core.study import find, plan, say, statistics, verdict
from core.sweep import carry_out
from core.sweep.plan import plan as plan_runs

PAGE = "study.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 where a run failed, whatever the verdict is."""
    return cli.carry_out(lambda: _main(arguments), "interrupted: give the same command to go on from here.")


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.run_parser("core.study", __doc__, _complete)
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
    statistics.require()
    folder, shared = _folder(name, study, shared)
    planned = plan_runs(plan.points(study, shared), registry, folder)
    plan.check(study, planned)
    said = tuple(sys.argv[1:] if arguments is None else arguments)
    sweep = carry_out.carry_out(
        planned, folder, name=name, arguments=said, registry=registry, plugin_files=tuple(options.plugin)
    )
    found = verdict.judge(name, study, shared, sweep) | {"sweep": str(folder / carry_out.NAME)}
    writing.write_json(folder / verdict.NAME, found)
    print()
    for line in say.lines(found):
        print(cli.printable(line))
    print(f"study: {_page(registry, found, folder)}")
    return 0 if all(row["status"] == "finished" for row in sweep["runs"]) else 1


if __name__ == "__main__":
    sys.exit(main())
