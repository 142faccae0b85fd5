"""What stands for the content of input files in an identity."""

import dataclasses
import functools
import importlib.resources
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import fsspec

from core import store, typed, writing
from core.errors import InputError
from core.registry import Registry

FILE_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".txt", ".txt.gz", ".bin", ".ftz")
"""A name with one of these is a file's, and no hub id or name that a library knows."""


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
            plain[field.name] = [_content(name, registry, place) or name for name in names]
    return plain


def fingerprint(file: str) -> str:
    """Name the content of a file: SHA-256 for a local file, the storage's own token for a remote one.

    A file of a hub repository at a commit (``hf://datasets/<owner>/<name>@<commit>/...``) names its content itself.
    """
    if "://" not in file:
        return _local_digest(Path(file))
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


def _content(name: str, registry: Registry, where: str) -> str | None:
    """Fingerprint of what a setting names; None when it is no file here (a hub id, a name that a library knows)."""
    if Path(name).is_file():
        return _local_digest(Path(name))
    if Path(name).is_dir():  # a model or a tokenizer
        files = sorted(path for path in Path(name).rglob("*") if path.is_file())
        return store.digest({str(path.relative_to(name)): _local_digest(path) for path in files})
    if name in registry.names("benchmarks"):
        return _local_digest(registry.get("benchmarks", name).resource())
    package, colon, relative = name.partition(":")
    if colon and package.isidentifier() and importlib.util.find_spec(package) is not None:
        resource = Path(str(importlib.resources.files(package))) / relative
        if resource.is_file():
            return _local_digest(resource)
    elif not colon and "://" not in name and name.endswith(FILE_ENDINGS):
        raise InputError(f"{where}: no such file: {name}")
    return None


def _local_digest(path: Path) -> str:
    """SHA-256, remembered by path, size and time of change, so that planning over many files is quick."""
    stat = path.stat()
    key = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
    cache = Path.home() / ".cache" / "smallwright" / "digests" / f"{store.digest({'key': key})}.json"
    if cache.is_file():
        return str(json.loads(cache.read_text()))
    value = store.file_digest(path)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        writing.write_json(cache, value)
    except OSError:  # a cache that cannot be written costs time, nothing else
        pass
    return value
