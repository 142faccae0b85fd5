"""Artifacts on disk: addressed by what makes their content, finished by a manifest that is written last.

The manifest is the commit point. Until it is there, everything that an unfinished stage left stays as it is, so that
the stage can go on; what is not part of the artifact is removed after it. A stage can also finish with a partial result:
it can be read and reported, and the next run that needs it goes on with it.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import ArtifactError, remade
from core.writing import ENDING, files_in, remove, sync, sync_names, write_json

MANIFEST = "manifest.json"
LOCK = ".lock"
WORK = "work"
PARTIAL = "partial"
"""Key of the summary of a stage that lacks something which it may get later: a line for each thing."""
SELF = "manifest_sha256"
"""Key of the digest of everything else in the manifest, with which it is compared when it is read."""
_SHAPE: Mapping[str, type] = {
    "stage": str,
    "folder": str,
    "identity": dict,
    "inputs": dict,
    "external_files": list,
    "files": dict,
}
KEYS = tuple(_SHAPE)
"""What every manifest has, whatever the stage adds to it."""
_MORE: Mapping[str, Any] = {
    "summary": (dict, type(None)),
    "sources": dict,
    "plugins": dict,
    "followed": dict,
    "seconds": (int, float),
    "started": (int, float),
    "peak_memory_bytes": (int, float),
}
"""What a manifest may have, and the type that its readers count on."""


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
        ArtifactError: the manifest is no JSON object, lacks one of ``KEYS`` or has something else in its place, or was
            changed since it was written.
    """
    path = artifact / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or nested without end
        raise _damaged(path, str(error)) from error
    if reason := _misshapen(manifest):
        raise _damaged(path, reason)
    if manifest.pop(SELF, None) not in (None, _own_digest(manifest)):
        raise _damaged(path, f"its content does not fit its {SELF}")
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
            raise _changed(artifact, name)
    return manifest


def check_content(
    artifact: Path, unread: tuple[str, ...] = (), digest_of: Callable[[Path], str] = file_digest
) -> None:
    """Compare the files of a finished artifact with the SHA-256 in its manifest.

    Args:
        artifact: An artifact without a manifest is taken as it is.
        unread: Names of folders in it that are left out.
        digest_of: Returns the SHA-256 of a file; by default it reads the file.

    Raises:
        ArtifactError: the manifest is damaged, or a file is not what was written.
    """
    manifest = read_manifest(artifact)
    for name, (_, sha256) in manifest["files"].items() if manifest is not None else ():
        if name.split("/")[0] not in unread and digest_of(artifact / name) != sha256:
            raise _changed(artifact, name)


def faults(artifact: Path) -> list[str]:
    """Return a line for everything in a finished artifact that is not what was written, its manifest included."""
    try:
        manifest = load_manifest(artifact)
    except ArtifactError as error:
        return [error.fault]
    return list(differences(artifact, manifest["files"])) if manifest is not None else []


def differences(folder: Path, files: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Yield a line for each file that is not what was written.

    Args:
        files: Name in ``folder`` to [size, SHA-256].
    """
    for name, (size, sha256) in files.items():
        file = folder / name
        if not file.is_file():
            yield f"{name} is missing"
        elif file.stat().st_size != size:
            yield f"{name} has {file.stat().st_size:,} bytes and was written with {size:,}"
        elif file_digest(file) != sha256:
            yield f"{name} was changed: it has another SHA-256 than was written"


def _misshapen(manifest: Any) -> str | None:
    """Say what of a manifest is not as its readers count on; None where all is well."""
    missing = [key for key in KEYS if key not in manifest] if isinstance(manifest, dict) else KEYS
    if missing:
        return f"no {', '.join(missing)}"
    for key, kind in {**_SHAPE, **{key: kind for key, kind in _MORE.items() if key in manifest}}.items():
        if not isinstance(manifest[key], kind):
            return f"{key} is {type(manifest[key]).__name__}"
    if not all(isinstance(path, str) for path in (*manifest["inputs"].values(), *manifest["external_files"])):
        return "inputs and external_files are no paths"
    for name, entry in manifest["files"].items():
        if not (isinstance(entry, list) and list(map(type, entry)) == [int, str]):
            return f"files has no size and SHA-256 of {name}"
    return None


def _own_digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _damaged(manifest: Path, reason: str) -> ArtifactError:
    return remade(ArtifactError, f"{manifest} is damaged ({reason})", f"Delete {manifest.parent} to make it again.")


def _changed(artifact: Path, name: str) -> ArtifactError:
    return remade(
        ArtifactError, f"{artifact}: {name} is missing or was changed", f"Delete {artifact} to make it again."
    )


def finish(artifact: Path, record: Mapping[str, Any]) -> None:
    """Write the manifest, with size and SHA-256 of every file; then drop what is not part of the artifact.

    The files are on the disk before the manifest is. Whatever ends the process on the way leaves either everything
    that the stage needs to go on, or a finished artifact. A partial one keeps its unfinished work.
    """
    files, folders = {}, set()
    for path in _own_files(artifact):
        sync(path)
        folders.add(path.parent)
        files[str(path.relative_to(artifact))] = [path.stat().st_size, file_digest(path)]
    for folder in folders:
        sync_names(folder)
    # As it will be read: what JSON does not know is its text from here on.
    manifest = json.loads(json.dumps({**record, "files": files}, default=str))
    write_json(artifact / MANIFEST, {**manifest, SELF: _own_digest(manifest)})
    if not lacks(manifest):
        tidy(artifact)


def lacks(manifest: Mapping[str, Any]) -> list[str]:
    """Return what a finished artifact lacks, which its stage would ask for again; empty: it is whole."""
    found = (manifest.get("summary") or {}).get(PARTIAL)
    return [str(line) for line in found] if isinstance(found, list) else []


def reopen(artifact: Path) -> None:
    """Make a partial artifact an unfinished one, with whose work its stage goes on; the caller holds its lock."""
    (artifact / MANIFEST).unlink()
    sync_names(artifact)


def tidy(artifact: Path) -> None:
    """Remove from a finished artifact what is no part of it: unfinished work, and files that a kill left half-written.

    Whoever uses the artifact does not see these; what cannot be removed stays.
    """
    shutil.rmtree(artifact / WORK, ignore_errors=True)
    for path in list(artifact.rglob(f"*{ENDING}")):
        with contextlib.suppress(OSError):
            remove(path)


def has_leftovers(artifact: Path) -> bool:
    """Whether a finished artifact still has the unfinished work of the stage that made it."""
    return (artifact / WORK).exists()


def _own_files(artifact: Path) -> Iterator[Path]:
    """Yield the files that belong to the artifact, in order, and not to the work on it."""
    beside = {artifact / MANIFEST, artifact / LOCK}
    for path in files_in(artifact):
        if path.relative_to(artifact).parts[0] != WORK and path not in beside:
            yield path


@contextlib.contextmanager
def lock(folder: Path, used: str = "being made", setting: str = "store", run: str | None = None) -> Iterator[None]:
    """Hold an artifact, or another folder, for this run. Who only reads a finished artifact needs no lock.

    Args:
        used: What a run does to the folder, for the message to others.
        setting: What others can set to have a folder of their own.
        run: Id of this run, for the message to others.

    Raises:
        ArtifactError: another run holds it now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ArtifactError(
                f"{folder} is {used} by another run (process {file.read().strip() or 'unknown'}). "
                f"Wait for it, or give this run another {setting}=<dir>."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()) + (f", {run}" if run else ""))
        file.flush()
        yield


@contextlib.contextmanager
def waiting_lock(folder: Path, waits: Callable[[], None], every: float = 0.5) -> Iterator[None]:
    """Hold an artifact, after whoever holds it now: what they make is then finished, or can be gone on with.

    Args:
        waits: Called once where there is someone to wait for.
        every: Seconds between two looks.
    """
    for look in itertools.count():
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(lock(folder))
            except ArtifactError:
                if look == 0:
                    waits()
                time.sleep(every)
                continue
            yield
            return


def is_locked(artifact: Path) -> bool:
    """Whether a run makes the artifact now."""
    try:
        with open(artifact / LOCK, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # nobody ever held it, or it is not ours to ask
        return False
    return False


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
