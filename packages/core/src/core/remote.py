"""Data sets of the Hugging Face hub as files of a folder: Parquet alone, at commits and with hashes that a lock keeps.

They are at ``<id with __ for />/<configuration or default>/<split>-00000-of-00001.parquet``, beside
``datasets.lock.json``. No code that comes with a data set is run, and nothing is unpickled.
"""

import contextlib
import dataclasses
import fcntl
import fnmatch
import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import hub, store
from core.errors import InputError, reading
from core.remote_data import CONVERTED, DEFAULT, LOCK, RemoteData, missing_part
from core.writing import write_json

FETCH = "core.fetch"
"""What needs the hub's client."""
PARTIAL = ".partial"
"""Folder of what is being downloaded; the hub's client goes on in it after a broken download."""
ENTRY: Mapping[str, Any] = {
    **dict.fromkeys(("dataset", "split", "revision", "path", "sha256"), str),
    **dict.fromkeys(("config", "asked_revision"), str | None),
    "bytes": int,
}
"""What an entry of the lock has, and of which type."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _File:
    """A file on the hub and where it goes."""

    path: str
    target: str
    split: str
    size: int
    sha256: str | None


@contextlib.contextmanager
def alone(root: Path, waits: str = "") -> Iterator[None]:
    """Hold a folder of fetched data sets, after whoever holds it now; it leaves no file there.

    Args:
        waits: What is printed where there is someone to wait for.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waits:
                print(waits, flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: nobody else is seen there
        yield
    finally:
        os.close(descriptor)


def locked_files(root: Path) -> dict[str, dict[str, Any]]:
    """Return what the lock of a folder says of each file, by its path below it.

    Raises:
        InputError: the lock is damaged.
    """
    with reading(root / LOCK, "Remove it and run core.fetch again, or take another folder."):
        files = json.loads((root / LOCK).read_text(encoding="utf-8"))["files"]
        for entry in files.values():
            for key, kind in ENTRY.items():
                if not isinstance(entry[key], kind):
                    raise TypeError(f"{key} of an entry is {entry[key]!r}")
    return dict(files)


class Folder:
    """The folder of fetched data sets, with its lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock: dict[str, dict[str, Any]] = {}
        if (root / LOCK).is_file():
            self.lock = locked_files(root)

    def complete(self, data: RemoteData) -> bool:
        """Return whether all files of a data set are here as the lock has them."""
        locked = self._locked(data)
        if {entry["split"] for entry in locked.values()} != set(data.splits) or missing_part(locked):
            return False  # a fetch that was ended leaves some files of a split
        return all(self._same(target, entry) for target, entry in locked.items())

    def files(self, data: RemoteData) -> dict[str, dict[str, Any]]:
        """Return what the lock says of the files of a data set, by path below the folder."""
        return self._locked(data)

    def fetch(self, data: RemoteData) -> Iterator[str]:
        """Download what is missing of a data set, and say each file when it is here.

        Raises:
            InputError: the hub has no such data set, commit, configuration or split; or a file is another than before.
            NotAtHand: it cannot be reached.
        """
        for part in (data.name, data.config or DEFAULT, *data.splits):
            if part.startswith("/") or ".." in part.split("/") or not part.isprintable():
                raise InputError(f"{data.name}: {part!r} leads out of the folder that data sets are fetched to.")
        locked = self._locked(data)
        known = next((entry["revision"] for entry in self.lock.values() if _alike(entry, data)), None)
        revision, files = _of_hub(data, known)
        for file in files:
            entry = locked.get(file.target)
            if entry is not None and self._same(file.target, entry):
                continue
            expected = file.sha256 if entry is None else entry["sha256"]
            digest = self._download(data, file, revision, expected)
            self._keep(data, file, revision, digest)
            yield f"{data.name} {data.config or DEFAULT} {file.split}: {file.size / 1e6:.1f} MB, {file.target}"
        lost = [split for split in data.splits if split not in {file.split for file in files}]
        if lost:
            raise InputError(f"{data.name}: no Parquet of the split {lost[0]} of {data.config or DEFAULT} on the hub.")

    def _locked(self, data: RemoteData) -> dict[str, dict[str, Any]]:
        return {
            target: entry
            for target, entry in self.lock.items()
            if _alike(entry, data) and entry["config"] == data.config and entry["split"] in data.splits
        }

    def _same(self, target: str, entry: Mapping[str, Any]) -> bool:
        path = self.root / target
        return path.is_file() and path.stat().st_size == entry["bytes"] and store.file_digest(path) == entry["sha256"]

    def _download(self, data: RemoteData, file: _File, revision: str, expected: str | None) -> str:
        partial = self.root / PARTIAL / data.name.replace("/", "__")
        with _asking(data, revision):
            got = Path(
                hub.client(FETCH).hf_hub_download(
                    data.name,
                    file.path,
                    repo_type="dataset",
                    revision=revision,
                    local_dir=partial,
                )
            )
        digest = store.file_digest(got)
        if expected not in (None, digest):
            got.unlink()
            raise InputError(
                f"{data.name}: {file.path} at {revision} has the SHA-256 {digest}, and {expected} was expected. "
                "Fetch into another folder if the new one is right."
            )
        target = self.root / file.target
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(got, target)
        return digest

    def _keep(self, data: RemoteData, file: _File, revision: str, digest: str) -> None:
        self.lock[file.target] = {
            "dataset": data.name,
            "config": data.config,
            "split": file.split,
            "revision": revision,
            "asked_revision": data.revision,
            "path": file.path,
            "bytes": (self.root / file.target).stat().st_size,
            "sha256": digest,
        }
        write_json(self.root / LOCK, {"version": 1, "files": dict(sorted(self.lock.items()))})


def _alike(entry: Mapping[str, Any], data: RemoteData) -> bool:
    """Return whether an entry of the lock is of the same data set at the same commit; its configurations share one."""
    return (entry["dataset"], entry["asked_revision"]) == (data.name, data.revision)


def _of_hub(data: RemoteData, known: str | None) -> tuple[str, list[_File]]:
    """Return the commit that is read, and its files of the splits; with no Parquet there, of the hub's conversion."""
    if known is not None:
        return known, _files(data, known)
    if not data.converted:
        revision = _commit(data, data.revision)
        files = _files(data, revision)
        if files:
            return revision, files
    revision = _commit(data, CONVERTED)
    return revision, _files(data, revision)


def _commit(data: RemoteData, revision: str | None) -> str:
    with _asking(data, revision):
        return str(hub.client(FETCH).HfApi().dataset_info(data.name, revision=revision).sha)


def _files(data: RemoteData, revision: str) -> list[_File]:
    with _asking(data, revision):
        by_path = {item.path: item for item in _parquet(data.name, revision)}
    found = []
    for split in data.splits:
        paths = _paths_of(sorted(by_path), data.config, split)
        for number, path in enumerate(paths):
            item = by_path[path]
            lfs = getattr(item, "lfs", None)
            found.append(
                _File(
                    path=path,
                    target=f"{data.folder}/{split}-{number:05d}-of-{len(paths):05d}.parquet",
                    split=split,
                    size=item.size,
                    sha256=lfs.sha256 if lfs is not None else None,
                )
            )
    return found


@functools.cache
def _parquet(name: str, revision: str) -> list[Any]:
    """Return the Parquet files of a commit, which data sets of many configurations ask for many times."""
    tree = hub.client(FETCH).HfApi().list_repo_tree(name, repo_type="dataset", revision=revision, recursive=True)
    return [item for item in tree if item.path.endswith(".parquet")]


def _paths_of(paths: Sequence[str], config: str | None, split: str) -> list[str]:
    """Return the files of a split among those of a repository, by where the hub and its conversion put them."""
    folders = [f"{config}/", f"data/{config}/"] if config and config != DEFAULT else [f"{DEFAULT}/", "data/", ""]
    tops = {path.partition("/")[0] for path in paths if path.count("/") == 2}
    if not (config and config != DEFAULT) and len(tops) == 1:
        folders.append(f"{tops.pop()}/")  # the conversion of a data set whose only configuration has a name
    for folder in folders:
        for pattern in (f"{split}.parquet", f"{split}-[0-9]*.parquet", f"{split}/*.parquet"):
            if found := fnmatch.filter(paths, folder + pattern):
                return found
    return []


def _asking(data: RemoteData, revision: str | None = None) -> contextlib.AbstractContextManager[None]:
    """Turn what the hub's client raises into one line."""
    said = f"{data.name}, which {data.wanted_by} reads" if data.wanted_by else data.name
    then = " What is here stays; the same command goes on."
    return hub.asking(
        said, data.name, "dataset", revision or data.revision, or_folder=False, missing="not fetched", then=then
    )
