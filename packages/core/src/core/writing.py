"""Files and folders that are either the old or the whole new one, whatever ends the process while they are written."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENDING = ".partial"
"""Ends the name of what is being written: whoever lists a folder leaves out names that end so, as :func:`files_in`."""


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder and below it, in order, without those that are half written."""
    return sorted(
        path for path in folder.rglob("*") if not is_partial(str(path.relative_to(folder))) and path.is_file()
    )


def is_partial(name: str) -> bool:
    """Whether a path below a folder is of a file that is being written, or in a folder that is."""
    return any(part.endswith(ENDING) for part in name.split("/"))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write ``path`` whole or not at all: give a name to write to, and rename it when the block ends well.

    The content is on the disk (fsync) before the name is. What stood under ``path`` stays until then. Whatever an
    earlier, killed process left under the name to write to is removed first.

    Args:
        path: A file, or a folder that the block makes. Its parent folder is made where it is missing.

    Yields:
        The name to write to, in the same folder. Where the block raises, what it wrote is removed.
    """
    partial = begin(path)
    try:
        yield partial
        commit(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:  # of a write that finds the disk full
            error.filename = str(path)
        with contextlib.suppress(OSError):  # a full disk must not hide what went wrong
            remove(partial)
        raise


def begin(path: Path) -> Path:
    """Return the name to write ``path`` to, with nothing under it: for writers that are closed in another method.

    Everybody else uses :func:`replacing`.
    """
    partial = path.with_name(path.name + ENDING)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(partial)
    return partial


def commit(path: Path) -> None:
    """Give what was written to the name of :func:`begin` its own name.

    Raises:
        IsADirectoryError: a file was written, and a folder has its name. The folder stays.
    """
    partial = path.with_name(path.name + ENDING)
    sync(partial)
    if path.is_dir():
        if not partial.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        shutil.rmtree(path)  # a folder can only be renamed to a name that nothing has
    partial.replace(path)
    sync_names(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all; what JSON does not know is written as its text."""
    write_text(path, json.dumps(value, indent=1, default=str))


def sync(written: Path) -> None:
    """Wait until a file, or every file and name of a folder, is on the disk."""
    if not written.is_dir():
        return _sync_content(written)
    for folder, _, files in os.walk(written):
        for name in files:
            _sync_content(Path(folder) / name)
        sync_names(Path(folder))


def _sync_content(file: Path) -> None:
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())


def sync_names(folder: Path) -> None:
    """Wait until the names of a folder are on the disk, where the system can (Windows cannot)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
