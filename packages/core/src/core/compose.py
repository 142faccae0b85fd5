"""Compose the configuration with Hydra from the groups that plugins ship, with errors that say what is missing.

Hydra alone takes ``+arch=typo`` as a plain string when no package offers a group ``arch``; so every override whose
key is a group is checked against what is installed, before and after composing.
"""

import importlib.resources
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from core import choices, effect, local_options
from core.choices import key_of, root_settings
from core.errors import ConfigError, MissingPluginError, nearest
from core.kinds import GROUPS, NAMED_GROUPS, RUN_GROUPS
from core.overrides import home_written_out, readable
from core.registry import Registry

LOCAL_CONFIG_FOLDER = "hydra_conf"
ROOT = "smallwright"
"""Name of the root of every configuration in Hydra's store."""
UNUSED = ("env", "help", "hydra_help", "hydra_logging", "job_logging", "launcher", "output", "sweeper")
"""Hydra's own groups, for programs that it starts itself. A run needs none, and they take time to read."""


def option_index(registry: Registry, folder: Path | None = None) -> dict[str, dict[str, str]]:
    """Return the options of every config group: ``{"arch": {"gqa": "smallwright-arch-gqa"}}``.

    When two distributions offer an option, the first is named here and ``option_clashes`` has both.
    """
    return _index(_offers(registry, folder), registry)


def _index(offers: Mapping[str, Mapping[str, list[str]]], registry: Registry) -> dict[str, dict[str, str]]:
    index = {group: {name: origins[0] for name, origins in options.items()} for group, options in offers.items()}
    local_options.add(registry, index)
    return index


def option_clashes(registry: Registry, folder: Path | None = None) -> dict[tuple[str, str], tuple[list[str], str]]:
    """Return who offers each option that is offered twice, and the line that says so with the fix."""
    return _clashes(_offers(registry, folder), registry)


def _clashes(
    offers: Mapping[str, Mapping[str, list[str]]], registry: Registry
) -> dict[tuple[str, str], tuple[list[str], str]]:
    plugins = {record.distribution: record.name for record in registry.plugins}
    clashes = {}
    for group, options in offers.items():
        for name, origins in options.items():
            if len(origins) > 1:
                last = origins[-1]
                fix = (
                    f"Uninstall one, or set SMALLWRIGHT_DISABLE_PLUGINS={plugins[last]}."
                    if last in plugins
                    else f"Rename {last}/{group}/{name}.yaml."
                )
                line = f"{group}={name} is offered twice: by {' and by '.join(origins)}. {fix}"
                clashes[group, name] = (origins, line)
    return clashes


def _offers(registry: Registry, folder: Path | None) -> dict[str, dict[str, list[str]]]:
    """Return all who offer each option of each group."""
    index: dict[str, dict[str, list[str]]] = {}
    read: dict[tuple[str, str], bytes] = {}

    def walk(directory: Any, group: str, origin: str) -> None:
        for item in sorted(directory.iterdir(), key=lambda child: child.name):
            if item.is_dir() and item.name != "__pycache__":
                walk(item, f"{group}/{item.name}" if group else item.name, origin)
            elif group and item.name.endswith(".yaml"):
                name = item.name.removesuffix(".yaml")
                # In this repository smallwright-recipes offers what ./hydra_conf has: the same words are one option.
                if origin != str(local) or read.get((group, name)) != item.read_bytes():
                    index.setdefault(group, {}).setdefault(name, []).append(origin)
                if local.is_dir():
                    read[group, name] = item.read_bytes()

    local = folder or Path(LOCAL_CONFIG_FOLDER)
    for package, distribution in registry.config_packages.items():
        walk(importlib.resources.files(package), "", distribution)
    if local.is_dir():
        walk(local, "", str(local))
    return index


def compose(overrides: Sequence[str], registry: Registry) -> dict[str, Any]:
    """Return the resolved configuration of a command line.

    Raises:
        MissingPluginError: a group or option that nothing installed offers.
        ConfigError: a key that does not exist, a malformed override, a value that is not set, an option that two offer,
            a setting that would change nothing.
    """
    offers = _offers(registry, None)
    options = _index(offers, registry)
    overrides = [readable(override) for override in overrides]
    choices.refuse_unclear(overrides, options)
    normalised = [part for override in overrides for part in choices.normalise(override, options, registry)]
    choices.refuse_chosen_twice(overrides)
    choices.refuse_dropped(overrides)
    normalised += choices.of_scale(normalised, options)
    _install_search_path(registry)
    GlobalHydra.instance().clear()
    _store_root()
    with initialize(config_path=None, version_base="1.3"):
        try:
            normalised = _over_experiment(normalised)
            _refuse_clashes(_clashes(offers, registry), normalised)
            _refuse_nothing_to_read(normalised)
            composed = hydra_compose(ROOT, overrides=normalised, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_explain(error, normalised)) from error
        _check_choices(composed, normalised, options, registry)
        try:
            config = _resolve(composed)
        except OmegaConfBaseException as error:
            raise ConfigError(_explain_reference(error)) from error
        keys = [key_of(override) for override in overrides]
        effect.let_size_win(config, ROOT, normalised, registry)
        effect.let_source_win(config, ROOT, normalised)
        effect.let_list_win(config, ROOT, normalised, keys)
    choices.leave_out(config, overrides)
    effect.let_step_win(config, keys, registry)
    effect.refuse_without_effect(config, keys)
    return config


def _over_experiment(overrides: list[str]) -> list[str]:
    """Let the command line choose anew what an experiment has chosen; Hydra asks for other signs then."""
    if not any(override.lstrip("+").startswith(tuple(f"{group}=" for group in RUN_GROUPS)) for override in overrides):
        return overrides
    loader = GlobalHydra.instance().config_loader()
    for _ in GROUPS:
        try:
            entries = loader.compute_defaults_list(ROOT, overrides, RunMode.RUN).defaults
        except HydraException as error:
            match = re.search(r"Multiple values for ([\w/]+)\.", str(error))
            if match is None:
                return overrides
            overrides = [
                override.removeprefix("+") if override.startswith(f"+{match[1]}=") else override
                for override in overrides
            ]
            continue
        chosen = any((entry.config_path or "").startswith("data/") and entry.package == "data" for entry in entries)
        several = any(override.startswith("+data@") for override in overrides)
        return ["~data", *overrides] if chosen and several else overrides
    return overrides


def _refuse_clashes(clashes: Mapping[tuple[str, str], tuple[list[str], str]], overrides: list[str]) -> None:
    """Refuse an option that two offer where this run reads it, by an override or by a defaults list."""
    if not clashes:
        return
    loader = GlobalHydra.instance().config_loader()
    read = {entry.config_path for entry in loader.compute_defaults_list(ROOT, overrides, RunMode.RUN).defaults}
    for (group, name), (_, message) in clashes.items():
        if f"{group}/{name}" in read or os.environ.get("SMALLWRIGHT_STRICT"):
            raise ConfigError(message)


def _store_root() -> None:
    """Give Hydra the root: the default option of each group that has one, and the settings of a run."""
    kinds = [kind for kind in GROUPS.values() if kind.default is not None]
    defaults = [{f"optional {kind.group}" if kind.optional else kind.group: kind.default} for kind in kinds]
    unused = [{f"override hydra/{group}": None} for group in UNUSED]
    hydra = {"output_subdir": None, "job": {"chdir": False}}
    node = {"defaults": [*defaults, *unused, "_self_"], **root_settings(), "hydra": hydra}
    ConfigStore.instance().store(name=ROOT, node=node)


def _install_search_path(registry: Registry) -> None:
    """Register one SearchPathPlugin that appends every config package, and ./hydra_conf where there is one."""

    class SmallwrightSearchPath(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for package, distribution in registry.config_packages.items():
                search_path.append(provider=distribution, path=f"pkg://{package}")
            if Path(LOCAL_CONFIG_FOLDER).is_dir():
                search_path.append(provider="working directory", path=f"file://{Path(LOCAL_CONFIG_FOLDER).resolve()}")

    plugins = Plugins.instance()
    for earlier in [p for p in plugins.discover(SearchPathPlugin) if p.__name__ == SmallwrightSearchPath.__name__]:
        plugins.plugin_type_to_subclass_list[SearchPathPlugin].remove(earlier)
        plugins.class_name_to_class.pop(f"{earlier.__module__}.{earlier.__name__}", None)
    plugins.register(SmallwrightSearchPath)


def _check_choices(
    composed: DictConfig, overrides: Sequence[str], options: Mapping[str, Mapping[str, str]], registry: Registry
) -> None:
    """Refuse what would be a plain value or a setting of nothing: each group that is set must have a chosen option."""
    chosen = composed.hydra.runtime.choices
    for group in (*GROUPS, *RUN_GROUPS):
        given = [override for override in overrides if override.lstrip("+").startswith((f"{group}=", f"{group}@"))]
        node = OmegaConf.select(composed, group)
        # For a list of options Hydra records no choice, but the group then has settings.
        has_settings = isinstance(node, DictConfig)
        if given and not has_settings and group not in (*chosen, *RUN_GROUPS):
            raise MissingPluginError(f"{given[0]}: no installed plugin offers {group!r}. See python -m core.plugins.")
        if not has_settings and group in composed and composed[group] is not None:
            raise MissingPluginError(f"{group}={composed[group]}: taken for a plain value, which {group} never is.")
        if has_settings and not given and group not in NAMED_GROUPS:
            _refuse_settings_of_nothing(group, node, overrides, chosen, options, registry)
    for group, called in NAMED_GROUPS.items():
        for name, node in (OmegaConf.select(composed, group) or {}).items():
            if not isinstance(node, DictConfig) or "name" not in node:
                key = _given_below(f"{group}.{name}", overrides) or f"{group}.{name}"
                known = options.get(group, {})
                guess = "" if name in known else nearest(str(name), known)
                raise ConfigError(f"{key}: {name} is no {called} of this run.{guess} Add it: '+{group}=[{name}]'.")


def _refuse_settings_of_nothing(
    group: str,
    node: DictConfig,
    overrides: Sequence[str],
    chosen: Mapping[str, Any],
    options: Mapping[str, Mapping[str, str]],
    registry: Registry,
) -> None:
    """Refuse settings of a group for which nothing was chosen, such as ``arch.size=nano`` without ``+arch``."""
    key = _given_below(group, overrides)
    if key is None or chosen.get(group) in options.get(group, {}) or "name" in node:
        return
    labels = [place.removeprefix(f"{group}@{group}.") for place in chosen if place.startswith(f"{group}@{group}.")]
    if labels:  # several, which an experiment chose
        wrong = next((key for key in map(key_of, overrides) if _below(key, group) not in (None, *labels)), None)
        if wrong is None:
            return
        recipes = f"{', '.join(labels)}.{nearest(str(_below(wrong, group)), labels)}"
        raise ConfigError(f"{wrong}: this run's recipes are {recipes}")
    default = GROUPS[group].default if group in GROUPS else None
    if default is not None:  # its package is not installed
        raise MissingPluginError(registry.missing_message(group, default, sorted(options.get(group, {}))))
    known = ", ".join(sorted(options.get(group, {}))) or "none"
    raise ConfigError(f"{key}: nothing of {group} is chosen. Add +{group}=<option>. Installed: {known}.")


def _below(key: str, group: str) -> str | None:
    """The part of a key that follows a group; None: it is of another group, or chooses an option."""
    first, _, rest = key.partition(".")
    return rest.partition(".")[0] if first == group and rest else None


def _given_below(place: str, overrides: Sequence[str]) -> str | None:
    """The key of the first override below a place of the configuration."""
    keys = (key_of(override) for override in overrides if "/" not in key_of(override))
    return next((key for key in keys if key.startswith(f"{place}.")), None)


def _resolve(composed: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    # An interpolation may point anywhere in the tree, so everything but Hydra's own keys must be in the copy.
    resolved = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    return {str(key): _with_home(value) for key, value in resolved.items()}


def _with_home(value: Any) -> Any:
    """Return a value with the home folder written out in every path in it that begins with ``~``."""
    if isinstance(value, dict):
        return {key: _with_home(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_home(item) for item in value]
    return home_written_out(value) if isinstance(value, str) else value


def _explain(error: Exception, overrides: Sequence[str]) -> str:
    """Turn Hydra's message into one line that names the key and the nearest existing one."""
    text = str(error)
    match = re.search(r"Could not override '([^']+)'", text)
    if match and "/" in match[1]:
        group, _, part = match[1].partition("@")[0].partition("/")
        return f"{group}.{part}: the chosen option of {group} uses no {part}, so there is none to choose."
    if match:
        return f"{match[1]}: unknown key: {match[1].rpartition('.')[0]} has no settings."
    match = re.search(r"Could not delete from config\. '([^']+)' does not exist", text)
    if match:
        return f"~{match[1]}: there is no such key.{_near_sibling(match[1], overrides)}"
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override.lstrip('+')!r}: write key=value, with a key of names between dots."
    match = re.search(r"Error merging override \+*(([^=\s]+)=.*)", text)
    if match and "${" in match[1]:
        return f"{match[1]}: cannot read the reference; write ${{a.key}}, or ${{oc.env:NAME}} for a variable."
    if match:
        return (
            f"{match[1]}: {match[2]} has settings: set one, {match[2]}.<key>=<value>, or drop one, ~{match[2]}.<key>."
        )
    match = re.search(r"Could not find '([^']+)'", text)
    if match:
        return f"no config {match[1]!r} on the search path: is its plugin installed? See python -m core.plugins."
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _explain_reference(error: OmegaConfBaseException) -> str:
    """Turn OmegaConf's message about ``${...}`` into one line with the key that has it."""
    match = re.search(r"Interpolation key '([^']+)' not found", str(error))
    variable = (
        f" For the environment variable write ${{oc.env:{match[1]}}}." if match and match[1] in os.environ else ""
    )
    return f"{getattr(error, 'full_key', '') or 'configuration'}: {_first_line(error)}.{variable}"


def _near_sibling(key: str, overrides: Sequence[str]) -> str:
    """Return the nearest key beside one that does not exist."""
    parent, _, name = key.rpartition(".")
    return nearest(name, _keys_before_deletions(parent, overrides))


def _keys_before_deletions(parent: str, overrides: Sequence[str]) -> list[str]:
    """Return the keys of a node as they would be without ``~key``, in order; none where it has no settings."""
    without = [override for override in overrides if not override.startswith("~")]
    try:
        node = OmegaConf.select(hydra_compose(ROOT, overrides=without), parent) if parent else None
    except (HydraException, OmegaConfBaseException):
        return []
    return list(map(str, node)) if isinstance(node, DictConfig) else []


def _refuse_nothing_to_read(overrides: Sequence[str]) -> None:
    """Refuse to drop the first step of a recipe, for the next one would be given no documents."""
    first: dict[str, list[str]] = {}  # composed once for a recipe, however many of its steps are dropped
    for override in overrides:
        parent, _, label = override.removeprefix("~").rpartition(".")
        dropped = override.startswith("~data.") and parent.endswith(".steps")
        if dropped and parent not in first:
            first[parent] = _keys_before_deletions(parent, overrides)[:1]
        if dropped and first[parent] == [label]:
            raise ConfigError(
                f"{override}: the recipe begins with this step, and without it nothing is read. To read in another "
                f"way, set {parent}.{label}.use=<step>."
            )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
