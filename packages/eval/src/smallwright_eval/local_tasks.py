"""lm-eval tasks from folders: found by name, their data files checked line by line, no network asked."""

import glob
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from core.errors import ConfigError, InputError, nearest

OWN_TASKS = Path(__file__).parent / "tasks"
TEMPLATES = ("doc_to_text", "doc_to_choice", "doc_to_target")


def task_manager(names: Iterable[str], folders: Iterable[Path], work: Path, allow_network: bool) -> Any:
    """Return an lm-eval ``TaskManager`` that knows ``names``.

    lm-eval's own thousands of tasks are indexed only when a name is not found in the folders.

    Args:
        names: Tasks, groups or tags.
        folders: Folders of lm-eval YAML; a later folder's task wins over an earlier one's of the same name.
        work: Directory for the resolved YAML and the datasets' cache.
        allow_network: False refuses tasks whose data is not in local files.

    Raises:
        ConfigError: an unknown name, or a task that needs the network.
        InputError: a folder or data file that is missing or wrong.
    """
    from lm_eval.tasks import TaskManager

    found = sorted({name for folder in folders for name in _resolve(folder, work / "yaml", work / "datasets")})
    names = list(names)
    manager = TaskManager(include_path=[work / "yaml"], include_defaults=False)
    foreign = [name for name in names if name not in manager.all_tasks]
    if not foreign:
        return manager
    known = _names_in_lm_eval()
    for name in foreign:
        if name not in known:
            guess = nearest(name, found) or nearest(name, known)
            raise ConfigError(
                f"eval.tasks: unknown task {name!r}.{guess} Local tasks: {', '.join(found) or 'none'}; all of "
                "lm-eval's are listed by `lm-eval ls tasks`."
            )
    if not allow_network:
        raise ConfigError(
            f"eval.tasks: the data of {foreign[0]!r} comes from the Hugging Face hub. Take eval.allow_network=true, or "
            f"one of the local tasks: {', '.join(found)}."
        )
    return TaskManager(include_path=[work / "yaml"])


def _names_in_lm_eval() -> set[str]:
    """Return the names of lm-eval's tasks, groups and tags, and some words that are none.

    Found by a pattern in its files, because its own index takes ten times as long.
    """
    import lm_eval.tasks

    named = re.compile(
        rb"^(?:task|group|tag)[ \t]*:[ \t]*[\"']?([\w.+:/-]+)|^[ \t]*-[ \t]+[\"']?(\w[\w.+:/-]*)", re.MULTILINE
    )
    found: set[str] = set()
    for path in Path(lm_eval.tasks.__file__).parent.rglob("*.yaml"):
        found.update(b"".join(match).decode() for match in named.findall(path.read_bytes()))
    return found


def _resolve(folder: Path, target: Path, cache: Path) -> list[str]:
    """Write YAML that includes the folder's and names data files absolutely; return the names of its tasks."""
    if not folder.is_dir():
        raise InputError(f"eval.task_paths: {folder} is not a folder.")
    target.mkdir(parents=True, exist_ok=True)
    names = []
    for path in sorted(folder.rglob("*.yaml")):
        described = _read_yaml(path)
        name = described.get("group") or described.get("task")
        if not isinstance(name, str):
            continue  # a part that other files include
        names.append(name)
        resolved: dict[str, Any] = {"include": str(path.resolve())}
        arguments = described.get("dataset_kwargs")
        if isinstance(arguments, Mapping) and "data_files" in arguments:
            files = _absolute(arguments["data_files"], path.parent)
            for file in _flatten(files):
                _check_items(Path(file), described, path)
            resolved["dataset_kwargs"] = {"cache_dir": str(cache), **arguments, "data_files": as_patterns(files)}
        (target / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.yaml").write_text(yaml.safe_dump(resolved))
    return names


def _read_yaml(path: Path) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        return load_yaml(path, resolve_func=False)
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise InputError(f"{path}: not an lm-eval task: {' '.join(str(error).split())}") from error


def _absolute(files: Any, folder: Path) -> Any:
    if isinstance(files, Mapping):
        return {split: _absolute(value, folder) for split, value in files.items()}
    if isinstance(files, (list, tuple)):
        return [_absolute(value, folder) for value in files]
    return str(files) if "://" in str(files) else str((folder / str(files)).resolve())


def _flatten(files: Any) -> list[str]:
    if isinstance(files, Mapping):
        files = list(files.values())
    if isinstance(files, list):
        return [file for value in files for file in _flatten(value)]
    pattern = any(mark in files for mark in "*?[") and not Path(files).is_file()
    return [] if "://" in files or pattern else [files]


def as_patterns(files: Any) -> Any:
    """Return data files so that ``datasets``, which takes every path for a pattern, finds those that exist."""
    if isinstance(files, Mapping):
        return {split: as_patterns(value) for split, value in files.items()}
    if isinstance(files, list):
        return [as_patterns(value) for value in files]
    path = Path(files)
    if "://" in files:
        return files
    there = path if path.is_file() else next(folder for folder in path.parents if folder.is_dir())
    return str(Path(glob.escape(str(there))) / path.relative_to(there))


def _check_items(path: Path, task: Mapping[str, Any], origin: Path) -> None:
    """Read a data file once, so that a wrong line is named before an engine starts."""
    if not path.is_file():
        raise InputError(f"{origin}: data file {path} does not exist.")
    if path.suffix not in (".jsonl", ".json") or task.get("dataset_kwargs", {}).get("field"):
        return
    keys = _keys_used(task)
    choices, target = task.get("doc_to_choice"), task.get("doc_to_target")
    count = 0
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                item = json.loads(line)
            except ValueError as error:
                raise InputError(f"{where}: not JSON ({error}). One object a line, as JSON.") from error
            if not isinstance(item, dict):
                raise InputError(f"{where}: a JSON {type(item).__name__}, not an object with keys.")
            for key in sorted(keys - item.keys()):
                raise InputError(f"{where}: no key {key!r}, which {origin.name} uses. Keys there: {', '.join(item)}.")
            options, label = _named(item, choices), _named(item, target)
            if isinstance(options, list) and isinstance(label, int) and not 0 <= label < len(options):
                raise InputError(f"{where}: {target}={label}, but there are {len(options)} {choices}, counted from 0.")
            count += 1
    if count == 0:
        raise InputError(f"{path}: no items.")


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
