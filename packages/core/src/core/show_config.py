"""The whole configuration of a run as YAML: every setting of every chosen part, its default too, with its docstring.

What is printed can be kept as an option of ``hydra_conf/experiment`` and gives the same run.
"""

import dataclasses
import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from core import entries, seeds, settings_help, typed
from core.architecture import Architecture
from core.data.recipe import RecipeConfig, several, step_settings
from core.errors import UserError
from core.kinds import GROUPS, NAMED_GROUPS
from core.registry import Registry
from core.run_config import RunConfig

WIDTH = 110
PLAIN = re.compile(r"[A-Za-z_./][\w./+-]*")
"""A text that YAML reads as itself without quotes, unless it is one of its words."""
WORDS = ("null", "true", "false", "yes", "no", "on", "off", "nan", "inf")


def render(config: Mapping[str, Any], registry: Registry) -> str:
    """Return the YAML of a composed configuration.

    A part that is not installed is shown as it was given.

    Raises:
        core.errors.UserError: a wrong setting.
    """
    own = {key: value for key, value in config.items() if key not in GROUPS}
    lines = ["# @package _global_", *_settings(RunConfig, typed.build(RunConfig, own, ""), 0)]
    for group, kind in GROUPS.items():
        node = _followed(config, registry) if group == "pretrain" else config.get(group)
        if not isinstance(node, Mapping):
            lines += ["", f"{group}: null  # left out of the run"] if group in config else []
            continue
        lines += ["", f"{group}:"]
        if group == "data":
            lines += _corpora(node, registry)
        elif group in NAMED_GROUPS:
            for name, settings in node.items():
                lines += [f"  {name}:", *_part(kind.name, settings, registry, f"{group}.{name}", 4)]
        else:
            lines += _part(kind.name, node, registry, group, 2)
    return "\n".join(lines)


def _followed(config: Mapping[str, Any], registry: Registry) -> Any:
    """Return the settings of pretraining with those that follow the chosen architecture, as the plan will have them."""
    node = config.get("pretrain")
    if not isinstance(node, Mapping) or (name := str(node.get("name", ""))) not in registry.names("trainers"):
        return node
    defaults = getattr(registry.get("trainers", name).load(), "defaults", None)
    architecture = _architecture(config, registry)
    if not callable(defaults) or architecture is None:
        return node
    found = defaults(node, architecture, bool(config.get("model")))
    return {**node, **{key: default.value for key, default in found.items()}}


def _architecture(config: Mapping[str, Any], registry: Registry) -> Architecture | None:
    """Return what pretraining trains; None: it is not installed, or the run trains none."""
    arch, model = config.get("arch"), config.get("model")
    if model:
        try:
            return entries.to_train_on(entries.model(str(model), registry), registry).build()
        except UserError:  # one that can only be evaluated, say
            return None
    if not isinstance(arch, Mapping) or str(arch.get("name", "")) not in registry.names("architectures"):
        return None
    entry = registry.get("architectures", str(arch["name"]))
    settings = {key: value for key, value in arch.items() if key not in ("name", "initializer")}
    if "vocab_size" in typed.unset(entry.load_config(), settings):
        settings["vocab_size"] = 1 << 16
    built: Architecture = entry.build(entry.settings(settings, "arch"))
    return built


def _part(kind: str, node: Mapping[str, Any], registry: Registry, where: str, indent: int) -> list[str]:
    """Return the lines of a registered name and its settings."""
    settings = dict(node)
    seed = _seed(settings, kind, registry, where, indent)
    name = str(settings.pop("name", ""))
    lines = [f"{' ' * indent}name: {_origin(kind, name, registry)}", *seed]
    initializer = settings.pop("initializer", None) if kind == "architectures" else None
    lines += _entry_settings(kind, name, settings, registry, where, indent)
    if initializer is not None:
        inner = _part("initializers", initializer, registry, f"{where}.initializer", indent + 2)
        lines += [f"{' ' * indent}initializer:", *inner]
    return lines


def _corpora(node: Mapping[str, Any], registry: Registry) -> list[str]:
    if not several(node):
        return _corpus(node, registry, "data", 2)
    lines = []
    for label, part in node.items():
        lines += [f"  {label}:", *_corpus(part, registry, f"data.{label}", 4)]
    return lines


def _corpus(node: Mapping[str, Any], registry: Registry, where: str, indent: int) -> list[str]:
    space, settings = " " * indent, dict(node)
    seed = _seed(settings, "corpora", registry, where, indent)
    if "corpus" in settings:  # a builder of its own
        settings.pop("name", None)
        corpus = str(settings.pop("corpus"))
        head = [f"{space}name: {node.get('name', corpus)}", f"{space}corpus: {_origin('corpora', corpus, registry)}"]
        return [*head, *seed, *_entry_settings("corpora", corpus, settings, registry, where, indent)]
    recipe = typed.build(RecipeConfig, settings, where)
    lines = [*_settings(RecipeConfig, recipe, indent, without=("steps", "files", "source")), *seed]
    if recipe.source is not None:
        lines += [f"{space}source:", *_part("sources", recipe.source, registry, f"{where}.source", indent + 2)]
    lines.append(f"{space}steps:")
    for label, given in recipe.steps.items():
        use, settings = step_settings(label, given, where)
        lines += [f"{space}  {label}:", f"{space}    use: {_origin('steps', use, registry)}"]
        lines += _entry_settings("steps", use, settings, registry, f"{where}.steps.{label}", indent + 4)
    return lines


def _seed(settings: dict[str, Any], kind: str, registry: Registry, where: str, indent: int) -> list[str]:
    """Take the seed of a stage out of its settings, and return its lines; none of what makes no stage."""
    seed = seeds.take(settings, kind, registry, where)
    return [] if seed is None else _settings(seeds.StageSeed, seed, indent)


def _origin(kind: str, name: str, registry: Registry) -> str:
    """Return a registered name with who offers it."""
    installed = name in registry.names(kind)
    return f"{name}  # {registry.get(kind, name).origin if installed else 'not installed: as given, without defaults'}"


def _entry_settings(
    kind: str, name: str, settings: Mapping[str, Any], registry: Registry, where: str, indent: int
) -> list[str]:
    entry = registry.get(kind, name) if name in registry.names(kind) else None
    config_class = entry.load_config() if entry is not None else None
    if entry is None or config_class is None:
        return [f"{' ' * indent}{key}: {_value(value)}" for key, value in settings.items()]
    given = dict(settings)
    unset = typed.unset(config_class, given)
    if unset == ["vocab_size"]:  # the run sets it to the tokenizer's
        given["vocab_size"] = 1 << 16
    return _settings(config_class, entry.settings(given, where), indent, without=tuple(unset))


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
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return settings within a mapping as a mapping, anything else as text."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else str(value)
