"""The configuration of a recipe: an ordered mapping of labels to steps, each with its own typed settings.

Planning imports this module, so it does not import DataTrove, which takes seconds.
"""

import dataclasses
import glob
import os
import re
from collections.abc import Mapping
from typing import Any

from core import fingerprint
from core import names as path_names
from core.catalog import install_hint
from core.checks import check_target
from core.errors import ConfigError, InputError, MissingPluginError, UserError, nearest
from core.registry import Entry, Registry
from core.storage import url_to_fs
from core.typed import setting
from core.writing import is_partial

_MAGIC = re.compile(r"[*?\[]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """A data recipe. Its YAML reads like a paper's method."""

    steps: Mapping[str, Any]
    """Label to ``{use: <registered step>, ...settings}``; ``use`` may be left out where it is the label. Settings that
    are not given keep their defaults. ``like: {...}`` gives settings to start from, such as ``${...scorer}``."""
    name: str = setting("data", identity=False)
    """Name of the recipe, by which :mod:`core.data.truth` knows what it should keep."""
    paths: tuple[str, ...] | str | None = None
    """Input files: paths, globs or URLs of anything fsspec opens. None: ``source`` makes them."""
    files: tuple[str, ...] | None = setting(None, identity=False)
    """The input files one by one. Set by planning, from ``paths`` or from what the reading step lists."""
    source: Mapping[str, Any] | None = None
    """``{name: <registered source>, ...settings}``, used when ``paths`` is None."""
    scorer: Mapping[str, Any] | None = None
    """The step that labels, for steps that are ``like: ${...scorer}``."""
    classifier: Mapping[str, Any] | None = None
    """The step that learns from labels and scores, for steps that are ``like: ${...classifier}``."""
    shards: int | None = setting(None, ge=1)
    """Parts of the corpus; None: one per input file. Set it where one file lists all there is to read, such as an index
    of records."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalExecutorConfig:
    """Settings of the executor ``local``: processes of this machine."""

    workers: int = setting(-1, ge=-1, le=65_536, identity=False)
    """Processes; -1: one per core that the run may use."""

    def __post_init__(self) -> None:
        if self.workers == 0:
            raise ValueError(f"workers={self.workers}: must be at least 1, or -1 for one per core.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One step of a recipe, its settings checked."""

    label: str
    entry: Entry
    config: Any
    """The built dataclass; for a step without one, the keyword arguments as a dict."""

    def identity(self, registry: Registry) -> dict[str, Any]:
        config = fingerprint.identity(self.config, registry, f"data.steps.{self.label}")
        return {**self.entry.identity(), "config": config}


def several(node: Mapping[str, Any]) -> bool:
    """Whether the settings of ``data`` hold several recipes by their labels, and not those of a single one."""
    return "steps" not in node and "corpus" not in node and all(isinstance(part, Mapping) for part in node.values())


def step_settings(label: str, node: Any, where: str) -> tuple[str, dict[str, Any]]:
    """Return the registered name of a step of the recipe at ``where``, and its settings over those that it is ``like``.

    Raises:
        ConfigError: what stands under the label are no settings.
    """
    if node is None:
        node = {}
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where}.steps.{label}={node!r}: expected settings, such as {{use: <step>, key: value}}.")
    settings = {**(node.get("like") or {}), **{key: value for key, value in node.items() if key != "like"}}
    return str(settings.pop("use", label)), settings


def plan_steps(recipe: RecipeConfig, registry: Registry, where: str = "data") -> list[PlannedStep]:
    """Resolve and check every step of the recipe at ``where`` in the configuration.

    Raises:
        MissingPluginError: a step that nothing installed offers.
        UserError: a wrong setting, named as ``data.steps.<label>.<key>``, or what a configuration's own ``check``
            finds missing before any work: a model's folder, a benchmark, a library.
    """
    known = set(registry.names("steps"))
    missing = {}
    planned = []
    for label, node in recipe.steps.items():
        path_names.check(str(label), f"a label of {where}.steps")
        use, settings = step_settings(label, node, where)
        named = node is not None and "use" in {**(node.get("like") or {}), **node}
        if use not in known:
            if not named and (guess := nearest(label, set(recipe.steps) - {label})):
                raise ConfigError(f"{where}.steps.{label}: no such step in the recipe.{guess}")
            missing[label] = use
            continue
        entry = registry.get("steps", use)
        check_target(entry)
        place = f"{where}.steps.{label}"
        try:
            config = settings if entry.config is None else entry.settings(settings, place)
            if not isinstance(config, dict):
                config.check(registry, place)
        except UserError as error:
            raise _as_written(error, recipe, label, where) from error
        planned.append(PlannedStep(label=label, entry=entry, config=config))
    if len(missing) > 1:
        names = ", ".join(map(repr, dict.fromkeys(missing.values())))
        raise MissingPluginError(f"no installed plugin offers steps {names}.{install_hint('steps', *missing.values())}")
    for label, use in missing.items():
        try:
            registry.get("steps", use)
        except MissingPluginError as error:
            raise MissingPluginError(
                f"{where}.steps.{label}: {error} Or leave it out: '~{where}.steps.{label}'."
            ) from None
    if not planned:
        raise ConfigError(f"{where}.steps is empty: a recipe needs at least a step that reads.")
    return planned


def _as_written(error: UserError, recipe: RecipeConfig, label: str, where: str) -> UserError:
    """Return the error with the key that the user wrote.

    A step that is ``like: ${...scorer}`` has its settings from ``data.scorer``.
    """
    step, node = f"{where}.steps.{label}", recipe.steps[label] or {}
    key = str(error).removeprefix(f"{step}.").split(":")[0].split("=")[0].split(".")[0]
    like = node.get("like") or {}
    for name, origin in (("scorer", recipe.scorer), ("classifier", recipe.classifier)):
        if like and like == origin and key in like and key not in node:
            return type(error)(str(error).replace(f"{step}.{key}", f"{where}.{name}.{key}"))
    return error


def expand(paths: tuple[str, ...] | str, where: str = "data") -> tuple[str, ...]:
    """Return the files that the paths and globs of ``<where>.paths`` name, in order, each once.

    A path that exists is that file, whatever signs are in its name; so is the folder that a glob begins with.

    Raises:
        InputError: a path that does not exist, or a glob that matches nothing.
    """
    if not paths:
        raise InputError(f"{where}.paths is empty: name at least one file, or leave it out.")
    files: list[str] = []
    for path in (paths,) if isinstance(paths, str) else paths:
        try:
            filesystem, plain = url_to_fs(path)
            if filesystem.isfile(plain):
                matches = [plain]
            elif filesystem.isdir(plain):
                raise InputError(f"{where}.paths: {path} is a folder; name its files: {path.rstrip('/')}/*")
            else:
                matches = sorted(_matches(filesystem, plain))
        except (ImportError, OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{where}.paths: cannot look at {path}: {error}") from error
        if not matches:
            here = f" (in {os.getcwd()})" if "://" not in path and not os.path.isabs(path) else ""
            raise InputError(f"{where}.paths: no file matches {path}{here}.")
        files += [filesystem.unstrip_protocol(m).removeprefix("file://") for m in matches]
    return tuple(dict.fromkeys(files))


def _matches(filesystem: Any, pattern: str) -> list[str]:
    """Return the files that a glob matches; a folder of it that exists is meant as it is written."""
    if not _MAGIC.search(pattern):
        return []
    done: list[str] = []
    folder = ""
    for part in pattern.split("/"):
        folder = part if not done else f"{folder}/{part}"
        done.append(glob.escape(part) if _MAGIC.search(part) and filesystem.isdir(folder) else part)
    found = filesystem.glob("/".join(done), detail=True)
    fixed = 0  # folders that the pattern names as they are, which may be called as they like
    while fixed < len(done) - 1 and not _MAGIC.search(pattern.split("/")[fixed]):
        fixed += 1
    return [
        name
        for name, about in found.items()
        if about.get("type") != "directory" and not is_partial("/".join(name.split("/")[fixed:]))
    ]
