"""The whole configuration of a run as YAML: every setting of every chosen part, its default too, with its docstring.

What is printed can be kept as an option of ``hydra_conf/experiment`` and gives the same run.
"""

import dataclasses
import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from core import settings_help, typed
from core.data.recipe import RecipeConfig
from core.kinds import GROUPS
from core.registry import Entry, Registry
from core.run_config import RunConfig

WIDTH = 110
PLAIN = re.compile(r"[A-Za-z_./][\w./+-]*")
"""A text that YAML reads as itself without quotes, unless it is one of its words."""
WORDS = ("null", "true", "false", "yes", "no", "on", "off", "nan", "inf")


def render(config: Mapping[str, Any], registry: Registry) -> str:
    """Return the YAML of a composed configuration.

    Raises:
        core.errors.UserError: a part that is not installed, or a wrong setting.
    """
    own = {key: value for key, value in config.items() if key not in GROUPS}
    lines = ["# @package _global_", *_settings(RunConfig, typed.build(RunConfig, own, "run"), 0)]
    for group, kind in GROUPS.items():
        node = config.get(group)
        if not isinstance(node, Mapping):
            continue
        lines += ["", f"{group}:"]
        if group == "data":
            lines += _corpora(node, registry)
        elif group == "posttrain":
            for name, settings in node.items():
                lines += [f"  {name}:", *_part(kind.name, settings, registry, f"{group}.{name}", 4)]
        else:
            lines += _part(kind.name, node, registry, group, 2)
    return "\n".join(lines)


def _part(kind: str, node: Mapping[str, Any], registry: Registry, where: str, indent: int) -> list[str]:
    """Return the lines of a registered name and its settings."""
    settings = dict(node)
    entry = registry.get(kind, str(settings.pop("name", "")))
    initializer = settings.pop("initializer", None) if kind == "architectures" else None
    lines = [f"{' ' * indent}name: {entry.name}  # {entry.origin}", *_entry_settings(entry, settings, where, indent)]
    if initializer is not None:
        inner = _part("initializers", initializer, registry, f"{where}.initializer", indent + 2)
        lines += [f"{' ' * indent}initializer:", *inner]
    return lines


def _corpora(node: Mapping[str, Any], registry: Registry) -> list[str]:
    if "steps" in node or "corpus" in node or not all(isinstance(part, Mapping) for part in node.values()):
        return _corpus(node, registry, "data", 2)
    lines = []
    for label, part in node.items():
        lines += [f"  {label}:", *_corpus(part, registry, f"data.{label}", 4)]
    return lines


def _corpus(node: Mapping[str, Any], registry: Registry, where: str, indent: int) -> list[str]:
    space = " " * indent
    if "corpus" in node:  # a builder of its own
        settings = {key: value for key, value in node.items() if key not in ("name", "corpus")}
        entry = registry.get("corpora", str(node["corpus"]))
        head = [f"{space}name: {node.get('name', entry.name)}", f"{space}corpus: {entry.name}  # {entry.origin}"]
        return [*head, *_entry_settings(entry, settings, where, indent)]
    recipe = typed.build(RecipeConfig, dict(node), where)
    lines = _settings(RecipeConfig, recipe, indent, without=("steps", "files", "source"))
    if recipe.source is not None:
        lines += [f"{space}source:", *_part("sources", recipe.source, registry, f"{where}.source", indent + 2)]
    lines.append(f"{space}steps:")
    for label, given in recipe.steps.items():
        settings = dict(given or {})
        settings = {**(settings.pop("like", None) or {}), **settings}
        entry = registry.get("steps", str(settings.pop("use", label)))
        lines += [f"{space}  {label}:", f"{space}    use: {entry.name}  # {entry.origin}"]
        lines += _entry_settings(entry, settings, f"{where}.steps.{label}", indent + 4)
    return lines


def _entry_settings(entry: Entry, settings: Mapping[str, Any], where: str, indent: int) -> list[str]:
    config_class = entry.load_config()
    if config_class is None:
        return [f"{' ' * indent}{key}: {_value(value)}" for key, value in settings.items()]
    return _settings(config_class, entry.settings(settings, where), indent)


def _settings(config_class: type, config: Any, indent: int, without: tuple[str, ...] = ()) -> list[str]:
    """Return every setting of a dataclass, under its docstring."""
    lines = []
    space = " " * indent
    for row in settings_help.settings(config_class):
        if row["key"] in without:
            continue
        comment = f"{space}# "
        doc = " ".join(row["doc"].split())
        lines += textwrap.wrap(doc, WIDTH, initial_indent=comment, subsequent_indent=comment)
        lines.append(f"{space}{row['key']}: {_value(getattr(config, row['key']))}")
    return lines


def _value(value: Any) -> str:
    """Return a value on one line, as YAML."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower().lstrip(".") not in WORDS:
        return value
    return json.dumps(value, default=str, ensure_ascii=False)
