"""Which options of which groups a command line chooses, and what its writer meant where there is none of that name."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import catalog
from core.errors import ConfigError, MissingPluginError, nearest
from core.kinds import APPENDED_GROUPS, COMMAND_GROUPS, DEFAULT_GROUPS, GROUPS, RUN_GROUPS, SEVERAL_GROUPS
from core.overrides import OVERRIDE
from core.registry import Registry
from core.run_config import RunConfig


def normalise(override: str, options: dict[str, dict[str, str]], registry: Registry) -> list[str]:
    """Make an override say what its writer means, and refuse a group option that does not exist.

    ``arch=gqa`` becomes ``+arch=gqa``, ``+eval=x`` becomes ``eval=x`` (the root has a default), and
    ``data.scorer=llm`` becomes ``data/scorer=llm`` when ``data/scorer`` is a group with such an option. Several
    recipes, ``+data=[a,b]``, get a node each, ``data.a`` and ``data.b``; there ``data.a.scorer=llm`` chooses for one.
    ``tokenizer=<folder or hub id>`` means the setting of the option that takes what exists, ``tokenizer.path``.
    A setting below a group, ``arch.num_hidden_layers=4``, need not be in the option's file: files name only what they
    change, and the types of the plugins refuse what does not exist.
    """
    match = OVERRIDE.match(override)
    if match is None:
        raise ConfigError(f"cannot read {override!r}: write key=value, +group=option or ~key.")
    prefix, key, value = match["prefix"] or "", match["key"], match["value"]
    if not match["assign"] and prefix != "~":
        raise ConfigError(f"cannot read {override!r}: {_without_value(key, options)}")
    _refuse_unknown(override, prefix, key, options)
    group, at = key.replace(".", "/"), ""
    parts = key.split(".")
    if len(parts) == 3 and f"{parts[0]}/{parts[2]}" in options and parts[1] in options.get(parts[0], {}):
        group, at = f"{parts[0]}/{parts[2]}", f"@{key}"  # the option is for one of several recipes
    top_level = group in DEFAULT_GROUPS + APPENDED_GROUPS
    if dropped(override) is not None:
        return []  # whatever chose an option of the group: see leave_out
    if prefix == "~" or not (top_level or group in options):
        if value and catalog.package_of(group, value) is not None:  # its package is not installed
            raise MissingPluginError(registry.missing_message(group, value, []))
        if prefix != "~" and parts[0] in (*GROUPS, "observers") and len(parts) > 1:
            prefix = "++"
        return [f"{prefix}{override.lstrip('+~')}"]
    entry = GROUPS[group].entry if group in GROUPS else None
    if entry is not None and (value[0] == "{" or _exists_already(value.strip(" '\""), options.get(group, {}))):
        return [f"++{group}.{entry}={value}"]
    chosen = [part.strip(" '\"") for part in value.strip("[] ").split(",") if part.strip()]
    if not chosen:
        known = ", ".join(sorted(options.get(group, {}))) or "none"
        raise ConfigError(f"{override}: names no option. Installed: {known}.")
    if not top_level and "/" in group and "." in key and not all(name in options[group] for name in chosen):
        known = ", ".join(sorted(options[group]))
        raise MissingPluginError(f"{key}={value}: no such option.{nearest(value, options[group])} Installed: {known}.")
    for name in chosen:
        if name not in options.get(group, {}):
            if group == "arch" and (owners := _of_size(name, registry)):
                raise ConfigError(
                    f"{override}: {name} is a size of {', '.join(owners)}. Write +arch={owners[0]} arch.size={name}."
                )
            raise MissingPluginError(registry.missing_message(group, name, sorted(options.get(group, {}))))
    if group in DEFAULT_GROUPS:
        prefix = ""
    elif group in APPENDED_GROUPS:
        prefix = "+"
    if len(chosen) > 1 and group not in SEVERAL_GROUPS:
        raise ConfigError(f"{override}: one option of {group} a run; -m {group}={','.join(chosen)} is a run of each.")
    if len(set(chosen)) < len(chosen):
        raise ConfigError(f"{override}: an option is named twice.")
    if group == "data" and len(chosen) > 1:
        return [f"+data@data.{name}={name}" for name in chosen]
    listed = chosen[0] if len(chosen) == 1 else f"[{','.join(chosen)}]"
    return [f"{prefix}{group}{at}={listed}"]


def _exists_already(value: str, options: Mapping[str, str]) -> bool:
    """Whether a value is no option's name but a folder's or, as it seems, a hub id."""
    return value not in options and (Path(value).is_dir() or "/" in value)


def _without_value(key: str, options: Mapping[str, Mapping[str, str]]) -> str:
    """Say what a key without a value may have meant: an option without its group, a flag, a setting."""
    groups = [group for group in GROUPS if key in options.get(group, {})]
    if groups:
        return f"{key} is an option of {groups[0]}. Write {_sign(groups[0])}{groups[0]}={key}."
    if key in GROUPS:
        return f"write {_sign(key)}{key}=<option>."
    return f"write {key}=<value>.{_flag_hint(key)}"


def _refuse_unknown(override: str, prefix: str, key: str, options: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse a key whose first part is no group and no setting of a run, and what no run can be without."""
    first = key.replace("@", ".").replace("/", ".").partition(".")[0]
    groups = (*GROUPS, *RUN_GROUPS)
    if key in COMMAND_GROUPS:
        name = override.partition("=")[2] or "<name>"
        raise ConfigError(f"{override}: a command of its own takes it: python -m {COMMAND_GROUPS[key]} {name}")
    if first not in root_settings() and first not in groups:
        known = [*root_settings(), *(f"{_sign(group)}{group}" for group in groups)]
        raise ConfigError(f"{key}: unknown key.{nearest(first, known)} Known keys: {', '.join(known)}.")
    if (prefix == "~" or _is_null(override)) and key in GROUPS:
        if GROUPS[key].can_be_dropped:
            return
        others = ", ".join(sorted(options.get(key, {}))) or "none"
        if key in DEFAULT_GROUPS:
            raise ConfigError(
                f"{override}: no run is without {key}. Choose another: {key}=<option>. Installed: {others}."
            )
        raise ConfigError(f"{override}: leave +{key}=<option> out instead; nothing is chosen by itself.")


def _of_size(name: str, registry: Registry) -> list[str]:
    """Return the architectures that have a size of that name."""
    entries = [entry for entry in registry.entries() if entry.kind == "architectures" and entry.config]
    return [entry.name for entry in entries if name in getattr(entry.load_config(), "SIZES", {})]


def _sign(group: str) -> str:
    """What stands before a group on a command line."""
    return "+" if group in APPENDED_GROUPS else ""


def refuse_chosen_twice(overrides: Sequence[str]) -> None:
    """Refuse a group that is chosen by two overrides."""
    chosen: dict[str, str] = {}
    for override in overrides:
        match = OVERRIDE.match(override)
        if match is None or match["prefix"] == "~" or match["key"] not in GROUPS or not match["value"]:
            continue
        group, value = match["key"], match["value"].strip("[]")
        if group in chosen:
            both = f"'{_sign(group)}{group}=[{chosen[group]},{value}]'"
            several = group in SEVERAL_GROUPS and value != chosen[group]
            fix = f"For both write {both}." if several else "A run has one: leave one out."
            raise ConfigError(f"{group} is chosen twice: {chosen[group]} and {value}. {fix}")
        chosen[group] = value


def refuse_unclear(overrides: Sequence[str], options: dict[str, dict[str, str]]) -> None:
    """Refuse a setting of ``data`` that does not say which one of several recipes it is for."""
    recipes: list[str] = []
    for override in overrides:
        match = OVERRIDE.match(override)
        if match and match["key"] == "data" and match["value"] and "," in match["value"]:
            recipes = [part.strip() for part in match["value"].strip("[]").split(",")]
    for override in overrides if recipes else ():
        first, _, rest = key_of(override).replace("/", ".").partition(".")
        recipe = rest.partition(".")[0]
        if first != "data" or not rest or recipe in recipes:
            continue
        if recipe in options.get("data", {}) or nearest(recipe, recipes):
            raise ConfigError(
                f"{key_of(override)}: this run's recipes are {', '.join(recipes)}.{nearest(recipe, recipes)}"
            )
        choices = " or ".join(f"data.{name}.{rest}" for name in recipes)
        raise ConfigError(f"{key_of(override)}: this run has several recipes; say which one is meant: {choices}.")


def _flag_hint(key: str) -> str:
    return " Options start with --; see --help." if key.startswith("-") else ""


def root_settings() -> dict[str, Any]:
    return {field.name: field.default for field in dataclasses.fields(RunConfig)}


def dropped(override: str) -> str | None:
    """Return the group whose work an override leaves out of the run, ``~eval`` or ``eval=null``; else None."""
    key = key_of(override)
    return key if key in GROUPS and (override.startswith("~") or _is_null(override)) else None


def refuse_dropped(overrides: Sequence[str]) -> None:
    """Refuse a choice or a setting of a group whose work is left out."""
    for group in filter(None, map(dropped, overrides)):
        for override in overrides:
            if dropped(override) is None and key_of(override).replace("/", ".").partition(".")[0] == group:
                raise ConfigError(f"{override}: ~{group} beside it leaves {group} out of the run. Leave out one.")


def leave_out(config: dict[str, Any], overrides: Sequence[str]) -> None:
    """Mark the groups whose work is left out; a default whose package is not installed leaves no key.

    Raises:
        ConfigError: an option is chosen of a group that an experiment leaves out.
    """
    for override in overrides:
        key = key_of(override)
        if (group := dropped(override)) is not None:
            config[group] = None
        elif key in GROUPS and key in config and config[key] is None:
            raise ConfigError(f"{override}: an experiment of this run leaves {key} out ({key}: null).")


def _is_null(override: str) -> bool:
    return override.partition("=")[2].strip() == "null"


def key_of(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0]
