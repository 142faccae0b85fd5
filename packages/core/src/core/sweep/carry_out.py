"""Do what is missing of a sweep's runs, and keep its table."""

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import cli, running, store, writing
from core.errors import InputError, UserError, cannot_write
from core.headline import duration
from core.interfaces import Launcher
from core.overrides import OVERRIDE
from core.registry import Registry
from core.sweep import metrics, tasks
from core.sweep.failures import Failures
from core.sweep.plan import Planned, in_order, is_finished
from core.sweep.points import SINGLE
from core.sweep.table import FINISHED, NAME, Table
from core.workers import Workers

__all__ = ["NAME", "all_finished", "carry_out"]
PLAN = "plan.json"
"""File of the sweep's folder that tells its tasks what the runs are."""


def all_finished(table: Mapping[str, Any]) -> bool:
    """Whether every run of a sweep's table is finished."""
    return all(row["status"] == FINISHED for row in table["runs"])


def carry_out(
    planned: Sequence[Planned],
    folder: Path,
    *,
    name: str,
    arguments: Sequence[str] = (),
    registry: Registry,
    plugin_files: Sequence[str] = (),
    launcher: Launcher | None = None,
    module: str = "core.run",
) -> dict[str, Any]:
    """Do what is missing of the runs, and return the sweep's table, which is ``sweep.json`` in its folder.

    A run that fails does not stop the others. What an earlier command finished is not done again.

    Args:
        planned: The runs, in the user's order.
        folder: Of the sweep.
        name: Of the sweep.
        arguments: Of the command, for the table.
        registry: What is installed.
        plugin_files: Local files given with ``--plugin``.
        launcher: What puts the runs side by side; None: one after another in this process.
        module: Of the command, for the table.

    Raises:
        UserError: the folder cannot be used.
        KeyboardInterrupt: the user, or a signal, asked for an end; the table says what there is.
    """
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(store.lock(folder, used="written to", setting="run_dir"))
            table = Table(planned, folder, name, module, arguments)
            writing.write_json(folder / PLAN, _plan(planned, plugin_files))
        except OSError as error:
            raise InputError(f"{cannot_write(error, folder)} Or give another run_dir=<dir>.") from error
        sweep = _Sweep(planned, folder, table, registry, tuple(plugin_files))
        try:
            sweep.do(launcher)
        finally:
            pages = table.close(registry)
        sweep.tell(pages)
        return table.content()


def do_run(planned: Planned, registry: Registry, plugin_files: tuple[str, ...], workers: Workers) -> running.Ended:
    """Do one run, in its folder inside the sweep's.

    Raises:
        UserError: the folder cannot be used.
    """
    config = {key: value for key, value in planned.config.items() if key != "launcher"}
    config["run_dir"] = str(planned.directory)
    flags = [part for file in plugin_files for part in ("--plugin", file)]
    alone = [override for override in planned.point.overrides if not _is_of_the_sweep(override)]
    arguments = (*flags, *alone, f"run_dir={planned.directory}")
    return running.perform(config, planned.stages, registry, plugin_files, arguments, workers, waits=True)


def note_failure(planned: Planned, failures: Failures, ended: running.Ended) -> None:
    """Note the stage that failed in a run, for those that need it too."""
    if ended.failure is not None and ended.interruption is None:
        failed = next(place for place in planned.artifacts if str(place) == ended.failure.artifact)
        failures.add(failed, f"stage {ended.failure.name} failed: {ended.failure.error}")


class _Sweep:
    """The work on the runs that are not finished."""

    def __init__(
        self,
        planned: Sequence[Planned],
        folder: Path,
        table: Table,
        registry: Registry,
        plugin_files: tuple[str, ...],
    ) -> None:
        self.planned, self.folder, self.table = planned, folder, table
        self.registry, self.plugin_files = registry, plugin_files
        self.failures = Failures(folder)
        self.known: dict[Path, bool] = {}

    def do(self, launcher: Launcher | None) -> None:
        self.failures.forget()
        todo = [one for one in self.planned if not self._is_done(one)]
        self.table.write()
        print(f"{_number(self.planned)} in {self.folder}", flush=True)
        if len(todo) < len(self.planned):
            print(f"{len(self.planned) - len(todo):,} of {len(self.planned):,} runs are finished", flush=True)
        here: list[Planned] = []
        apart: list[Planned] = []
        for one in todo:  # what only needs its report is not worth a job
            made = all(is_finished(place, self.known) for place in one.artifacts)
            (here if launcher is None or made else apart).append(one)
        self._one_after_another(here)
        if launcher is not None and apart:
            self._side_by_side(apart, launcher)

    def tell(self, pages: Sequence[Path]) -> None:
        rows = self.table.content()["runs"]
        counts = [f"{sum(row['status'] == status for row in rows):,} {status}" for status in _statuses(rows)]
        print(f"{_number(rows)}: {', '.join(counts)}")
        for path in (self.folder / NAME, *pages):
            print(f"sweep: {path}")

    def _is_done(self, planned: Planned) -> bool:
        there = all(is_finished(place, self.known) for place in planned.artifacts)
        return there and self.table.finished_before(planned)

    def _one_after_another(self, todo: Sequence[Planned]) -> None:
        with Workers() as workers:
            for planned in in_order(todo):
                started = time.monotonic()
                reason = self.failures.reason(planned.artifacts)
                if reason is None:
                    ended = self._ended(planned, workers)
                    reason = ended if isinstance(ended, str) else None
                if reason is not None:
                    self._say(self.table.fail(planned, reason), 0)
                    continue
                assert isinstance(ended, running.Ended)
                note_failure(planned, self.failures, ended)
                if ended.report is None:
                    self._say(self.table.fail(planned, ended.trouble), 0)
                else:
                    seconds = time.monotonic() - started
                    self._say(self.table.report(planned, ended.report), seconds, metrics.main(ended.report))
                if ended.interruption is not None:
                    raise ended.interruption

    def _ended(self, planned: Planned, workers: Workers) -> running.Ended | str:
        """Do a run, with its lines in its own log; return how it ended, or why it could not begin."""
        try:
            log = planned.directory / "logs" / "run.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            with open(log, "w", encoding="utf-8") as lines, contextlib.redirect_stdout(lines):
                return do_run(planned, self.registry, self.plugin_files, workers)
        except UserError as error:
            return str(error)
        except OSError as error:
            return cannot_write(error, planned.directory)

    def _side_by_side(self, todo: Sequence[Planned], launcher: Launcher) -> None:
        """Have a launcher do the tasks, and fill the rows of the runs as their tasks end."""
        for planned in todo:
            writing.remove(planned.directory / "report.json")  # of an earlier attempt
        made = tasks.make(todo, self.folder, self.known)
        left = {planned.number: planned for planned in todo}

        def ended(task: tasks.Task, error: str | None) -> None:
            piece = made[task.name]
            for artifact in piece.artifacts if error is not None else ():
                if self.failures.reason([artifact]) is None and not is_finished(artifact, {}):
                    self.failures.add(artifact, f"{task.name}: {error} See {task.log}.")
            for planned in piece.runs if not piece.artifacts else ():
                del left[planned.number]
                report = self.table.read_report(planned)
                if report is not None:
                    self._say(self.table.report(planned, report), report["seconds"], metrics.main(report))
                else:
                    reason = self.failures.reason(planned.artifacts)
                    self._say(self.table.fail(planned, reason or f"{error or 'no report'} See {task.log}."), 0)

        try:
            launcher.launch([piece.task for piece in made.values()], self.folder, ended)
        finally:
            for planned in left.values():  # an interruption, or a launcher that lost a task
                if (report := self.table.read_report(planned)) is not None:
                    self.table.report(planned, report)

    def _say(self, row: Mapping[str, Any], seconds: float, names: Sequence[str] = ()) -> None:
        """Write the table, and print the line of a run."""
        self.table.write()
        values = " ".join(f"{key}={value}" for key, value in row["values"].items()) or "a run"
        of = f"[{row['number']}/{len(self.planned)}]"
        if row["status"] == FINISHED:
            said = [f"{name} {metrics.shown(row['metrics'][name])}" for name in names]
            said.append(duration(seconds))
            print(cli.printable(f"{of} {values}: {', '.join(said)}"), flush=True)
        else:
            print(cli.printable(f"{of} {values}: failed: {row['error']}"), file=sys.stderr, flush=True)


def _number(runs: Sequence[Any]) -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs):,} runs"


def _statuses(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({row["status"] for row in rows}, key=lambda status: (status != FINISHED, status))


def _plan(planned: Sequence[Planned], plugin_files: Sequence[str]) -> dict[str, Any]:
    runs = {
        str(one.number): {
            "overrides": list(one.point.overrides),
            "values": dict(one.point.values),
            "directory": one.directory.name,
        }
        for one in planned
    }
    return {"plugin_files": [str(Path(file).resolve()) for file in plugin_files], "runs": runs}


def _is_of_the_sweep(override: str) -> bool:
    match = OVERRIDE.match(override)
    first = match["key"].partition(".")[0] if match is not None else ""
    return first in SINGLE and first != "store"
