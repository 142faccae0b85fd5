"""lm-eval tasks from folders: found by name, their data files checked line by line, no network asked."""

import functools
import glob
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from core.errors import ConfigError, InputError, UserError, nearest
from core.interfaces import RemoteData
from core.writing import files_in

from smallwright_eval import needs, stock_tasks, task_data, task_items
from smallwright_eval.config import LMEvalConfig

OWN_TASKS = Path(__file__).parent / "tasks"
SPLITS_OF_SHOTS = ("fewshot_split", "training_split", "validation_split", "test_split")
"""Where lm-eval takes few-shot examples from: the first that a task has."""

Described = tuple[dict[str, Any], Path]
"""What the YAML of a task or a group says, and where it is."""


def check(config: LMEvalConfig, where: str) -> None:
    """Refuse, while planning, tasks that nothing has, that lack what they need, or whose examples are too few.

    All tasks that lack data or something of this machine are told of at once, with those that can be asked.

    Raises:
        ConfigError: an unknown name, a task that needs the network or what is not installed, too many examples.
        InputError: a folder or data file that is missing or wrong.
    """
    own = _own(config)
    here: list[str] = []
    lacking: dict[str, UserError] = {}
    for name in config.tasks:
        complete: list[str] = []
        without: dict[str, UserError] = {}
        for task, (described, path) in wanted([name], own, where).items():
            if described.get("unsafe_code") or (task not in own and task in stock_tasks.index().unsafe):
                fenced = next(
                    (f" {one} runs it in a sandbox." for one in (f"smollm2_{task}", f"bigcode_{task}") if one in own),
                    "",
                )
                raise ConfigError(f"{where}.tasks: {task} runs code that the model writes, unfenced: refused.{fenced}")
            if "group" in described:
                continue
            try:
                needs.check(described, config, where)
            except ConfigError as error:
                without[task] = error
                continue
            try:
                _check_data(config, where, name, described, own, stock=task not in own)
                _check_shots(config, where, name, described, path)
            except task_data.NoData as error:
                without[task] = error
            else:
                complete.append(task)
        here += complete if without else [name]
        lacking |= without if complete or not without else {name: next(iter(without.values()))}
    if lacking:
        raise _lacking(lacking, here, config, where)


def _lacking(lacking: Mapping[str, UserError], here: Sequence[str], config: LMEvalConfig, where: str) -> UserError:
    """Return one error about all tasks and groups that lack something, with what mends it and what can be asked now."""
    rest = f"ask those that lack nothing: {where}.tasks=[{','.join(here)}]" if here else ""
    more = f" {len(lacking) - 1} more of {where}.tasks cannot be asked either." if len(lacking) > 1 else ""
    for error in lacking.values():
        if not isinstance(error, task_data.NoData):
            return type(error)(f"{error}{more}{f' Or {rest}' if rest else ''}")
    return InputError(
        f"{next(iter(lacking.values()))}{more} Fetch it where there is a network (python -m core.fetch "
        f"{where}.tasks=[{','.join(lacking)}] --to {config.data_dir}){f'; or {rest}' if rest else ''}."
    )


def _check_data(
    config: LMEvalConfig, where: str, name: str, described: Mapping[str, Any], own: Mapping[str, Described], stock: bool
) -> None:
    """Refuse data that is on the hub without leave, or that ``data_dir`` lacks.

    Args:
        stock: The task is lm-eval's: where its YAML names no data set, code of lm-eval loads one.
    """
    by_code = bool(described.get("custom_dataset")) or "dataset_path" not in described
    if not (stock if by_code else task_data.of_hub(described)):
        return
    if config.data_dir is not None and by_code:
        raise ConfigError(
            f"{where}.tasks: {described.get('task')} loads its data by code of lm-eval's, which {where}.data_dir does "
            "not reach. Leave it out."
        )
    if config.data_dir is not None:
        found = task_data.find(described, _data_dir(config))
        task_data.check_lock(found, _data_dir(config))
        task_data.check_columns(str(described["dataset_path"]), str(described["task"]), found)
    elif not config.allow_network:
        raise ConfigError(
            f"{where}.tasks: the data of {name!r} comes from the Hugging Face hub. Fetch it once, python -m core.fetch "
            f"... --to <folder>, and take {where}.data_dir=<folder>; or {where}.allow_network=true, or one of the "
            f"tasks with data of their own: {', '.join(_local(own))}."
        )


def asked(config: LMEvalConfig, where: str) -> dict[str, list[dict[str, Any]]]:
    """Return what the YAML says of the tasks behind each name of ``tasks``."""
    own = _own(config)
    found = {name: wanted([name], own, where).values() for name in config.tasks}
    return {name: [said for said, _ in tasks if "group" not in said] for name, tasks in found.items()}


def remote(config: LMEvalConfig, where: str) -> list[RemoteData]:
    """Return the data sets on the hub that the tasks read, with the splits that they name.

    Raises:
        ConfigError: an unknown task.
    """
    own = _own(config)
    found = []
    for name in config.tasks:
        for described, _ in wanted([name], own, where).values():
            if task_data.of_hub(described) and not described.get("custom_dataset"):
                found.append(task_data.remote(described))
    return found


def _check_shots(config: LMEvalConfig, where: str, name: str, described: Mapping[str, Any], path: Path) -> None:
    """Refuse more few-shot examples than a task has."""
    own = (config.fewshot_by_task or {}).get(name)
    shots = config.num_fewshot if own is None else own
    key = "num_fewshot" if own is None else f"fewshot_by_task.{name}"
    if not shots:
        return
    pool = _examples(described, path)
    if pool is not None and shots >= pool:
        raise ConfigError(
            f"{where}.{key}={shots}: {name} has {pool} items to take examples from, one of which may be the "
            f"one that is asked. Set {pool - 1} at most."
        )
    if (
        config.data_dir is None
        or not task_data.of_hub(described)
        or "samples" in (described.get("fewshot_config") or {})
    ):
        return
    split = next((described[key] for key in SPLITS_OF_SHOTS if described.get(key)), None)
    if split is not None and split not in task_data.find(described, _data_dir(config)):
        raise task_data.NoData(
            f"{where}.{key}={shots}: the examples of {described['task']} are of the split {split} of "
            f"{described['dataset_path']}, which {where}.data_dir={config.data_dir} does not have."
        )


def _own(config: LMEvalConfig) -> dict[str, Described]:
    """Return the tasks and groups of this package and of ``task_paths``; the later of one name wins."""
    of_user = {name: task for path in config.task_paths for name, task in _described(Path(os.path.expanduser(path)))}
    return {**_of_package(), **of_user}


@functools.cache
def _of_package() -> Mapping[str, Described]:
    return dict(_described(OWN_TASKS))


def _data_dir(config: LMEvalConfig) -> Path:
    return Path(os.path.expanduser(str(config.data_dir)))  # unlike Path's, it bears users that are not there


def wanted(names: Sequence[str], own: Mapping[str, Described], where: str = "eval") -> dict[str, Described]:
    """Return what the names stand for, of the folders or of lm-eval: tasks, and groups with all their members.

    Raises:
        ConfigError: an unknown name.
    """
    found: dict[str, Described] = {}
    waiting, asked = list(names), set(names)
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        tagged = [other for other, (said, _) in own.items() if name in _listed(said.get("tag"))]
        if name in own:
            found[name] = own[name]
            members = _members(own[name][0])
            waiting += members
            asked |= set(members).intersection(map(str, _listed(own[name][0].get("task"))))  # not those made in place
        elif tagged:
            waiting += tagged
        elif name in stock_tasks.index():
            files = stock_tasks.index().files([name])
            found |= {other: (_read_yaml(path), path) for other, path in files.items() if other not in found}
        elif name in asked:
            _refuse_unknown(name, own, where)
    return found


def _members(described: Mapping[str, Any]) -> list[str]:
    """Return the names that a group lists."""
    members = described.get("task") if "group" in described else None
    members = members if isinstance(members, list) else [members]
    listed = [one.get("group") or one.get("task") if isinstance(one, Mapping) else one for one in members]
    nested = [name for one in members if isinstance(one, Mapping) for name in _members(one)]
    return [name for name in [*listed, *nested] if isinstance(name, str)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def task_manager(config: LMEvalConfig, work: Path) -> Any:
    """Return an lm-eval ``TaskManager`` that knows the tasks that the settings name, and no others.

    Args:
        work: Directory for the resolved YAML and the datasets' cache.

    Raises:
        ConfigError: an unknown name, or a task that needs the network.
        InputError: a folder or data file that is missing or wrong.
    """
    from lm_eval.tasks import TaskManager

    check(config, "eval")
    for name, (described, path) in wanted(config.tasks, _own(config)).items():
        _resolve(name, described, path, config, work)
    return TaskManager(include_path=[work / "yaml"], include_defaults=False)


def _refuse_unknown(name: str, own: Mapping[str, Described], where: str) -> None:
    guess = nearest(name, sorted(own)) or nearest(name, stock_tasks.index().names())
    raise ConfigError(
        f"{where}.tasks: unknown task {name!r}.{guess} Tasks with data of their own: {', '.join(_local(own))}; all of "
        "lm-eval's are listed by `lm-eval ls tasks`, and +eval=<suite> names those of papers."
    )


def _local(own: Mapping[str, Described]) -> list[str]:
    """Return the tasks that need no data of the hub."""
    return sorted(name for name, (said, _) in own.items() if "group" not in said and not task_data.of_hub(said))


def _described(folder: Path) -> Iterator[tuple[str, Described]]:
    """Yield the tasks and groups of a folder by name: what their YAML says, and its path; their data files are checked.

    Raises:
        InputError: a folder, a YAML or a data file that is missing or wrong.
    """
    if not folder.is_dir():
        raise InputError(f"eval.task_paths: {folder} is not a folder.")
    for path in [path for path in files_in(folder) if path.suffix == ".yaml"]:
        described = _read_yaml(path)
        name = described.get("group") or described.get("task")
        if not isinstance(name, str):
            continue  # a part that other files include
        for file in _flatten(_data_files(described, path) or []):
            task_items.check(Path(file), described, path)
        yield name, (described, path)


def _resolve(name: str, described: Mapping[str, Any], path: Path, config: LMEvalConfig, work: Path) -> None:
    """Write YAML that includes the task's and says where its data is: files, by absolute names, or a commit."""
    resolved: dict[str, Any] = {"include": str(path.resolve())}
    files = _data_files(described, path)
    if files is not None:
        resolved["dataset_kwargs"] = {**described["dataset_kwargs"], "data_files": as_patterns(files)}
    elif task_data.of_hub(described) and not described.get("custom_dataset"):
        given = _data_dir(config) if config.data_dir is not None else None
        changed = task_data.pinned(described) if given is None else task_data.rewrite(described, given)
        resolved |= {key: value for key, value in changed.items() if value != described.get(key)}
    if "dataset_kwargs" in resolved and "data_files" in resolved["dataset_kwargs"]:
        resolved["dataset_kwargs"].setdefault("cache_dir", str(work / "datasets"))
    target = work / "yaml"
    target.mkdir(parents=True, exist_ok=True)
    (target / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.yaml").write_text(yaml.safe_dump(resolved))


def _data_files(described: Mapping[str, Any], path: Path) -> Any:
    """Return a task's data files with absolute names, as it has them by split; None where it names none."""
    arguments = described.get("dataset_kwargs") or {}
    if not isinstance(arguments, Mapping):
        raise InputError(f"{path}: dataset_kwargs={arguments!r}, not keys with values.")
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
        "smallwright_eval._lm_eval_yaml", stock_tasks.folder() / "_yaml_loader.py"
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
