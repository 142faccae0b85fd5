"""Write a new plugin package from a template: ``python -m core.plugins new <kind> <name>``.

A template is a folder of files ending in ``.tmpl``, in ``core/templates/<kind>/``. In paths and text, ``plugin_name``,
``plugin-name`` and ``PluginName`` stand for the name, ``CORE_RANGE`` for the versions of core that it is written for.
"""

import importlib.metadata
import importlib.resources
import importlib.util
import keyword
import re
import shutil
import sys
from importlib.resources.abc import Traversable
from pathlib import Path

from core import compose
from core.errors import ConfigError, InputError, cannot_write
from core.kinds import KIND_OF_TEMPLATE as KIND_OF
from core.kinds import TEMPLATES
from core.registry import Registry

ENDING = ".tmpl"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
VALUES = ("false", "inf", "nan", "no", "null", "off", "on", "true", "yes")
"""Words that YAML or Hydra reads as a value, so that ``+arch=null`` would choose nothing."""


def create(kind: str, name: str, into: Path, registry: Registry) -> Path:
    """Write the package and return its folder, ``<into>/smallwright-<kind>-<name>``.

    Raises:
        ConfigError: an unknown kind, a bad name, or one that is taken.
        InputError: the folder exists already, or cannot be written.
    """
    if kind not in TEMPLATES:
        raise ConfigError(f"new {kind}: no such kind. Kinds: {', '.join(TEMPLATES)}.")
    check_name(kind, name, registry)
    folder = into / f"smallwright-{TEMPLATES[kind].package}-{name.replace('_', '-')}"
    if folder.exists():
        raise InputError(f"{folder} exists already: choose another name, or another folder with --into <dir>.")
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        _write(importlib.resources.files("core") / "templates" / kind, partial, _words(name))
        partial.rename(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(cannot_write(error, folder)) from error
    return folder


def check_name(kind: str, name: str, registry: Registry) -> None:
    """Refuse a name that cannot be a module's, or that something installed has.

    Raises:
        ConfigError: with what is wrong and what to do.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        example = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f" {example}" if NAME.fullmatch(example) and not keyword.iskeyword(example) else " my_plugin"
        raise ConfigError(f"name {name!r}: use small letters, digits and single underscores, such as{hint}.")
    if name in VALUES:
        raise ConfigError(
            f"name {name!r}: YAML or Hydra reads it as a value, not a name. Use one such as {name}_{kind}."
        )
    if name in sys.stdlib_module_names:  # a --plugin file of this name would be refused too
        raise ConfigError(f"name {name!r}: Python has a module of that name. Use one such as {name}_{kind}.")
    template, registered = TEMPLATES[kind], KIND_OF[kind].name
    for entry in registry.entries():
        if (entry.kind, entry.name) == (registered, name):
            raise ConfigError(f"{kind} {name!r} is registered already, by {entry.origin}: choose another name.")
    offered = compose.option_index(registry).get(template.group or "", {})
    if name in offered:
        raise ConfigError(f"{template.group}={name} is offered already, by {offered[name]}: choose another name.")
    for record in registry.plugins:
        if record.name == name and not record.local:
            raise ConfigError(f"a plugin {name!r} is installed already ({record.distribution}): choose another name.")
    if importlib.util.find_spec(f"smallwright_{name}") is not None:
        raise ConfigError(f"a package smallwright_{name} is installed already: choose another name.")


def _words(name: str) -> dict[str, str]:
    major, minor = importlib.metadata.version("smallwright-core").split(".")[:2]
    return {
        "plugin_name": name,
        "plugin-name": name.replace("_", "-"),
        "PluginName": "".join(part.capitalize() for part in name.split("_")),
        "CORE_RANGE": f">={major}.{minor},<{_next_breaking(int(major), int(minor))}",
    }


def _next_breaking(major: int, minor: int) -> str:
    """The next version that may break a plugin: before 1.0 the next minor one."""
    return f"{major + 1}" if major else f"0.{minor + 1}"


def _write(template: Traversable, folder: Path, words: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for item in template.iterdir():
        name = _replace(item.name, words)
        if item.is_dir():
            _write(item, folder / name, words)
        elif name.endswith(ENDING):
            text = _replace(item.read_text(encoding="utf-8"), words)
            (folder / name.removesuffix(ENDING)).write_text(text, encoding="utf-8")


def _replace(text: str, words: dict[str, str]) -> str:
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text
