"""Checks of settings before any work: the paths and libraries that a step needs."""

import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from core.errors import InputError, MissingPluginError
from core.registry import Entry


def check_target(entry: Entry) -> None:
    """Refuse a registered name whose module, or what it names there, does not exist; nothing heavy is imported.

    Raises:
        MissingPluginError: naming the plugin and what it registered.
    """
    module, _, attribute = entry.target.partition(":")
    if hasattr(sys.modules.get(module), attribute):
        return
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a package above it; a module without a spec
        spec = None
    wrong = "" if spec is not None else f"no module {module}"
    if spec is not None and spec.origin and spec.origin.endswith(".py"):
        source = Path(spec.origin).read_text(encoding="utf-8", errors="replace")
        hidden = "import *" in source or "__getattr__" in source
        if not hidden and re.search(rf"\b{re.escape(attribute)}\b", source) is None:
            wrong = f"no {attribute!r} in {module}"
    if wrong:
        raise MissingPluginError(f"{entry.kind} {entry.name!r} of {entry.origin}: {wrong}. Mend or upgrade the plugin.")


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
