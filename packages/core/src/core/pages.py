"""Pages for people. Core makes none: a plugin does, through the hook ``make_page``."""

from pathlib import Path
from typing import Any

from core import discovery
from core.errors import InputError, MissingPluginError, cannot_write
from core.registry import Registry

PACKAGE = "smallwright-report"
HOW = f"pip install {PACKAGE}"
"""What gives a run its page, and the commands theirs."""


def makers() -> Registry:
    """Return what is installed, after a look that it can make pages: before the work whose page is asked for.

    Raises:
        MissingPluginError: nothing installed makes pages.
    """
    registry = discovery.load()
    if not registry.hooks.make_page.get_hookimpls():
        raise MissingPluginError(f"no installed plugin makes pages. Install one: {HOW}")
    return registry


def make(registry: Registry, kind: str, data: Any, path: Path) -> Path:
    """Write one page and return where it is.

    Args:
        registry: What is installed.
        kind: What is shown: ``run``, ``inspect``, ``sweep``, ``study`` or ``compare``.
        data: Plain data of that kind.
        path: The file to write.

    Raises:
        MissingPluginError: no installed plugin makes such a page.
        InputError: the file cannot be written.
    """
    try:
        made = registry.hooks.make_page(kind=kind, data=data, path=path)
    except OSError as error:
        raise InputError(cannot_write(error, path)) from error
    if made is None:
        raise MissingPluginError(f"no installed plugin makes a page of kind {kind!r}. Install one: {HOW}")
    return made
