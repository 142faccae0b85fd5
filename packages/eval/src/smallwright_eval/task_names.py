"""By which names a task can stand in a list of benchmarks, such as the one of a decontamination."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def of_row(name: str, loaded: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of a task or group of the score table.

    Its own, that by which it was asked, those of its data set, and of its data files. Of a group those of each of its
    tasks, whose data is one data set as a rule.

    Args:
        name: As the row has it.
        loaded: What lm-eval loaded, by the name that was asked.
    """
    names = [name]
    for asked, one in loaded.items():
        tasks, groups = one["tasks"], one.get("groups") or {}
        if name in tasks:
            found = [tasks[name]]
        elif name in groups:
            found = list(groups[name].get_all_tasks())
        else:
            continue
        names += [asked, *(key for task in found for key in _of_data(task.config))]
    return list(dict.fromkeys(names))


def _of_data(config: Any) -> Iterator[str]:
    files = (config.dataset_kwargs or {}).get("data_files")
    for file in _flatten(files):
        yield Path(file).name.split(".")[0] if not _is_split(file) else Path(file).parent.name
    if config.dataset_path and not files:
        yield str(config.dataset_path)
        yield str(config.dataset_path).rpartition("/")[2]
        yield str(config.dataset_path).replace("/", "__")


def _is_split(file: str) -> bool:
    """Whether a file is named by its split, and its folder by the benchmark."""
    return Path(file).name.split(".")[0].partition("-")[0] in ("train", "test", "validation", "dev", "default")


def _flatten(files: Any) -> Iterator[str]:
    if isinstance(files, Mapping):
        files = list(files.values())
    if isinstance(files, (list, tuple)):
        for one in files:
            yield from _flatten(one)
    elif isinstance(files, str):
        yield files
