"""That settings do what they say: a size that is named wins over an option's numbers, and no setting is for nothing."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from core.data.recipe import several
from core.errors import ConfigError
from core.registry import Registry

LIKE = ("scorer", "classifier")
"""Settings of a recipe that its steps can be ``like``."""


def let_size_win(config: dict[str, Any], root: str, overrides: Sequence[str], registry: Registry) -> None:
    """Take from ``config["arch"]`` the numbers that were set before its size was named.

    An option may name a size and other numbers beside it. Who names another size, on the command line or in a file that
    is read later, means that size: of what was set before, only what no size sets is kept.

    Args:
        config: The composed configuration, which is changed.
        root: Name of the root of every configuration.
        overrides: The command line, as Hydra was given it.
    """
    arch = config.get("arch")
    if not isinstance(arch, dict) or arch.get("name") not in registry.names("architectures"):
        return
    if arch.keys() <= {"name", "size", "initializer"}:
        return  # nothing to take
    sizes: Mapping[str, Mapping[str, Any]] = getattr(
        registry.get("architectures", str(arch["name"])).load_config(), "SIZES", {}
    )
    size = arch.get("size")
    if not isinstance(size, str) or size not in sizes:
        return
    set_by = _keys_by_source(root, overrides, "arch")
    naming = max((place for place, source in enumerate(set_by) if "size" in source), default=0)
    earlier: set[str] = set().union(*set_by[:naming]) - set().union(*set_by[naming:])
    of_sizes: set[str] = set().union(*sizes.values())
    for key in earlier & arch.keys() & of_sizes:
        number = isinstance(arch[key], (int, float)) and not isinstance(arch[key], bool)
        if key in sizes[size] or number:
            del arch[key]


def _keys_by_source(root: str, overrides: Sequence[str], group: str) -> list[set[str]]:
    """Return which settings of a group each file of options has, in Hydra's order, and last the command line."""
    loader = GlobalHydra.instance().config_loader()
    found = []
    for entry in loader.compute_defaults_list(root, list(overrides), RunMode.RUN).defaults:
        package = entry.package or ""
        if package not in ("", "_global_", group):
            continue
        loaded = loader.repository.load_config(entry.config_path) if entry.config_path else None  # type: ignore[attr-defined]
        node = loaded.config if loaded is not None and package == group else None
        if loaded is not None and package != group:
            node = OmegaConf.select(loaded.config, group, throw_on_missing=False)
        if isinstance(node, DictConfig):
            found.append({str(key) for key in node})
    own = [override.lstrip("+").partition("=")[0] for override in overrides]
    return [*found, {key.split(".")[1] for key in own if key.startswith(f"{group}.")}]


def let_step_win(config: Mapping[str, Any], keys: Sequence[str], registry: Registry) -> None:
    """Take from a step that the command line replaced, ``data.steps.read.use=...``, what the former one was told.

    Args:
        config: The composed configuration, which is changed.
        keys: What the command line sets; this stays.
    """
    for key in keys:
        place, _, last = key.rpartition(".")
        node: Any = config
        for part in place.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        if last != "use" or ".steps." not in place or not isinstance(node, dict):
            continue
        if node["use"] not in registry.names("steps"):
            continue
        config_class = registry.get("steps", str(node["use"])).load_config()
        fields = dataclasses.fields(config_class) if config_class is not None else ()
        known = {"use", "like", *(field.name for field in fields)}
        for other in [name for name in node if name not in known and f"{place}.{name}" not in keys]:
            del node[other]


def refuse_without_effect(config: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Refuse keys of the command line that another setting makes meaningless.

    Raises:
        ConfigError: naming the key, and the one that counts.
    """
    node = config.get("data")
    if not isinstance(node, Mapping):
        return
    recipes = {f"data.{label}": part for label, part in node.items()} if several(node) else {"data": node}
    for where, recipe in recipes.items():
        for key in keys:
            part, _, setting = key.removeprefix(f"{where}.").partition(".")
            if not key.startswith(f"{where}."):
                continue
            if part == "source" and setting and recipe.get("paths") is not None:
                raise ConfigError(f"{key}: changes nothing, for {where}.paths is set and no source makes files.")
            if part in LIKE:
                _refuse_overruled(key, setting.partition(".")[0], where, recipe, part)


def _refuse_overruled(key: str, setting: str, where: str, recipe: Mapping[str, Any], part: str) -> None:
    steps = recipe.get("steps")
    nodes = {label: node for label, node in steps.items() if isinstance(node, Mapping)} if steps else {}
    alike = [label for label, node in nodes.items() if node.get("like") and node["like"] == recipe.get(part)]
    if not alike:
        raise ConfigError(f"{key}: changes nothing, for no step of this recipe is like {where}.{part}.")
    if setting and all(setting in nodes[label] for label in alike):
        own = " and ".join(f"{where}.steps.{label}.{setting}" for label in alike)
        raise ConfigError(f"{key}: changes nothing, for each step that is like {where}.{part} has its own. Set {own}.")
