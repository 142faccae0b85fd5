"""Checks of settings before any work: the paths and libraries that a step needs."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from core.errors import InputError, MissingPluginError


def check_local(name: str, where: str) -> None:
    """Refuse a model or tokenizer that can only be a path here, and is none; a hub id is not looked for.

    Raises:
        InputError: there is no such file or folder.
    """
    path = name.startswith(("/", "./", "../", "~")) or (name.count("/") > 1 and "://" not in name)
    if path and not Path(name).exists():
        raise InputError(f"{where}={name}: no such file or folder.")


def check_modules(where: str, modules: Mapping[str, str], extra: str) -> None:
    """Refuse what needs libraries that are not installed, without importing them.

    Args:
        modules: Module to the name of its distribution.
        extra: What to install, such as ``smallwright-data-classifiers[fasttext]``.

    Raises:
        MissingPluginError: one is missing.
    """
    missing = [name for module, name in modules.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingPluginError(f"{where}: {' and '.join(missing)} not installed. Install: pip install '{extra}'")
