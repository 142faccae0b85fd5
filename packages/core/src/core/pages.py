"""Pages for people. Core makes none: a plugin does, through the hook ``make_page``."""

import sys
from pathlib import Path
from typing import Any

from core import cli, discovery
from core.errors import InputError, MissingPluginError, UserError, cannot_write
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
        kind: What is shown: ``run``, ``inspect``, ``sweep``, ``study``, ``compare`` or ``bench``.
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


def attempt(registry: Registry, kind: str, data: Any, path: Path) -> Path | None:
    """Write a page of what is written as data already: what stands in its way is said, and costs no more than it.

    Args:
        registry, kind, data, path: See :func:`make`.

    Returns:
        None where there is no page; that nothing installed makes one is not said.
    """
    try:
        return make(registry, kind, data, path)
    except MissingPluginError:
        return None
    except Exception as error:
        warn(f"no page of the {kind}", error)
        return None


def warn(what: str, error: Exception) -> None:
    """Print one line of warning for an error: its own words where they are for users."""
    said = str(error) if isinstance(error, UserError | OSError) else f"{type(error).__name__}: {error}"
    print(cli.printable(f"warning: {what}: {' '.join(said.split())}"), file=sys.stderr)
