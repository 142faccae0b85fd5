"""Where the data of a task comes from: files of a folder instead of the Hugging Face hub.

The folder (the setting ``data_dir``) has a folder for each data set, named by its id on the hub with ``__`` for ``/``.
In it are the splits of each configuration, as JSON lines or as the Parquet files of the hub::

    <data_dir>/allenai__ai2_arc/ARC-Easy/test.jsonl
    <data_dir>/allenai__ai2_arc/ARC-Easy/test-00000-of-00001.parquet
    <data_dir>/tau__commonsense_qa/data/validation-00000-of-00001.parquet    (a data set of one configuration)
"""

import dataclasses
import functools
import glob
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from core.errors import ConfigError, InputError, nearest, reading
from core.interfaces import RemoteData
from core.remote_data import CONVERTED, DEFAULT, LOCK, missing_part

BUILDERS = ("json", "parquet", "csv", "text", "arrow")
"""What ``datasets`` calls a task's data where it is files already, and no id on the hub."""
SPLITS = ("test_split", "validation_split", "training_split", "fewshot_split")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A row of ``datasets.yaml``: a data set on the hub, at the commit that is read."""

    id: str
    revision: str | None
    """The commit; None: nobody names one."""
    licence: str
    configs: Mapping[str, Sequence[str]]
    """Splits by configuration; a data set of one configuration calls it ``default``."""
    columns: Sequence[str] = ()
    """What the tasks read of a row."""
    converted: bool = False
    """The commit has a loading script and no Parquet; the hub's own conversion of it is read."""
    on_hub: bool = True
    """False: the name is ours, and ``source`` says where the data is."""
    source: str = ""
    """Who names the revision; empty: ours, the newest that was seen."""


@functools.cache
def table() -> Mapping[str, Dataset]:
    """Return the data sets that the suites read, by their id on the hub."""
    rows = yaml.safe_load((files("smallwright_eval") / "datasets.yaml").read_text(encoding="utf-8"))
    return {name: Dataset(id=name, **row) for name, row in rows.items()}


def folder_of(name: str, data_dir: Path) -> Path:
    """Return where the data set ``name`` is below ``data_dir``."""
    return data_dir / name.replace("/", "__")


def of_hub(task_config: Mapping[str, Any]) -> bool:
    """Return whether a task's data is on the hub: it names a data set, and no files."""
    path = task_config.get("dataset_path")
    return isinstance(path, str) and path not in BUILDERS and not Path(path).is_dir()


def rewrite(task_config: Mapping[str, Any], data_dir: str | Path) -> dict[str, Any]:
    """Return the task so that it reads its data from ``data_dir``; one whose data is not on the hub is as it was.

    Of the splits that the task names, those that the folder lacks are left out, but for the one that is asked.

    Args:
        task_config: What the YAML of an lm-eval task says.

    Raises:
        InputError: the data set, its configuration or the split that is asked is not there.
    """
    if not of_hub(task_config):
        return dict(task_config)
    found = find(task_config, Path(data_dir))
    kept = {key: value for key in SPLITS if (value := task_config.get(key)) is not None}
    lost = {key: None for key, split in kept.items() if split not in found}
    suffix = {_builder(path) for paths in found.values() for path in paths}
    if len(suffix) > 1:
        folder = folder_of(str(task_config["dataset_path"]), Path(data_dir))
        raise InputError(f"eval.data_dir: {folder} has splits as {' and as '.join(sorted(suffix))}; take one format.")
    files_by_split = {split: [glob.escape(str(path)) for path in paths] for split, paths in found.items()}
    return {
        **task_config,
        **lost,
        "dataset_path": suffix.pop(),
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files_by_split},
    }


def pinned(task_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the task so that it reads the commit of ``datasets.yaml`` from the hub; others are as they were."""
    row = table().get(str(task_config.get("dataset_path")))
    given = task_config.get("dataset_kwargs") or {}
    if row is None or "revision" in given or (row.revision is None and not row.converted):
        return dict(task_config)
    if not row.converted:
        return {**task_config, "dataset_kwargs": {**given, "revision": row.revision}}
    config = task_config.get("dataset_name") or DEFAULT
    splits = dict.fromkeys(task_config[key] for key in SPLITS if task_config.get(key))
    parts = {split: f"{config}/{split}/*.parquet" for split in splits}
    changed = {**given, "revision": CONVERTED, "data_files": parts}
    changed.pop("trust_remote_code", None)
    return {**task_config, "dataset_name": None, "dataset_kwargs": changed}


def remote(task_config: Mapping[str, Any]) -> RemoteData:
    """Return what a task reads of the hub."""
    name = str(task_config["dataset_path"])
    row = table().get(name)
    given = (task_config.get("dataset_kwargs") or {}).get("revision")
    return RemoteData(
        name=name,
        config=task_config.get("dataset_name"),
        splits=tuple(dict.fromkeys(task_config[key] for key in SPLITS if task_config.get(key))),
        revision=given or (row.revision if row else None),
        converted=bool(row and row.converted),
        elsewhere=row.source if row and not row.on_hub else "",
        wanted_by=str(task_config["task"]),
    )


class NoData(InputError):
    """A folder of data has nothing of a split that a task asks or takes examples from."""


def find(task_config: Mapping[str, Any], data_dir: Path) -> dict[str, list[Path]]:
    """Return the files of a task's splits below ``data_dir``; of the splits that it names, those that are there.

    Raises:
        NoData: nothing there of the split that is asked.
    """
    name, config = str(task_config["dataset_path"]), task_config.get("dataset_name")
    splits = list(dict.fromkeys(task_config[key] for key in SPLITS if task_config.get(key)))
    folders = list(_folders(folder_of(name, data_dir), config))
    found = {split: paths for split in splits if (paths := _files_of(folders, split))}
    for paths in found.values():
        if lost := missing_part(path.name for path in paths):
            raise InputError(f"eval.data_dir: {paths[0].parent} lacks {lost}: run core.fetch again, which brings it.")
    asked = task_config.get("test_split") or task_config.get("validation_split")
    if asked not in found:
        of_config = f" ({config})" if config else ""
        raise NoData(
            f"eval.data_dir={data_dir}: no data for {task_config.get('task')}: the split {asked} of {name}{of_config} "
            f"is neither {folders[0] / f'{asked}.jsonl'} nor Parquet beside it."
        )
    return found


def _folders(base: Path, config: str | None) -> Iterator[Path]:
    if config and config != DEFAULT:
        yield base / config
        yield base / "data" / config
        return
    yield base / DEFAULT
    yield base / "data"
    yield base


def _files_of(folders: Sequence[Path], split: str) -> list[Path]:
    """Return the files of a split in the first folder that has some."""
    for folder in folders:
        for ending in (".jsonl", ".jsonl.gz", ".json", ".parquet"):
            if (folder / f"{split}{ending}").is_file():
                return [(folder / f"{split}{ending}").absolute()]
        parts = [*folder.glob(f"{glob.escape(split)}-[0-9]*-of-*.parquet"), *(folder / split).glob("*.parquet")]
        if parts:
            # Links stay: what they lead to, in a cache of the hub, has another name, without an ending.
            return sorted(path.absolute() for path in parts)
    return []


def _builder(path: Path) -> str:
    return "parquet" if path.suffix == ".parquet" else "json"


def check_lock(found: Mapping[str, Sequence[Path]], data_dir: Path) -> None:
    """Refuse files of another size than the lock of ``core.fetch`` has, such as those of a copy that was cut short.

    Raises:
        InputError: naming the file.
    """
    lock = data_dir / LOCK
    if not lock.is_file():
        return
    with reading(lock, "Run core.fetch again, into another folder."):
        entries = json.loads(lock.read_text(encoding="utf-8")).get("files", {})
        sizes = {(data_dir / place).absolute(): entry["bytes"] for place, entry in entries.items()}
    for path in [path for paths in found.values() for path in paths]:
        if path.stat().st_size != sizes.get(path, path.stat().st_size):
            raise InputError(f"{path}: not the size that {LOCK} says. Run core.fetch again, which replaces it.")


def check_columns(name: str, task: str, found: Mapping[str, Sequence[Path]]) -> None:
    """Refuse data without a column that the tasks of a data set read.

    Args:
        name: Of the data set; one that is not in the table is not checked.
        task: Whose data it is, for the message.
        found: Files by split.

    Raises:
        InputError: naming the file, the row and the column.
    """
    row = table().get(name)
    if row is None or not row.columns:
        return
    for path in [path for paths in found.values() for path in paths]:
        for where, keys in _columns_of(path):
            missing = [column for column in row.columns if column not in keys]
            if missing:
                raise InputError(
                    f"{where}: no column {missing[0]!r}, which {task} reads of {name}."
                    f"{nearest(missing[0], keys)} Columns there: {', '.join(keys)}."
                )


def _columns_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the columns of each row, with its place; of Parquet, those of the file."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        try:
            yield str(path), list(pyarrow.parquet.read_schema(path).names)
        except (OSError, pyarrow.ArrowInvalid) as error:
            raise InputError(f"{path}: not a Parquet file: {' '.join(str(error).split())}") from error
        return
    for where, row in items_of(path):
        yield where, list(row)


def items_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the items of a file of JSON lines, each with its place.

    Raises:
        InputError: a line that is no object in UTF-8, or a damaged file, with the place.
    """
    with (
        reading(path, "Give a whole one.", also=(EOFError, zlib.error)),
        (gzip.open if path.suffix == ".gz" else open)(path, "rb") as opened,
    ):
        for number, line in enumerate(opened, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise InputError(f"{where}: not in UTF-8 ({error.reason} at byte {error.start}).") from error
            except RecursionError as error:
                raise InputError(f"{where}: lists in lists without an end.") from error
            except ValueError as error:
                raise InputError(f"{where}: not JSON ({error}). One object a line, as JSON.") from error
            if not isinstance(row, dict):
                raise InputError(f"{where}: a JSON {type(row).__name__}, not an object with keys.")
            yield where, row


def dataset(name: str) -> Dataset:
    """Return the row of a data set.

    Raises:
        ConfigError: the table has none, so that no commit of it is known to be safe to read.
    """
    rows = table()
    if name not in rows:
        raise ConfigError(f"{name}: no row in datasets.yaml, so no commit to read.{nearest(name, rows)}")
    return rows[name]
