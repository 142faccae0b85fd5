"""Which file of benchmark items a name of ``decontaminate.against`` means. Light: planning asks too."""

import importlib.resources
from pathlib import Path

from core import discovery
from core.errors import InputError
from core.registry import Registry

FILE_ENDINGS = (".jsonl", ".gz", ".parquet", ".txt")


def resolve(name: str, plugin_files: tuple[str, ...] = (), registry: Registry | None = None) -> Path:
    """Return the file of items called ``name``: a path, ``package:relative/path.jsonl``, or a registered benchmark.

    Args:
        plugin_files: Local plugin files, which may register benchmarks too.
        registry: Where benchmarks are looked up; None: what is installed, and ``plugin_files``.

    Raises:
        InputError: no such file or resource.
        core.errors.ConfigError: no such benchmark; the message lists the registered ones.
    """
    if Path(name).is_file():
        return Path(name)
    package, colon, relative = name.partition(":")
    if colon:
        try:
            path = Path(str(importlib.resources.files(package))) / relative
        except (ModuleNotFoundError, ValueError) as error:
            raise InputError(f"against={name}: no package {package!r} ({error}).") from None
    elif "/" in name or name.endswith(FILE_ENDINGS):
        path = Path(name)
    else:
        return (registry or discovery.load(plugin_files)).get("benchmarks", name).resource()
    if not path.is_file():
        raise InputError(f"against={name}: no file {path}.")
    return path
