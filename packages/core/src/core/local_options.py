"""Options of the config groups for what a local plugin file registers: one file is enough to begin with.

A package ships ``conf/arch/mine.yaml``. A file given with ``--plugin`` has no place for YAML: what it registers is an
option that changes no default, unless ``./hydra_conf`` has one of that name.
"""

from typing import Any

from hydra.core.config_store import ConfigStore

from core.kinds import BY_NAME, NAMED_GROUPS
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
    if entry.kind == "corpora":
        return {"name": entry.name, "corpus": entry.name}
    node = {"name": entry.name}
    return {entry.name: node} if BY_NAME[entry.kind].group in NAMED_GROUPS else node
