"""Do what is missing of a sweep's runs, and keep its table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.interfaces import Launcher
from core.registry import Registry
from core.sweep.plan import Planned

VERSION = 1
"""Of the schema of ``sweep.json``."""
NAME = "sweep.json"


def carry_out(
    planned: Sequence[Planned],
    folder: Path,
    *,
    name: str,
    arguments: Sequence[str] = (),
    registry: Registry,
    plugin_files: Sequence[str] = (),
    launcher: Launcher | None = None,
) -> dict[str, Any]:
    """Do what is missing of the runs, and return the sweep's table, which is ``sweep.json`` in its folder.

    Args:
        planned: The runs, in the user's order.
        folder: Of the sweep.
        name: Of the sweep.
        arguments: Of the command, for the table.
        registry: What is installed.
        plugin_files: Local files given with ``--plugin``.
        launcher: What puts the runs side by side; None: one after another in this process.
    """
    raise NotImplementedError
