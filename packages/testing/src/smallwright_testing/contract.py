"""What a class must hold to be one of the contract: the right base, and no name that misses one of the base's."""

import difflib
import inspect
from collections.abc import Collection

from core.bases import public_name

NEAR = 0.85
"""Share of letters in common (:class:`difflib.SequenceMatcher`) from which a name is taken for a misspelt one."""
KNOWN = frozenset({"config"})
"""Names that the contract itself gives to attributes of objects, beside what the bases define."""


def lacks(found: type, *bases: type) -> str:
    """Return what is wrong with a class that subclasses none of ``bases``, or an empty string."""
    if issubclass(found, bases):
        return ""
    wanted = " or ".join(map(public_name, bases))
    return f"{_name(found)} must subclass {wanted}: then a type checker sees the contract, and defaults are there"


def misspelt(found: type, base: type, meant: Collection[str] = ()) -> list[str]:
    """Return a line for each public name that ``found`` adds to ``base`` and that is nearly one of the base's.

    A name of the base that the class defines itself, under the right name, was not misspelt.

    Args:
        meant: Names that are as they should be.
    """
    own = set(_annotations(found, base)).union(*map(vars, _added(found, base)))
    public = {name for name in dir(base) if not name.startswith("_")}
    waiting = {name.lower(): name for name in public - own}
    lines = []
    for name in sorted(own - public - KNOWN - set(meant)):
        near = difflib.get_close_matches(name.lower(), waiting, n=1, cutoff=NEAR)
        if near and not name.startswith("_"):
            lines.append(f"{_name(found)}.{name} is no part of the contract: {waiting[near[0]]} was meant")
    return lines


def no_methods(found: type, base: type) -> list[str]:
    """Return a line for each method of ``base`` that ``found`` replaces by a value or by a field."""
    methods = [name for name, _ in inspect.getmembers(base, inspect.isfunction) if not name.startswith("_")]
    fields = _annotations(found, base)
    return [
        f"{_name(found)}.{name} must be a method, as that of {_name(base)} is"
        for name in methods
        if name in fields or not callable(getattr(found, name, len))
    ]


def _added(found: type, base: type) -> list[type]:
    """Return the classes that ``found`` has and ``base`` has not."""
    return [cls for cls in found.__mro__ if cls not in base.__mro__]


def _annotations(found: type, base: type) -> list[str]:
    return [name for cls in _added(found, base) for name in vars(cls).get("__annotations__", {})]


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
