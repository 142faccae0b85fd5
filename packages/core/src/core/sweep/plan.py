"""What the runs of a sweep will do: all composed and checked before any work."""

import dataclasses
import functools
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import compose, graph, names, observers, store
from core.entries import FinishedSpec
from core.errors import ConfigError, UserError
from core.interfaces import Launcher, Stage
from core.registry import Registry
from core.running import name_parts
from core.stage_spec import StageSpec
from core.sweep.points import Point
from core.workers import StageFailed, held_by

MANY = 20
"""With more runs it is said that they are planned: each takes a fifth of a second."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """One run of a sweep, composed and checked."""

    point: Point
    number: int
    """From 1, in the user's order."""
    config: Mapping[str, Any]
    stages: list[StageSpec]
    directory: Path
    """Folder of the run, inside the sweep's."""

    @functools.cached_property
    def artifacts(self) -> tuple[Path, ...]:
        """Where the stages' artifacts are, or will be."""
        root = Path(str(self.config["store"])).resolve()
        return tuple(spec.directory(root) for spec in self.stages)


def plan(points: Sequence[Point], registry: Registry, folder: Path | None = None) -> list[Planned]:
    """Compose and check every run.

    Args:
        points: The runs.
        registry: What is installed.
        folder: Of the sweep; None: ``run_dir`` where it is set, else one in ``runs``, named by what the runs are.

    Raises:
        UserError: what is wrong with a run, naming what it differs in; or two that are the same.
    """
    if len(points) > MANY:
        print(f"planning {len(points):,} runs", file=sys.stderr)
    planned = []
    for number, point in enumerate(points, 1):
        try:
            planned.append(plan_one(point, number, registry))
        except UserError as error:
            of = f" (run {number:,} of {len(points):,}: {point.label()})" if len(points) > 1 else ""
            kind = next(one for one in type(error).__mro__ if one.__module__ == UserError.__module__)
            raise kind(f"{error}{of}") from error
    observers.settings(planned[0].config.get("observers"), registry)
    observers.trackers(planned[0].config, registry)
    _refuse_same(planned)
    folder = folder or _folder(planned)
    return [dataclasses.replace(run, directory=folder / run.directory) for run in planned]


def plan_one(point: Point, number: int, registry: Registry) -> Planned:
    """Compose and check one run; its directory is relative to the sweep's."""
    config = compose.compose(point.overrides, registry)
    run = Planned(point=point, number=number, config=config, stages=graph.build(config, registry), directory=Path())
    return dataclasses.replace(run, directory=Path(_directory_name(run)))


def name_of(planned: Sequence[Planned]) -> str:
    """Return the name of a sweep: what the names of its runs have in common."""
    parts = [name_parts(run.config, run.stages) for run in planned]
    same = [column[0] for column in zip(*parts, strict=False) if column[0] and len(set(column)) == 1]
    return names.shorten("-".join(filter(None, same)) or "runs")


def launcher_of(config: Mapping[str, Any], registry: Registry, *, check: bool = True) -> Launcher | None:
    """Return the launcher that a configuration chooses.

    Args:
        check: After its own look that it can work here.

    Raises:
        UserError: a wrong setting, or what stands in its way.
    """
    node = config.get("launcher")
    if node is None:
        return None
    settings = dict(node)
    entry = registry.get("launchers", str(settings.pop("name", "")))
    launcher: Launcher = entry.build(entry.settings(settings, "launcher"))
    if check:
        launcher.check("launcher")
    return launcher


def launcher_of_sweep(planned: Sequence[Planned], registry: Registry, *, check: bool = True) -> Launcher | None:
    """Return the launcher of the runs, after its own look that it can work here and that their trainings fit a task.

    Without one, the stages that are to run refuse what this machine cannot do.

    Args:
        check: Whether this machine is looked at: not where another one is planned for.
    """
    launcher = launcher_of(planned[0].config, registry, check=check)
    if launcher is not None:
        _check_trainings(planned, launcher)
    elif check:
        for run in planned:
            check_here(run.stages, Path(str(run.config["store"])))
    return launcher


def check_here(stages: Sequence[StageSpec], root: Path) -> None:
    """Let each stage that is to run refuse what this machine cannot do."""
    for spec in stages:
        if not (spec.directory(root) / store.MANIFEST).exists():
            stage = spec.build()
            if isinstance(stage, Stage):
                stage.check_here(spec.name)


def _check_trainings(planned: Sequence[Planned], launcher: Launcher) -> None:
    """Ask a launcher whether its tasks can have the ranks of the trainings that are not finished."""
    users: dict[Path, list[StageSpec]] = defaultdict(list)
    for run in planned:
        for spec, artifact in zip(run.stages, run.artifacts, strict=True):
            if spec.folder == "pretrain" and spec.architecture is not None:
                users[artifact].append(spec)
    for artifact, (spec, *others) in users.items():
        check_training(spec, artifact, launcher, alone=len(others) + 1 == len(planned))


def check_training(spec: StageSpec, artifact: Path, launcher: Launcher, *, alone: bool) -> None:
    """Ask a launcher whether a task can have the ranks of a training, where that is not finished."""
    assert spec.architecture is not None
    estimate = spec.build().plan(spec.architecture.build())
    ranks = estimate.get("ranks_here", estimate.get("ranks", 1))  # of one machine, as a launcher counts GPUs
    if ranks > 1 and not is_finished(artifact, {}):
        launcher.check_training("launcher", ranks, estimate.get("device"), alone=alone)


def in_order(planned: Sequence[Planned]) -> list[Planned]:
    """Return the runs in the order of work: those that share stages, or what a stage's process holds, together."""
    seen: dict[Any, int] = defaultdict(lambda: len(seen))

    def key(run: Planned) -> list[tuple[int, int]]:
        steps = zip(run.stages, run.artifacts, strict=True)
        return [(seen[spec.name, _process_key(spec, run)], seen[artifact]) for spec, artifact in steps]

    keys = {run.number: key(run) for run in planned}
    return sorted(planned, key=lambda run: keys[run.number])


def is_finished(artifact: Path, known: dict[Path, bool]) -> bool:
    """Whether an artifact is there and whole: one with a partial result is gone on with.

    Args:
        known: What earlier calls found, which is added to.
    """
    if artifact not in known:
        try:
            manifest = store.read_manifest(artifact)
            known[artifact] = manifest is not None and not store.lacks(manifest)
        except UserError:  # damaged: the stage that needs it will say so
            known[artifact] = False
    return known[artifact]


def shared(planned: Sequence[Planned]) -> dict[Path, list[Planned]]:
    """Return the artifacts that several runs need, each with those runs, in the order of work."""
    users: dict[Path, list[Planned]] = defaultdict(list)
    for run in planned:
        for artifact in run.artifacts:
            users[artifact].append(run)
    return {artifact: runs for artifact, runs in users.items() if len(runs) > 1}


def process_key(spec: StageSpec, run: Planned) -> str | None:
    """Return what the process of a stage holds that the same stage of another run can use; None: nothing."""
    if isinstance(spec, FinishedSpec):  # an artifact that a run starts from: nothing makes it
        return None
    if getattr(spec.entry.load(), "shares_process", Stage.shares_process) is Stage.shares_process:
        return None  # most stages: a job is not made for the question
    job = spec.job(Path(str(run.config["store"])).resolve(), (), {})
    try:
        return held_by(job)
    except StageFailed:  # the stage says so when it is its turn
        return None


def _process_key(spec: StageSpec, run: Planned) -> str | Path | None:
    held = process_key(spec, run)
    return held if held is not None else spec.directory(Path())


def _refuse_same(planned: Sequence[Planned]) -> None:
    known: dict[tuple[Path, ...], Planned] = {}
    for run in planned:
        twin = known.setdefault(run.artifacts, run)
        if twin is not run:
            differ = {key for key in run.point.values if run.point.values[key] != twin.point.values.get(key)}
            both = " and ".join(_shown(one.point.values, differ) for one in (twin, run))
            raise ConfigError(
                f"{both}: the same run twice (numbers {twin.number:,} and {run.number:,}), for nothing that is made "
                "differs. Leave one out."
            )


def _shown(values: Mapping[str, str], keys: set[str]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items() if key in keys or not keys) or "a run"


def _folder(planned: Sequence[Planned]) -> Path:
    given = planned[0].config["run_dir"]
    if given:
        return Path(str(given)).resolve()
    runs = sorted(_identity(run) for run in planned)
    return Path("runs", f"{name_of(planned)}-sweep-{store.digest({'runs': runs})[:8]}").resolve()


def _directory_name(run: Planned) -> str:
    """Return a name that a person can read, and that stays when runs are added to the sweep."""
    keys = [key.rpartition(".")[2] for key in run.point.values]
    if len(set(keys)) < len(keys):
        keys = list(run.point.values)
    parts = [f"{key}-{value}" for key, value in zip(keys, run.point.values.values(), strict=True)]
    readable = re.sub(r"[^\w.+-]+", "_", "-".join(parts)).strip("._-")[:80]
    while len(readable.encode()) > names.LONGEST:  # letters of other scripts have up to four bytes
        readable = readable[:-1]
    return "-".join(filter(None, [readable, store.digest({"run": _identity(run)})[:8]]))


def _identity(run: Planned) -> list[str]:
    return [f"{spec.folder}/{spec.name}/{spec.digest}" for spec in run.stages]
