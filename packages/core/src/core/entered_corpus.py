"""A corpus that was made elsewhere, ``corpus=<folder of Parquet or JSONL files>``, as a recipe that only reads it."""

import re
from pathlib import Path
from typing import Any

from core import store
from core.errors import InputError, MissingPluginError
from core.registry import Registry
from core.writing import files_in

READERS = {"read_parquet": (".parquet",), "read_jsonl": (".jsonl", ".ndjson")}
"""The step that reads files of an ending."""
COMPRESSIONS = (".gz", ".zst", ".xz", ".bz2")


def recipe(named: str, registry: Registry) -> dict[str, Any] | None:
    """Return the settings of a recipe with nothing but a reader; None: it is an artifact, or none that is whole.

    Raises:
        InputError: there is no such folder, or no file in it, or files of two kinds.
        MissingPluginError: nothing installed reads them.
    """
    place, owner = Path(named), f"corpus={named}"
    if (place / store.MANIFEST).exists() or (place / "documents").is_dir():
        return None
    if not place.exists():
        raise InputError(f"{owner}: no such folder. Give an artifact of data, or a folder of Parquet or JSONL files.")
    found: dict[str, list[str]] = {}
    for file in [place] if place.is_file() else files_in(place):
        reader = _reader(file.name)
        hidden = any(part.startswith(".") for part in file.relative_to(place).parts)
        if reader is not None and not hidden:
            found.setdefault(reader, []).append(str(file))
    if not found:
        raise InputError(
            f"{owner}: no artifact, and it has no file that ends in "
            f"{' or '.join(ending for endings in READERS.values() for ending in endings)}."
        )
    if len(found) > 1:
        first, other = (files[0] for files in found.values())
        raise InputError(f"{owner}: has files of two kinds, as {first} and {other}. Give a folder for each.")
    [(use, files)] = found.items()
    if use not in registry.names("steps"):
        readers = [name for name in registry.names("steps") if name.startswith("read_")]
        raise MissingPluginError(f"{owner}: {registry.missing_message('steps', use, readers)}")
    label = re.sub(r"[^A-Za-z0-9_-]", "_", place.resolve().name.partition(".")[0]) or "corpus"
    return {"name": label, "paths": files, "steps": {"read": {"use": use}}}


def _reader(name: str) -> str | None:
    plain = name.lower()
    for compression in COMPRESSIONS:
        plain = plain.removesuffix(compression)
    return next((step for step, endings in READERS.items() if plain.endswith(endings)), None)
