"""Options of the config groups for what a local plugin file registers: one file is enough to begin with.

A package ships ``conf/arch/mine.yaml``. A file given with ``--plugin`` has no place for YAML; what it registers is an
option with the defaults of its dataclass, unless ``./hydra_conf`` has one of that name.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hydra.core.config_store import ConfigStore

from core.kinds import BY_NAME
from core.registry import Entry, Registry


def add(registry: Registry, options: dict[str, dict[str, str]]) -> None:
    """Give Hydra an option for each name of a local file that has none, and add it to ``options``."""
    local = {record.name for record in registry.plugins if record.local}
    for entry in registry.entries():
        group = BY_NAME[entry.kind].group
        if entry.plugin in local and group is not None and entry.name not in options.get(group, {}):
            ConfigStore.instance().store(group=group, name=entry.name, node=_node(entry))
            options.setdefault(group, {})[entry.name] = entry.distribution


def _node(entry: Entry) -> dict[str, Any]:
    config_class = entry.load_config()
    settings = _defaults(config_class) if config_class is not None else {}
    if entry.kind == "corpora":
        return {"name": entry.name, "corpus": entry.name, **settings}
    node = {"name": entry.name, **settings}
    return {entry.name: node} if entry.kind == "posttrainers" else node


def _defaults(config_class: type) -> dict[str, Any]:
    """Return the defaults of a dataclass; what has none must be given, unless a named size may give it."""
    unset = None if getattr(config_class, "SIZES", None) else "???"
    values = {}
    for field in dataclasses.fields(config_class):
        if not field.init:
            continue
        value: Any = unset
        if field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        values[field.name] = _plain(value)
    return values


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
