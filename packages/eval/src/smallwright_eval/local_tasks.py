"""lm-eval tasks from folders: found by name, their data files checked line by line, no network asked."""

import functools
import glob
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from core.errors import ConfigError, InputError, MissingPluginError, nearest

from smallwright_eval.config import LMEvalConfig

OWN_TASKS = Path(__file__).parent / "tasks"
TEMPLATES = ("doc_to_text", "doc_to_choice", "doc_to_target")
SPLITS_OF_SHOTS = ("fewshot_split", "training_split", "validation_split", "test_split")
"""Where lm-eval takes few-shot examples from: the first that a task has."""


def check(config: LMEvalConfig, where: str) -> None:
    """Refuse, while planning, tasks that nothing has, that lack their data, or whose examples are too few.

    Raises:
        ConfigError: an unknown name, a task that needs the network, more few-shot examples than there are.
        InputError: a folder or data file that is missing or wrong.
    """
    found = {name: task for folder in folders_of(config) for name, task in _described(folder)}
    _refuse_foreign([name for name in config.tasks if name not in found], sorted(found), config.allow_network)
    for name in config.tasks:
        if found[name][0].get("unsafe_code") if name in found else name in _names_in_lm_eval()[1]:
            raise ConfigError(f"{where}.tasks: {name} runs code that the model writes, unfenced: refused.")
        own = (config.fewshot_by_task or {}).get(name)
        shots = config.num_fewshot if own is None else own
        pool = _examples(*found[name]) if name in found else None
        if shots and pool is not None and shots >= pool:
            key = "num_fewshot" if own is None else f"fewshot_by_task.{name}"
            raise ConfigError(
                f"{where}.{key}={shots}: {name} has {pool} items to take examples from, one of which may be the "
                f"one that is asked. Set {pool - 1} at most."
            )


def folders_of(config: LMEvalConfig) -> list[Path]:
    """Return the folders with the tasks of this package and of ``task_paths``."""
    return [OWN_TASKS, *(Path(path).expanduser() for path in config.task_paths)]


def task_manager(config: LMEvalConfig, work: Path) -> Any:
    """Return an lm-eval ``TaskManager`` that knows the tasks that the settings name.

    lm-eval's own thousands of tasks are indexed only when a name is not found in the folders. A later folder's task
    wins over an earlier one's of the same name.

    Args:
        work: Directory for the resolved YAML and the datasets' cache.

    Raises:
        ConfigError: an unknown name, or a task that needs the network.
        InputError: a folder or data file that is missing or wrong.
    """
    from lm_eval.tasks import TaskManager

    found = {name for folder in folders_of(config) for name in _resolve(folder, work / "yaml", work / "datasets")}
    manager = TaskManager(include_path=[work / "yaml"], include_defaults=False)
    foreign = [name for name in config.tasks if name not in manager.all_tasks]
    if not foreign:
        return manager
    _refuse_foreign(foreign, sorted(found), config.allow_network)
    return TaskManager(include_path=[work / "yaml"])


def _refuse_foreign(names: list[str], found: list[str], allow_network: bool) -> None:
    """Refuse names that are neither in the folders nor lm-eval's own, or whose data is on the hub without leave."""
    known = _names_in_lm_eval()[0] if names else set()
    for name in names:
        if name not in known:
            guess = nearest(name, found) or nearest(name, known)
            raise ConfigError(
                f"eval.tasks: unknown task {name!r}.{guess} Local tasks: {', '.join(found) or 'none'}; all of "
                "lm-eval's are listed by `lm-eval ls tasks`."
            )
    if names and not allow_network:
        raise ConfigError(
            f"eval.tasks: the data of {names[0]!r} comes from the Hugging Face hub. Take eval.allow_network=true, or "
            f"one of the local tasks: {', '.join(found)}."
        )


def _lm_eval_folder() -> Path:
    """Return the folder of lm-eval, without importing it: that takes seconds.

    Raises:
        MissingPluginError: it is not installed.
    """
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPluginError("eval: lm_eval is not installed. Install: pip install 'lm_eval>=0.4.13,<0.5'")
    return Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def _names_in_lm_eval() -> tuple[set[str], set[str]]:
    """Return the names of lm-eval's tasks, groups and tags, and some words that are none; and of them the unsafe tasks.

    Those run code that the model writes. All are found by patterns in its files: its own index takes ten times as long.
    """
    named = re.compile(
        rb"^(?:task|group|tag)[ \t]*:[ \t]*[\"']?([\w.+:/-]+)|^[ \t]*-[ \t]+[\"']?(\w[\w.+:/-]*)", re.MULTILINE
    )
    marked = re.compile(rb"^unsafe_code[ \t]*:[ \t]*true", re.MULTILINE)
    found: set[str] = set()
    unsafe: set[str] = set()
    for path in (_lm_eval_folder() / "tasks").rglob("*.yaml"):
        text = path.read_bytes()
        names = {b"".join(match).decode() for match in named.findall(text)}
        found |= names
        if marked.search(text):
            unsafe |= names
    return found, unsafe


def _described(folder: Path) -> Iterator[tuple[str, tuple[dict[str, Any], Path]]]:
    """Yield the tasks and groups of a folder by name: what their YAML says, and its path; their data files are checked.

    Raises:
        InputError: a folder, a YAML or a data file that is missing or wrong.
    """
    if not folder.is_dir():
        raise InputError(f"eval.task_paths: {folder} is not a folder.")
    for path in sorted(folder.rglob("*.yaml")):
        described = _read_yaml(path)
        name = described.get("group") or described.get("task")
        if not isinstance(name, str):
            continue  # a part that other files include
        for file in _flatten(_data_files(described, path) or []):
            _check_items(Path(file), described, path)
        yield name, (described, path)


def _resolve(folder: Path, target: Path, cache: Path) -> list[str]:
    """Write YAML that includes the folder's and names data files absolutely; return the names of its tasks."""
    target.mkdir(parents=True, exist_ok=True)
    names = []
    for name, (described, path) in _described(folder):
        names.append(name)
        resolved: dict[str, Any] = {"include": str(path.resolve())}
        files = _data_files(described, path)
        if files is not None:
            arguments = described["dataset_kwargs"]
            resolved["dataset_kwargs"] = {"cache_dir": str(cache), **arguments, "data_files": as_patterns(files)}
        (target / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.yaml").write_text(yaml.safe_dump(resolved))
    return names


def _data_files(described: Mapping[str, Any], path: Path) -> Any:
    """Return a task's data files with absolute names, as it has them by split; None where it names none."""
    arguments = described.get("dataset_kwargs") or {}
    return _absolute(arguments["data_files"], path.parent) if "data_files" in arguments else None


def _examples(described: Mapping[str, Any], path: Path) -> int | None:
    """Return how many items a task can take few-shot examples from; None where that is not known without lm-eval."""
    files = _data_files(described, path)
    splits = [described[key] for key in SPLITS_OF_SHOTS if described.get(key)]
    if described.get("fewshot_config") or not splits or not isinstance(files, Mapping) or splits[0] not in files:
        return None
    named = _flatten(files[splits[0]])
    if not named or not all(file.endswith(".jsonl") for file in named):
        return None
    return sum(1 for file in named for line in Path(file).read_bytes().splitlines() if line.strip())


@functools.cache
def _yaml_loader() -> Any:
    """Return the module with lm-eval's own loader, by its file: it needs nothing else of lm-eval."""
    spec = importlib.util.spec_from_file_location(
        "smallwright_eval._lm_eval_yaml", _lm_eval_folder() / "tasks" / "_yaml_loader.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        return _yaml_loader().load_yaml(path, resolve_func=False)
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
