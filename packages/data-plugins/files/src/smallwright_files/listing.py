"""Files of an artifact, and short names of files."""

from collections.abc import Sequence

from core.errors import ConfigError, InputError
from core.storage import url_to_fs


def artifact_files(artifact: str | None, folder: str) -> tuple[str, ...]:
    """Return the Parquet files of a folder of an artifact, sorted.

    Raises:
        ConfigError: no artifact is named.
        InputError: the artifact has no such files.
    """
    if not artifact:
        raise ConfigError(
            "data.steps.read.artifact: not set. Give the folder of a data artifact, such as "
            "data.steps.read.artifact=store/data/<name>, or its files with data.paths=[<folder>/*.parquet]."
        )
    filesystem, plain = url_to_fs(artifact)
    place = f"{plain.rstrip('/')}/{folder}"  # listed, for the name of a folder is no pattern
    found = sorted(filesystem.ls(place, detail=False)) if filesystem.isdir(place) else []
    found = [path for path in found if path.endswith(".parquet")]
    if not found:
        raise InputError(f"data.steps.read.artifact={artifact}: no {folder}/*.parquet in it. Is it a data artifact?")
    return tuple(filesystem.unstrip_protocol(path).removeprefix("file://") for path in found)


def check_local(files: Sequence[str], setting: str) -> None:
    """Check that those of ``files`` that are not behind a protocol exist.

    Raises:
        InputError: one does not; ``setting`` says where it was given.
    """
    for file in files:
        if "://" not in file and not url_to_fs(file)[0].isfile(file):
            raise InputError(f"{setting}: {file} is not a file.")


def short_names(files: Sequence[str]) -> dict[str, str]:
    """Return names that tell the files apart and do not depend on where they lie: paths below their common folder."""
    parts = {file: file.rstrip("/").split("/") for file in files}
    common = 0
    while parts and all(len(part) > common + 1 for part in parts.values()):
        if len({part[common] for part in parts.values()}) > 1:
            break
        common += 1
    return {file: "/".join(part[common:]) for file, part in parts.items()}


def parts_of(files: Sequence[str], rank: int, world_size: int) -> list[tuple[str, int, int]]:
    """Return what a rank reads: (file, part, parts), where row n of the file is of part ``n % parts``.

    With no more ranks than files a rank reads every ``world_size``-th file whole; with more, ranks share files.
    """
    if world_size <= len(files):
        return [(file, 0, 1) for file in files[rank::world_size]]
    if not files:
        return []
    place = rank % len(files)
    return [(files[place], rank // len(files), len(range(place, world_size, len(files))))]
