"""That settings do what they say: a size that is named wins over an option's numbers, and no setting is for nothing."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from core.choices import key_of
from core.data.recipe import several
from core.errors import ConfigError
from core.kinds import GROUPS
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
    own = {key.split(".")[1] for key in map(key_of, overrides) if key.startswith("arch.")}
    of_sizes: set[str] = set().union(*sizes.values())
    if (arch.keys() & of_sizes) <= own:
        return  # nothing was set before the command line, and to look for it takes as long as composing
    set_by = [*map(set, _files(root, overrides, "arch")), own]
    naming = max((place for place, source in enumerate(set_by) if "size" in source), default=0)
    earlier: set[str] = set().union(*set_by[:naming]) - set().union(*set_by[naming:])
    for key in earlier & arch.keys() & of_sizes:
        number = isinstance(arch[key], (int, float)) and not isinstance(arch[key], bool)
        if key in sizes[size] or number:
            del arch[key]


def let_source_win(config: dict[str, Any], root: str, overrides: Sequence[str]) -> None:
    """Take from ``config["arch"]`` the numbers that were set before a trained source was named.

    An option that cuts a model from another has numbers that fit the source which it trains itself. Who names a source
    that exists, in an experiment or on the command line, means that one: what only the option set is the source's own.

    Args:
        config: The composed configuration, which is changed.
        root: Name of the root of every configuration.
        overrides: The command line, as Hydra was given it.
    """
    arch = config.get("arch")
    if not isinstance(arch, dict) or not isinstance(arch.get("initializer"), dict):
        return
    if arch["initializer"].get("source") is None:
        return
    options = _files(root, overrides, "arch", options=True)
    others = _files(root, overrides, "arch", options=False)
    named = any((file.get("initializer") or {}).get("source") is not None for file in others)
    if not named and all(key_of(override) != "arch.initializer.source" for override in overrides):
        return  # the option's own source, for which its numbers are
    kept = {key.split(".")[1] for key in map(key_of, overrides) if key.startswith("arch.")}
    kept |= {"name", "initializer"}.union(*others)
    for key in set().union(*options) - kept:
        arch.pop(key, None)


def let_list_win(config: Mapping[str, Any], root: str, overrides: Sequence[str], keys: Sequence[str]) -> None:
    """Take from an option's mapping what is told of items that a list of the command line no longer has.

    The option ``eval=mobillama`` names tasks, and examples for each of them: ``eval.tasks=[piqa]`` means piqa's alone.

    Args:
        config: The composed configuration, which is changed.
        root: Name of the root of every configuration.
        overrides: The command line, as Hydra was given it.
        keys: What the command line sets.
    """
    for group in GROUPS:
        node = config.get(group)
        if not isinstance(node, dict):
            continue
        own = {key.split(".")[1] for key in keys if key.startswith(f"{group}.")}
        lists = [name for name in own if isinstance(node.get(name), list)]
        files = _files(root, overrides, group) if lists else []
        for name in lists:
            former: list[Any] = next((file[name] for file in reversed(files) if isinstance(file.get(name), list)), [])
            for other, told in node.items():
                if other not in own and isinstance(told, dict) and told and set(told) <= set(map(str, former)):
                    node[other] = {item: value for item, value in told.items() if item in map(str, node[name])}


def _files(root: str, overrides: Sequence[str], group: str, options: bool | None = None) -> list[dict[str, Any]]:
    """Return what each file sets of a group, in Hydra's order.

    Args:
        options: True: only the group's own options; False: only other files, such as experiments.
    """
    loader = GlobalHydra.instance().config_loader()
    found = []
    for entry in loader.compute_defaults_list(root, list(overrides), RunMode.RUN).defaults:
        package = entry.package or ""
        if package not in ("", "_global_", group) or options not in (None, package == group):
            continue
        loaded = loader.repository.load_config(entry.config_path) if entry.config_path else None  # type: ignore[attr-defined]
        node = loaded.config if loaded is not None and package == group else None
        if loaded is not None and package != group:
            node = OmegaConf.select(loaded.config, group, throw_on_missing=False)
        if isinstance(node, DictConfig):
            plain = OmegaConf.to_container(node, resolve=False)
            assert isinstance(plain, dict)
            found.append({str(key): value for key, value in plain.items()})
    return found


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
    _refuse_beside_entries(config, keys)
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


def _refuse_beside_entries(config: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Refuse settings of what is not made, for the run starts from one that exists, or ends before it."""
    tokens = (config.get("tokens") or {}).get(GROUPS["tokens"].entry)
    model, corpus = config.get("model"), config.get("corpus") or config.get("data")
    takes = f"tokens={_written(tokens)}" if tokens is not None else f"model={model}"
    groups: list[str] = []
    if tokens is not None and corpus is None:
        groups += ["tokens"]
    if tokens is not None or model is not None:
        groups += ["tokenizer"]
    if model is not None and tokens is None and corpus is None:
        groups += ["tokens", "pretrain"]
    allowed = {f"{group}.{kind.entry}" for group, kind in GROUPS.items() if kind.entry} | {"tokenizer.revision"}
    why = f"{takes} brings what it is for. Leave it out."
    if corpus is not None and tokens is None and model is None and "arch" not in config:
        groups, allowed = ["tokenizer", "tokens", "pretrain", "eval"], set()
        why = "this run makes a corpus and no model. Add +arch=<architecture> or model=<model>, or leave it out."
    for key in keys:
        of = ".".join(key.split(".")[:2])
        if key.partition(".")[0] in groups and "." in key and of not in allowed:
            raise ConfigError(f"{key}: changes nothing, for {why}")


def _written(tokens: Any) -> str:
    """Return finished tokens as a user writes them: an artifact, or artifacts by name."""
    if isinstance(tokens, Mapping):
        return f"{{{', '.join(f'{name}: {place}' for name, place in tokens.items())}}}"
    return str(tokens)


def _refuse_overruled(key: str, setting: str, where: str, recipe: Mapping[str, Any], part: str) -> None:
    steps = recipe.get("steps")
    nodes = {label: node for label, node in steps.items() if isinstance(node, Mapping)} if steps else {}
    alike = [label for label, node in nodes.items() if node.get("like") and node["like"] == recipe.get(part)]
    if not alike:
        raise ConfigError(f"{key}: changes nothing, for no step of this recipe is like {where}.{part}.")
    if setting and all(setting in nodes[label] for label in alike):
        own = " and ".join(f"{where}.steps.{label}.{setting}" for label in alike)
        raise ConfigError(f"{key}: changes nothing, for each step that is like {where}.{part} has its own. Set {own}.")
