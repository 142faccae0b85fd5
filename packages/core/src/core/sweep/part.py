"""A part of a sweep, in a process of its own: ``python -m core.sweep.part <folder> --run <number> ...``.

Started by a launcher. It does the runs, or with ``--stages`` only those stages of one run, which others share. A stage
that another process makes is waited for. The table is kept by the command that launched it.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import cli, discovery, observers
from core.errors import InputError, UserError, reading
from core.registry import Registry
from core.running import Run, Work, do_stage
from core.sweep.carry_out import PLAN, do_run, note_failure
from core.sweep.failures import Failures
from core.sweep.plan import Planned, plan_one
from core.sweep.points import Point
from core.workers import Workers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 where a run failed."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.command_parser("core.sweep.part", __doc__)
    parser.add_argument("folder", type=Path, help="of the sweep")
    parser.add_argument("--run", type=int, action="append", required=True, metavar="N", help="its number")
    parser.add_argument("--stages", type=lambda text: text.split(","), help="do only these, which other runs share")
    options = parser.parse_args(arguments)
    described, plugin_files = _described(options.folder / PLAN, options.run)
    part = _Part(options, described, discovery.load(plugin_files), plugin_files)
    with Workers() as workers:
        return max(part.do(number, workers) for number in options.run)


def _described(path: Path, numbers: Sequence[int]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what the sweep's command wrote of its runs, and the local plugin files.

    Raises:
        InputError: the file is not there, is damaged, or has no such run.
    """
    with reading(path, "Run the sweep's command again."):
        described = json.loads(path.read_text(encoding="utf-8"))
        for number in numbers:
            about = described["runs"][str(number)]
            _ = list(about["overrides"]), dict(about["values"]), str(about["directory"])
        return described, tuple(described["plugin_files"])


class _Part:
    """What this process does of a sweep."""

    def __init__(
        self, options: argparse.Namespace, described: dict, registry: Registry, plugin_files: tuple[str, ...]
    ) -> None:
        self.options, self.described, self.registry, self.plugin_files = options, described, registry, plugin_files
        self.failures = Failures(options.folder)

    def do(self, number: int, workers: Workers) -> int:
        """Do one run, or its stages, and return the exit code."""
        try:
            planned = self._planned(number)
            if (reason := self.failures.reason(planned.artifacts)) is not None:
                raise InputError(reason)
            if self.options.stages:
                return self._stages(planned, workers)
            ended = do_run(planned, self.registry, self.plugin_files, workers)
        except UserError as error:
            print(cli.printable(f"error: run {number}: {error}"), file=sys.stderr, flush=True)
            return 1
        note_failure(planned, self.failures, ended)
        if ended.interruption is not None:
            raise ended.interruption
        if ended.failure is not None:
            said = f"stage {ended.failure.name} failed: {ended.failure.error}"
            print(cli.printable(f"error: run {number}: {said}"), file=sys.stderr, flush=True)
        return 0 if ended.failure is None and ended.report is not None else 1

    def _planned(self, number: int) -> Planned:
        about = self.described["runs"][str(number)]
        point = Point(overrides=tuple(about["overrides"]), values=about["values"])
        planned = plan_one(point, number, self.registry)
        if planned.directory.name != about["directory"]:
            raise InputError("what it would make is not what was planned: other files here, or other packages.")
        return dataclasses.replace(planned, directory=self.options.folder / planned.directory)

    def _stages(self, planned: Planned, workers: Workers) -> int:
        """Do stages that several runs share; their logs are in a folder of their own."""
        directory = self.options.folder / "shared" / "-".join(self.options.stages) / planned.directory.name
        work = Work(
            root=Path(str(planned.config["store"])).resolve(),
            registry=self.registry,
            plugin_files=self.plugin_files,
            workers=workers,
            waits=True,
        )
        (directory / "logs").mkdir(parents=True, exist_ok=True)
        trackers = observers.trackers(planned.config, self.registry)
        run = Run(
            name="-".join(self.options.stages),
            directory=directory,
            config=planned.config,
            trackers=trackers,
            is_shared=True,
        )
        observers.notify(self.registry, directory, "run_started", run=run)
        try:
            return self._shared(planned, run, work)
        finally:
            observers.notify(self.registry, directory, "run_finished", run=run)
            observers.conclude(run.failures)

    def _shared(self, planned: Planned, run: Run, work: Work) -> int:
        for spec, artifact in zip(planned.stages, planned.artifacts, strict=True):
            if spec.name not in self.options.stages:
                continue
            outcome = do_stage(spec, run, work)
            observers.notify(self.registry, run.directory, "stage_finished", run=run, stage=outcome)
            if outcome.status == "failed":
                self.failures.add(artifact, f"stage {outcome.name} failed: {outcome.error}")
                raise InputError(f"stage {outcome.name} failed: {outcome.error}")
        return 0


if __name__ == "__main__":
    sys.exit(main())
