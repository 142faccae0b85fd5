"""Items of a task's data file, against what the task reads of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from core.errors import InputError

from smallwright_eval import task_data

TEMPLATES = ("doc_to_text", "doc_to_choice", "doc_to_target")


def check(path: Path, task: Mapping[str, Any], origin: Path) -> None:
    """Read a data file once, so that a wrong line is named before an engine starts.

    Args:
        path: The file.
        task: What the YAML of the task says.
        origin: Where that YAML is.

    Raises:
        InputError: no such file, no items, or an item that the task cannot ask.
    """
    if not path.is_file():
        raise InputError(f"{origin}: data file {path} does not exist.")
    if path.suffix not in (".jsonl", ".json") or task.get("dataset_kwargs", {}).get("field"):
        return
    keys = _keys_used(task)
    choices, target = task.get("doc_to_choice"), task.get("doc_to_target")
    count = 0
    for where, item in task_data.items_of(path):
        for key in sorted(keys - item.keys()):
            raise InputError(f"{where}: no key {key!r}, which {origin.name} uses. Keys there: {', '.join(item)}.")
        if task.get("output_type") == "multiple_choice":
            _check_choices(where, item, choices, target)
        count += 1
    if count == 0:
        raise InputError(f"{path}: no items.")


def _check_choices(where: str, item: Mapping[str, Any], choices: Any, target: Any) -> None:
    """Refuse an item whose choices are none, or whose right one is not among them: it would count as wrong.

    Looked at is what a field of the task names by a key alone; what a template makes of an item, lm-eval finds out.
    """
    if not isinstance(choices, str):
        return
    options = _named(item, choices)
    texts = isinstance(options, list) and bool(options) and all(isinstance(one, str) for one in options)
    if choices in item and not texts:
        raise InputError(f"{where}: {choices}={json.dumps(options)[:80]}, which is no list of texts to choose from.")
    if not texts or not isinstance(target, str) or target.strip("{} ") not in item:
        return
    label = _named(item, target)
    if isinstance(label, int) and not 0 <= label < len(options):
        raise InputError(f"{where}: {target}={label}, but there are {len(options)} {choices}, counted from 0.")
    if isinstance(label, (float, dict, NoneType)) or (
        isinstance(label, str) and label not in options and not label.isdigit()
    ):
        raise InputError(f"{where}: {target}={json.dumps(label)[:80]}, which is none of its {choices}.")


def _keys_used(task: Mapping[str, Any]) -> set[str]:
    import jinja2
    import jinja2.meta

    keys: set[str] = set()
    for name in TEMPLATES:
        template = task.get(name)
        # Conditions and defaults can make a key optional, which lm-eval finds out by itself.
        if not isinstance(template, str) or "{%" in template or "default" in template:
            continue
        if "{{" in template:
            keys |= jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(template))
        elif name == "doc_to_choice" and template.isidentifier():
            keys.add(template)
    return keys


def _named(item: Mapping[str, Any], reference: Any) -> Any:
    """Return the item's value when a YAML field is nothing but a key of it: ``label`` or ``{{label}}``."""
    if not isinstance(reference, str):
        return None
    return item.get(reference.strip("{} "))
