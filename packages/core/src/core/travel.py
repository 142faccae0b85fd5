"""How a configured object crosses to another process: by the names of its class and of its settings' class."""

import dataclasses
import importlib
from typing import Any

from core import typed


def describe(made: Any) -> dict[str, Any] | None:
    """Return plain data for :func:`rebuild`; ``made`` is what a plugin's class made of its settings, or None."""
    if made is None:
        return None
    settings = made.config
    return {
        "class": _name(type(made)),
        "settings": None if settings is None else _name(type(settings)),
        "values": None if settings is None else dataclasses.asdict(settings),
    }


def rebuild(described: dict[str, Any] | None, where: str, *arguments: Any) -> Any:
    """Make again what :func:`describe` described.

    Args:
        where: Place of the settings in the configuration, for messages.
        arguments: What the class takes after its settings.
    """
    if described is None:
        return None
    settings = None
    if described["settings"] is not None:
        settings = typed.build(_load(described["settings"]), described["values"], where)
    return _load(described["class"])(settings, *arguments)


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _load(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found
