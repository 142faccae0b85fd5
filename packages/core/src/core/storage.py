"""Open files by their names: those of this machine as they are called, others by anything that fsspec knows.

For fsspec ``::`` chains file systems (``zip://*.jsonl::s3://bucket/a.zip``). A name of this machine may have it too.
"""

from typing import Any

import fsspec
from fsspec.core import OpenFile, get_compression
from fsspec.implementations.local import LocalFileSystem


def _is_local(file: str) -> bool:
    return "::" in file and "://" not in file


def url_to_fs(file: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path in it, as ``fsspec.core.url_to_fs``."""
    if _is_local(file):
        return LocalFileSystem(), LocalFileSystem._strip_protocol(file)
    return fsspec.core.url_to_fs(file)


def open_file(file: str, mode: str = "rb", compression: str | None = None, **text: Any) -> OpenFile:
    """Return what ``fsspec.open`` does: it is opened by ``with``.

    Args:
        text: ``encoding``, ``errors`` and ``newline`` of a file of text.
    """
    if _is_local(file):
        filesystem, plain = url_to_fs(file)
        return OpenFile(filesystem, plain, mode, compression=get_compression(plain, compression), **text)
    return fsspec.open(file, mode, compression=compression, **text)
