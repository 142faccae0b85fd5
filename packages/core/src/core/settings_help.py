"""What the settings of a registered name are: key, type, default, and the docstring under the field."""

import ast
import dataclasses
import inspect
import textwrap
import typing
from typing import Any

from core import compose, typed
from core.errors import MissingPluginError, nearest
from core.registry import Entry, Registry
from core.typed import show_type


def registered(registry: Registry, name: str) -> list[Entry]:
    """Return what is registered under a name, of any kind."""
    return [entry for entry in registry.entries() if entry.name == name]


def find(registry: Registry, name: str) -> list[Entry]:
    """Return what is registered under a name, of any kind.

    Raises:
        MissingPluginError: nothing is; with the nearest name.
    """
    found = registered(registry, name)
    if not found:
        options = {option for group in compose.option_index(registry).values() for option in group}
        guess = nearest(name, {entry.name for entry in registry.entries()} | options)
        raise MissingPluginError(f"nothing installed is called {name!r}.{guess} See python -m core.plugins.")
    return found


def settings(config_class: type) -> list[dict[str, Any]]:
    """Return ``key``, ``type``, ``default`` (None: required), ``bounds`` in words, ``doc`` and ``identity`` of each
    field of a dataclass."""
    documents: dict[str, str] = {}
    for cls in reversed(config_class.__mro__):
        if dataclasses.is_dataclass(cls):
            documents |= _field_docs(cls)
    hints = typing.get_type_hints(config_class)
    rows = []
    for field in dataclasses.fields(config_class):
        default: Any = None
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        rows.append(
            {
                "key": field.name,
                "type": show_type(hints[field.name]),
                "default": default,
                "required": required,
                "bounds": typed.bounds(config_class, field.name).words(),
                "doc": documents.get(field.name, ""),
                "identity": field.metadata.get("identity", True),
            }
        )
    return rows


def render(entry: Entry) -> str:
    """Show an entry and its settings on a terminal."""
    target, config_class = entry.load(), entry.load_config()
    about = inspect.getdoc(target) or ""
    lines = [f"{entry.name} ({entry.kind}) of {entry.origin}", "", *about.splitlines()]
    if config_class is None:
        return "\n".join([*lines, "", "It has no settings."])
    if sizes := getattr(config_class, "SIZES", None):
        lines += ["", *textwrap.wrap(f"Sizes: {', '.join(sizes)}.", 110)]
    lines += ["", "Settings", ""]
    for row in settings(config_class):
        default = "required" if row["required"] else f"= {row['default']!r}"
        kind = ", ".join(filter(None, [row["type"], row["bounds"]]))
        lines.append(f"  {row['key']} {default}   ({kind})")
        lines += textwrap.wrap(" ".join(row["doc"].split()), 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def _field_docs(cls: type) -> dict[str, str]:
    """Docstrings that stand under the fields of a class."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, ValueError, SyntaxError):  # no source: a frozen or generated class
        return {}
    assert isinstance(tree, ast.ClassDef)
    found, last = {}, None
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[last] = str(node.value.value)
            last = None
        else:
            last = None
    return found
