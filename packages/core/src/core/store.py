"""Artifacts on disk: addressed by what makes their content, finished by a manifest that is written last."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.errors import ArtifactError
from core.writing import write_json

MANIFEST = "manifest.json"
KEYS = ("stage", "folder", "identity", "inputs", "external_files", "files")
"""What every manifest has, whatever the stage adds to it."""
WORK = "work"


def digest(identity: Mapping[str, Any]) -> str:
    """Return 12 hex digits that name an identity."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_manifest(artifact: Path) -> dict[str, Any] | None:
    """Return the manifest of a finished artifact as it is written, or None; the artifact's files are not looked at.

    Raises:
        ArtifactError: the manifest is no JSON object, or lacks one of ``KEYS``.
    """
    path = artifact / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise _damaged(path, str(error)) from error
    missing = [key for key in KEYS if key not in manifest] if isinstance(manifest, dict) else KEYS
    if missing:
        raise _damaged(path, f"no {', '.join(missing)}")
    return manifest


def read_manifest(artifact: Path) -> dict[str, Any] | None:
    """Return the manifest of a finished artifact whose files are all there, or None where it has none.

    Raises:
        ArtifactError: the manifest is damaged, or a file that it lists is missing or has another size.
    """
    manifest = load_manifest(artifact)
    for name, (size, _) in manifest["files"].items() if manifest is not None else ():
        file = artifact / name
        if not file.is_file() or file.stat().st_size != size:
            raise ArtifactError(f"{artifact}: {name} is missing or was changed. Delete {artifact} to make it again.")
    return manifest


def _damaged(manifest: Path, reason: str) -> ArtifactError:
    return ArtifactError(f"{manifest} is damaged ({reason}). Delete {manifest.parent} to make it again.")


def finish(artifact: Path, record: Mapping[str, Any]) -> None:
    """Drop unfinished work, list the files with size and SHA-256, and write the manifest atomically."""
    shutil.rmtree(artifact / WORK, ignore_errors=True)
    files = {
        str(path.relative_to(artifact)): (path.stat().st_size, file_digest(path))
        for path in sorted(artifact.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, ".lock")
    }
    write_json(artifact / MANIFEST, {**record, "files": files})


@contextlib.contextmanager
def lock(artifact: Path) -> Iterator[None]:
    """Hold the artifact for this run.

    Raises:
        ArtifactError: another run is making it now.
    """
    artifact.mkdir(parents=True, exist_ok=True)
    with open(artifact / ".lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ArtifactError(
                f"{artifact} is being made by another run (process {file.read().strip() or 'unknown'}). "
                "Wait for it, or give this run another store=<dir>."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@dataclasses.dataclass(frozen=True)
class Difference:
    """One value in which an identity differs from an earlier one."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key} {_short(self.before)} -> {_short(self.after)}"


def nearest_difference(kind_folder: Path, identity: Mapping[str, Any]) -> list[Difference] | None:
    """Compare with the finished artifact of the same kind that differs least; None when there is none."""
    wanted = _flatten(identity)
    best: list[Difference] | None = None
    for path in kind_folder.glob(f"*/{MANIFEST}"):
        try:
            manifest = load_manifest(path.parent)
        except (ArtifactError, OSError):  # it cannot be compared with
            continue
        if manifest is None:  # deleted a moment ago
            continue
        earlier = _flatten(manifest["identity"])
        keys = sorted(wanted.keys() | earlier.keys())
        found = [Difference(k, earlier.get(k), wanted.get(k)) for k in keys if earlier.get(k) != wanted.get(k)]
        if best is None or len(found) < len(best):
            best = found
    return best


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {
            k: v
            for key, inner in value.items()
            for k, v in _flatten(inner, f"{prefix}.{key}" if prefix else str(key)).items()
        }
    return {prefix: value}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
