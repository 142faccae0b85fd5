"""A launcher beside one run: the run as a job, in the allocation that this process has, or on several machines."""

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import compose, graph, names, store
from core.choices import key_of
from core.errors import ConfigError
from core.graph import StageSpec
from core.interfaces import Launcher, OneRun
from core.registry import Registry
from core.running import name_parts
from core.sweep.plan import launcher_of
from core.sweep.tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Composed:
    """A run with what its launcher adds."""

    config: Mapping[str, Any]
    stages: list[StageSpec]
    overrides: tuple[str, ...]
    """Of a command that does this run here, without the launcher."""
    launcher: Launcher | None = None
    one: OneRun | None = None


def composed(
    overrides: Sequence[str],
    registry: Registry,
    *,
    check: bool = True,
    without_corpus: bool = False,
    at_hand: bool = True,
) -> Composed:
    """Compose a run, with the settings that follow from its launcher's where nobody gave them.

    Args:
        check: Whether the launcher looks at this machine: not where another one is planned for.
        without_corpus: As :func:`core.graph.build` takes it.
        at_hand: As :func:`core.graph.build` takes it.

    Raises:
        core.errors.UserError: whatever is wrong with the configuration; or the launcher is for sweeps.
    """
    config = compose.compose(overrides, registry)
    stages = graph.build(config, registry, without_corpus=without_corpus, at_hand=at_hand)
    launcher = launcher_of(config, registry, check=check)
    if launcher is None:
        return Composed(config=config, stages=stages, overrides=tuple(overrides))
    name = config["launcher"]["name"]
    one = launcher.of_one_run()
    if one is None:
        raise ConfigError(f"launcher={name}: puts the runs of a sweep side by side. Add -m, or leave it out.")
    own = [override for override in overrides if key_of(override).split(".")[0] != "launcher"]
    given = {key_of(override) for override in own}
    if any(spec.entry.kind == "trainers" for spec in stages):
        own += [f"{key}={value}" for key, value in one.settings.items() if key not in given]
    config = compose.compose(own, registry)
    stages = graph.build(config, registry, without_corpus=without_corpus, at_hand=at_hand)
    return Composed(config=config, stages=stages, overrides=tuple(own), launcher=launcher, one=one)


def launch(run: Composed, plugin_files: Sequence[str]) -> int:
    """Have the launcher do the run, and return the exit code when it has ended.

    Its folder is ``run_dir``, or named after the command, so that the same command finds the same job again.
    """
    assert run.launcher is not None
    folder = _folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    flags = [part for file in plugin_files for part in ("--plugin", str(Path(file).resolve()))]
    without = [override for override in run.overrides if key_of(override) != "run_dir"]
    command = (sys.executable, "-m", "core.run", *flags, *without, f"run_dir={folder}")
    task = Task(name="run", command=command, log=folder / "run.log")
    failed: list[str | None] = []
    print(f"run: {folder}; its log: {task.log}", flush=True)
    run.launcher.launch([task], folder, lambda _, error: failed.append(error))
    if failed != [None]:
        print(f"error: {failed[0] if failed else 'the launcher lost the run'}", file=sys.stderr)
        return 1
    for line in task.log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("report: "):
            print(line)
    return 0


def _folder(run: Composed) -> Path:
    if run.config["run_dir"]:
        return Path(str(run.config["run_dir"])).resolve()
    name = "-".join(filter(None, name_parts(run.config, run.stages)))
    own = hashlib.sha256("\n".join(run.overrides).encode()).hexdigest()[:8]
    return Path("runs", f"{names.shorten(name)}-{own}").resolve()


def follow(run: Composed, registry: Registry, plugin_files: tuple[str, ...]) -> int:
    """Do this machine's part of the trainings of a run that another machine does."""
    root = Path(str(run.config["store"])).resolve()
    for spec in run.stages:
        if spec.entry.kind == "trainers" and store.read_manifest(spec.directory(root)) is None:
            print(f"{spec.name:16} follows  {spec.directory(root)}", flush=True)
            spec.build().follow(spec.job(root, plugin_files, registry.versions()))
    return 0
