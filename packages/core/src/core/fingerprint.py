"""What stands for the content of input files in an identity."""

import contextlib
import dataclasses
import functools
import importlib.resources
import importlib.util
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from core import store, typed, writing
from core.errors import InputError
from core.registry import Registry

FILE_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".txt", ".txt.gz", ".bin", ".ftz")
"""A name with one of these is a file's, and no hub id or name that a library knows."""
SETTLED = 2.0
"""Seconds that a file must have been as it is before its digest is remembered: the coarsest clock of a file system."""


def identity(config: Any, registry: Registry, where: str) -> Any:
    """Return a configuration's identity, with the content of the files that its settings name.

    Raises:
        InputError: a setting names a data file that does not exist.
    """
    plain = typed.identity(config)
    if not dataclasses.is_dataclass(config):
        return plain
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get("files") and value is not None:
            names = (value,) if isinstance(value, str) else value
            place = f"{where}.{field.name}"
            only = field.metadata["files"]
            plain[field.name] = [_content(name, registry, place, only) or name for name in names]
    return plain


def named_files(config: Any) -> tuple[str, ...]:
    """Return the user's files that settings declared with ``files=True`` name; of a folder, all in it.

    What a package brings is not among them: its code stands for it.
    """
    if not dataclasses.is_dataclass(config):
        return ()
    files: list[Path] = []
    for name, only in _named(config):
        place = Path(name)
        if place.is_file():
            files.append(place)
        elif place.is_dir():
            files += _files_in(place, only)
    return tuple(dict.fromkeys(os.path.abspath(file) for file in files))


def _named(config: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(config):
        value, only = getattr(config, field.name), field.metadata.get("files")
        if only and value is not None:
            yield from ((name, only) for name in ((value,) if isinstance(value, str) else value))


def _files_in(folder: Path, only: Any) -> list[Path]:
    """Return the files of a folder that a setting names: all in it, or those whose names its field lists."""
    if isinstance(only, tuple):
        return [folder / name for name in sorted(only) if (folder / name).is_file()]
    return writing.files_in(folder)


def fingerprint(file: str) -> str:
    """Name the content of a file: SHA-256 for a local file, the storage's own token for a remote one.

    A file of a hub repository at a commit (``hf://datasets/<owner>/<name>@<commit>/...``) names its content itself.
    """
    if "://" not in file:
        return local_digest(Path(file))
    if re.match(r"hf://[^@]+@[0-9a-f]{40}/", file):
        return file
    filesystem, plain = fsspec.core.url_to_fs(file)
    return str(filesystem.ukey(plain))


def source_digest(target: str) -> str:
    """Name the code of the package that a ``module:attribute`` is in: a digest of its Python and YAML files."""
    return _package_digest(target.partition(":")[0].partition(".")[0])


@functools.cache
def _package_digest(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None:
        return "unknown"
    if not spec.submodule_search_locations:  # a single file, no package
        return store.file_digest(Path(spec.origin)) if spec.origin else "unknown"
    folder = Path(next(iter(spec.submodule_search_locations)))
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".yaml"))
    return store.digest({str(path.relative_to(folder)): store.file_digest(path) for path in files})


def _content(name: str, registry: Registry, where: str, only: Any = True) -> str | None:
    """Fingerprint of what a setting names; None when it is no file here (a hub id, a name that a library knows)."""
    if Path(name).is_file():
        return local_digest(Path(name))
    if Path(name).is_dir():  # a model or a tokenizer
        return store.digest({str(path.relative_to(name)): local_digest(path) for path in _files_in(Path(name), only)})
    if name in registry.names("benchmarks"):
        return local_digest(registry.get("benchmarks", name).resource())
    package, colon, relative = name.partition(":")
    spec = importlib.util.find_spec(package) if colon and package.isidentifier() else None
    if spec is not None and spec.submodule_search_locations is not None:
        resource = Path(str(importlib.resources.files(package))) / relative
        if resource.is_file():
            return local_digest(resource)
    elif not colon and "://" not in name and name.endswith(FILE_ENDINGS):
        raise InputError(f"{where}: no such file: {name}")
    return None


def local_digest(path: Path) -> str:
    """Return the SHA-256 of a file, remembered so that planning over many files, and a stage over its inputs, is quick.

    A file is the same while its path, inode, size and both times are. The time of change is set by the system alone:
    ``cp -p`` and ``rsync -t`` keep only the other one. A file of this moment may change again within the same tick of
    the clock, and is not remembered.
    """
    stat = path.stat()
    key = [str(path.resolve()), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    cache = Path.home() / ".cache" / "smallwright" / "digests" / f"{store.digest({'key': key})}.json"
    if (known := _remembered(cache)) is not None:
        return known
    value = store.file_digest(path)
    if time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            cache.parent.mkdir(parents=True, exist_ok=True)
            writing.write_json(cache, value)
    return value


def _remembered(cache: Path) -> str | None:
    """Return the digest in a file of the cache; None where there is none, or what is there is damaged."""
    try:
        value = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else None
