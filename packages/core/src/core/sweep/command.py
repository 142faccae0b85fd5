"""What ``core.run -m`` and ``core.plan -m`` do."""

import argparse
from collections.abc import Sequence

from core.errors import ConfigError
from core.registry import Registry
from core.sweep import plan, points
from core.sweep.carry_out import all_finished, carry_out


def planned(options: argparse.Namespace, registry: Registry) -> list[plan.Planned]:
    """Return the runs of a command line with ``-m``, composed and checked.

    Raises:
        core.errors.UserError: whatever is wrong with one of them, or with the sweep.
    """
    most = points.MOST if options.max_runs is None else options.max_runs
    seed = points.seed_of(options.overrides)
    found = points.expand(options.overrides, registry, samples=options.samples, seed=seed, most=most)
    return plan.plan(found, registry)


def run(options: argparse.Namespace, registry: Registry, arguments: Sequence[str]) -> int:
    """Do the runs of a command line with ``-m`` and return the exit code: 1 where one is not finished."""
    if options.config:
        raise ConfigError("--config: shows the settings of one run. Leave -m out, and give one value of each.")
    runs = planned(options, registry)
    launcher = plan.launcher_of(runs[0].config, registry)
    table = carry_out(
        runs,
        runs[0].directory.parent,
        name=plan.name_of(runs),
        arguments=arguments,
        registry=registry,
        plugin_files=options.plugin,
        launcher=launcher,
    )
    return 0 if all_finished(table) else 1
