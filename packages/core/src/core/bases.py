"""Objects of plugins that were written before the contract had base classes: they get the bases' defaults.

It goes with the next plugin API version; then what has no base is refused.
"""

import inspect
import types
import warnings
from typing import Any

from core import interfaces


def public_name(base: type) -> str:
    """Return the name by which plugins import a class of the contract, wherever core keeps it."""
    home = interfaces.__name__ if getattr(interfaces, base.__name__, None) is base else base.__module__
    return f"{home}.{base.__qualname__}"


def complete(made: Any, base: type | None, origin: str) -> Any:
    """Return ``made`` with every method of ``base`` that has a default, and a warning where it lacked the base.

    Args:
        made: A stage, or the settings of a step.
        base: The class that its kind should subclass; None: its kind has none.
        origin: The plugin, for the warning.
    """
    if base is None or made is None or isinstance(made, (base, dict)):
        return made
    name = f"{type(made).__module__}.{type(made).__qualname__}"
    warnings.warn(
        f"{origin}: {name} is no {public_name(base)}; subclass it, so that the type checker sees the contract",
        DeprecationWarning,
        stacklevel=2,
    )
    abstract: frozenset[str] = getattr(base, "__abstractmethods__", frozenset())
    for method, function in inspect.getmembers(base, inspect.isfunction):
        if not method.startswith("_") and method not in abstract and not hasattr(made, method):
            object.__setattr__(made, method, types.MethodType(function, made))  # settings are frozen
    return made
