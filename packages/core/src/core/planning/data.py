"""What a plan says of data: each recipe's input, steps with the settings that differ from their defaults, executor."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import typed
from core.data.recipe import RecipeConfig, plan_steps
from core.graph import StageSpec
from core.registry import Registry


def describe(spec: StageSpec, registry: Registry) -> dict[str, Any]:
    """Return what a data stage will do.

    Returns:
        ``recipe``; ``files``, how many it reads, and ``bytes`` (each None where that is not known before work);
        ``source``, what makes the files, where something does; ``shards``; ``executor``, its name and settings;
        ``steps`` in order, each with ``label``, ``use`` and ``changed``, the settings that are not the step's defaults.
    """
    executor = spec.executor
    row: dict[str, Any] = {
        "stage": spec.name,
        "recipe": spec.label,
        "source": None,
        "files": None,
        "bytes": None,
        "shards": None,
        "steps": [],
        "executor": None
        if executor is None
        else {"name": executor.entry.name, "settings": changed(executor.config, default=True)},
    }
    recipe = spec.config
    if not isinstance(recipe, RecipeConfig):  # a corpus that is built by something else than a list of steps
        return {**row, "builder": spec.entry.name, "settings": changed(recipe)}
    if recipe.files is not None:
        row |= {"files": len(recipe.files), "bytes": _bytes(recipe.files)}
    elif (crawl := spec.inputs.get("crawl")) is not None:
        row["source"] = {"name": crawl.entry.name, "changed": changed(crawl.config)}
    row["shards"] = recipe.shards or row["files"]
    row["steps"] = [
        {"label": step.label, "use": step.entry.name, "changed": changed(step.config)}
        for step in plan_steps(recipe, registry, spec.name.replace("-", "."))
    ]
    return row


def changed(config: Any, *, default: bool = False) -> dict[str, Any]:
    """Return the settings that differ from their defaults, or all of them with ``default``, as plain data."""
    if config is None:
        return {}
    if isinstance(config, Mapping):  # a step without a dataclass has no defaults
        return dict(config)
    return {
        field.name: _plain(getattr(config, field.name))
        for field in dataclasses.fields(config)
        if default or getattr(config, field.name) != _default(field)
    }


def render(row: Mapping[str, Any]) -> list[str]:
    """Return the lines of one data stage for a terminal."""
    lines = [f"{row['stage']}: recipe {row['recipe']}"]
    if row["source"] is not None:
        lines.append(f"  input     made by {row['source']['name']}{_settings(row['source']['changed'])}")
    elif row["files"] is not None:
        size = "size not known here" if row["bytes"] is None else _size(row["bytes"])
        lines.append(f"  input     {row['files']:,} file{'' if row['files'] == 1 else 's'}, {size}")
    if row["shards"] is not None:
        lines.append(f"  shards    {row['shards']:,}, the parts that workers share out")
    if row["executor"] is not None:
        lines.append(f"  executor  {row['executor']['name']}{_settings(row['executor']['settings'])}")
    if "builder" in row:
        return [*lines, f"  builder   {row['builder']}{_settings(row['settings'])}"]
    for number, step in enumerate(row["steps"]):
        name = step["label"] if step["label"] == step["use"] else f"{step['label']} ({step['use']})"
        lines.append(f"  {'steps' if number == 0 else '':9} {number + 1:2} {name}{_settings(step['changed'])}")
    return lines


def _default(field: dataclasses.Field) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _bytes(files: tuple[str, ...]) -> int | None:
    """Return the sum of the sizes of local files; None where one is remote, for planning asks no network."""
    total = 0
    for file in files:
        if "://" in file:
            return None
        try:
            total += os.stat(Path(file)).st_size
        except OSError:
            return None
    return total


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return typed.identity(value)
    return list(value) if isinstance(value, tuple) else value


def _settings(settings: Mapping[str, Any]) -> str:
    shown = [f"{key}={_short(value)}" for key, value in settings.items()]
    return f"  {', '.join(shown)}" if shown else ""


def _short(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.1f} TB"
