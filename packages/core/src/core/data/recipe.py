"""The configuration of a recipe: an ordered mapping of labels to steps, each with its own typed settings.

Imported by planning: no DataTrove here.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import fsspec

from core import config as typed
from core import fingerprint
from core.config import setting
from core.errors import ConfigError, InputError
from core.registry import Entry, Registry


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """A data recipe. Its YAML reads like a paper's method."""

    steps: Mapping[str, Any]
    """Label to ``{use: <registered step>, ...settings}``; ``use`` may be left out where it is the label."""
    paths: tuple[str, ...] | str | None = None
    """Input files: paths, globs or URLs of anything fsspec opens. None: ``source`` makes them."""
    source: Mapping[str, Any] | None = None
    """``{name: <registered source>, ...settings}``, used when ``paths`` is None."""
    scorer: Mapping[str, Any] | None = None
    """The step that labels, for recipes that refer to it as ``${data.scorer}``."""
    workers: int = setting(-1, identity=False)
    """Processes; -1: one per core. The outcome does not depend on it."""

    def __post_init__(self) -> None:
        if self.workers < 1 and self.workers != -1:
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
        return {"use": self.entry.name, "plugin": self.entry.origin, "config": config}


def plan_steps(recipe: RecipeConfig, registry: Registry) -> list[PlannedStep]:
    """Resolve and check every step of a recipe.

    Raises:
        MissingPluginError: a step that nothing installed offers.
        ConfigError: a wrong setting, named as ``data.steps.<label>.<key>``.
    """
    planned = []
    for label, node in recipe.steps.items():
        if node is None:
            node = {}
        if not isinstance(node, Mapping):
            raise ConfigError(f"data.steps.{label}={node!r}: expected settings, such as {{use: <step>, key: value}}.")
        settings = dict(node)
        entry = registry.get("steps", str(settings.pop("use", label)))
        config_class = entry.load_config()
        config = settings if config_class is None else typed.build(config_class, settings, f"data.steps.{label}")
        planned.append(PlannedStep(label=label, entry=entry, config=config))
    if not planned:
        raise ConfigError("data.steps is empty: a recipe needs at least a step that reads.")
    return planned


def expand(paths: tuple[str, ...] | str) -> tuple[str, ...]:
    """Return the files that the paths and globs name, in order, each once.

    Raises:
        InputError: a path that does not exist, or a glob that matches nothing.
    """
    files: list[str] = []
    for path in (paths,) if isinstance(paths, str) else paths:
        try:
            filesystem, plain = fsspec.core.url_to_fs(path)
            if any(character in plain for character in "*?["):
                matches = sorted(filesystem.glob(plain))
            else:
                matches = [plain] if filesystem.isfile(plain) else []
                if not matches and filesystem.isdir(plain):
                    raise InputError(f"data.paths: {path} is a folder; name its files: {path.rstrip('/')}/*.warc.gz")
        except (ImportError, OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"data.paths: cannot look at {path}: {error}") from error
        if not matches:
            here = f" (in {os.getcwd()})" if "://" not in path and not os.path.isabs(path) else ""
            raise InputError(f"data.paths: no file matches {path}{here}.")
        files += [filesystem.unstrip_protocol(m).removeprefix("file://") for m in matches]
    return tuple(dict.fromkeys(files))
