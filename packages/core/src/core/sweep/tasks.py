"""The pieces of a sweep that a launcher puts side by side."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from core.sweep.plan import Planned, in_order, is_finished, process_key, shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One piece of work of a sweep: a command that runs on its own."""

    name: str
    """Unique in the sweep, and a safe file name."""
    command: tuple[str, ...]
    """What to run, from the folder that this process is in: ``<this Python> -m core.sweep.part <folder> ...``."""
    log: Path
    """Where its stdout and stderr go."""
    after: tuple[str, ...] = ()
    """Names of the tasks that must have ended, well or not, before this one starts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """A task, and what it is for."""

    task: Task
    runs: tuple[Planned, ...]
    """The runs that it does, or that need what it makes."""
    artifacts: tuple[Path, ...] = ()
    """What it makes for several runs; empty: it does the runs."""


def make(todo: Sequence[Planned], folder: Path, known: dict[Path, bool]) -> dict[str, Piece]:
    """Return the pieces of the work by the names of their tasks, each behind those that it waits for.

    What several runs share is made first, by a task for each set of runs that share something. Runs whose next stages
    can use one process after another are one task, which does them in turn.

    Args:
        todo: Runs that are not finished.
        folder: Of the sweep.
        known: Which artifacts are finished, which is added to.
    """
    ordered = in_order(todo)
    groups: dict[tuple[int, ...], list[Path]] = {}
    for artifact, runs in shared(ordered).items():
        if not is_finished(artifact, known):
            groups.setdefault(tuple(sorted(run.number for run in runs)), []).append(artifact)
    pieces: dict[str, Piece] = {}
    names: dict[tuple[int, ...], str] = {}
    # The larger a set of runs, the earlier in the runs is what they share; ``shared`` is in the order of work.
    for numbers in sorted(groups, key=len, reverse=True):
        first = next(run for run in ordered if run.number in numbers)
        stages = _stages(first, groups[numbers])
        name = names[numbers] = f"shared-{len(names) + 1}-{stages[-1]}"
        after = tuple(names[other] for other in names if other != numbers and set(other) > set(numbers))
        arguments = ["--run", str(first.number), "--stages", ",".join(stages)]
        users = tuple(run for run in ordered if run.number in numbers)
        task = _task(name, folder, arguments, after)
        pieces[name] = Piece(task=task, runs=users, artifacts=tuple(groups[numbers]))
    made = {artifact for artifacts in groups.values() for artifact in artifacts}
    for runs in _together(ordered, made, known):
        name = f"run-{runs[0].number}" + (f"-and-{len(runs) - 1}-more" if len(runs) > 1 else "")
        after = tuple(names[other] for other in names if any(run.number in other for run in runs))
        arguments = [part for run in runs for part in ("--run", str(run.number))]
        pieces[name] = Piece(task=_task(name, folder, arguments, after), runs=tuple(runs))
    return pieces


def _together(ordered: Sequence[Planned], made: set[Path], known: dict[Path, bool]) -> list[list[Planned]]:
    """Return the runs, those together whose next stages can use the same process."""
    groups: list[list[Planned]] = []
    last = None
    for run in ordered:
        own = [
            spec
            for spec, artifact in zip(run.stages, run.artifacts, strict=True)
            if artifact not in made and not is_finished(artifact, known)
        ]
        held = process_key(own[0], run) if own else None
        if groups and held is not None and held == last:
            groups[-1].append(run)
        else:
            groups.append([run])
        last = held
    return groups


def _stages(run: Planned, artifacts: Sequence[Path]) -> list[str]:
    """Return the names of the stages of a run that make these artifacts."""
    return [spec.name for spec, place in zip(run.stages, run.artifacts, strict=True) if place in artifacts]


def _task(name: str, folder: Path, arguments: Sequence[str], after: tuple[str, ...]) -> Task:
    command = (sys.executable, "-m", "core.sweep.part", str(folder), *arguments)
    return Task(name=name, command=command, log=folder / "logs" / f"{name}.log", after=after)
