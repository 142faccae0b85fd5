"""What is in a store: how large and how old, who uses it, and what nothing refers to."""

import dataclasses
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from core import store
from core.errors import ArtifactError, InputError, reading

NAME = re.compile(r".+-[0-9a-f]{12}")
"""Name of an artifact's folder: a label, and the digest of its identity."""
SECONDS_PER_DAY = 86_400


@dataclasses.dataclass
class Artifact:
    """One artifact of a store."""

    folder: Path
    state: str
    """``finished``, ``unfinished``, ``damaged`` (its manifest is) or ``in work`` (a run makes it now)."""
    bytes: int
    changed: float
    """When the newest of its files was written, in seconds since 1970."""
    inputs: tuple[str, ...] = ()
    """Names of the artifacts that it was made from, as far as the manifest can be read."""
    used_by: list[str] = dataclasses.field(default_factory=list)
    """Names of the artifacts that were made from it."""
    runs: list[str] = dataclasses.field(default_factory=list)
    """Folders of the runs whose reports name it."""
    problem: str = ""

    @property
    def name(self) -> str:
        """Return ``<folder>/<label>-<hash>``, its place in any store."""
        return name_of(self.folder)

    def days(self) -> float:
        """Return how long ago it was changed."""
        return (time.time() - self.changed) / SECONDS_PER_DAY

    def row(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "artifact": str(self.folder),
            "state": self.state,
            "bytes": self.bytes,
            "days": round(self.days(), 2),
            "made_from": list(self.inputs),
            "used_by": self.used_by,
            "runs": self.runs,
        }


def name_of(artifact: Path | str) -> str:
    """Return the last two parts of an artifact's path: they stay when the store is moved."""
    return "/".join(Path(artifact).parts[-2:])


def scan(root: Path, runs: Iterable[Path] = ()) -> list[Artifact]:
    """Return the artifacts of a store, in the order of their names.

    Args:
        root: The store.
        runs: Folders of runs, or folders that hold such folders.

    Raises:
        InputError: there is no such store, or the report or a job of a run is damaged.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder. Say where the store is: --store <dir>.")
    found = {name_of(folder): _artifact(folder) for folder in sorted(root.absolute().glob("*/*")) if is_artifact(folder)}
    for artifact in found.values():
        for name in artifact.inputs:
            if name in found:
                found[name].used_by.append(artifact.name)
    for run, named in _named_by_runs(runs):
        for name in named & found.keys():
            found[name].runs.append(str(run))
    return list(found.values())


def is_artifact(folder: Path) -> bool:
    """Whether a folder is an artifact, finished or not, and nothing that somebody else made: such a one may be removed.

    It has a manifest like ours or, as long as it is unfinished or when that is damaged, the name of an artifact.
    """
    if folder.is_symlink() or not folder.is_dir():
        return False
    if NAME.fullmatch(folder.name):
        return any((folder / own).exists() for own in (store.MANIFEST, store.LOCK, store.WORK))
    try:
        return store.load_manifest(folder) is not None
    except (ArtifactError, OSError):
        return False


def find(names: Iterable[str], root: Path) -> list[Path]:
    """Return the folders of artifacts given by their path, or by ``<folder>/<name>`` in the store.

    Raises:
        InputError: one is no artifact.
    """
    folders = []
    for name in names:
        places = (Path(name), root / name)
        folder = next((place.resolve() for place in places if is_artifact(place.resolve())), None)
        if folder is None:
            raise InputError(f"{name}: no artifact here, nor in {root}. See python -m core.store list --store <dir>.")
        folders.append(folder)
    return list(dict.fromkeys(folders))


def kept_by_runs(artifacts: Iterable[Artifact]) -> set[str]:
    """Return the names of what a run's report names, and of all that it was made from."""
    by_name = {artifact.name: artifact for artifact in artifacts}
    kept: set[str] = set()
    waiting = [artifact.name for artifact in by_name.values() if artifact.runs]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in kept:
            kept.add(name)
            waiting += by_name[name].inputs
    return kept


def garbage(artifacts: Iterable[Artifact], days: float, *, with_runs: bool) -> list[tuple[Artifact, str]]:
    """Return what nothing needs, each with the reason, oldest first.

    Args:
        days: What changed within so many days is left.
        with_runs: Whether runs were looked at: else every finished artifact counts as needed.
    """
    artifacts = list(artifacts)
    kept = kept_by_runs(artifacts)
    found = []
    for artifact in artifacts:
        if artifact.days() < days or artifact.state == "in work":
            continue
        if artifact.state == "unfinished":
            found.append((artifact, "unfinished"))
        elif artifact.state == "damaged":
            found.append((artifact, "its manifest is damaged"))
        elif with_runs and artifact.name not in kept:
            found.append((artifact, "no run's report names it or what was made from it"))
    return sorted(found, key=lambda pair: pair[0].changed)


def remove(folder: Path) -> None:
    """Remove an artifact; whatever ends the process on the way, it is not taken for a finished one afterwards.

    Raises:
        ArtifactError: a run makes it now.
    """
    with store.lock(folder):
        (folder / store.MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder)


def _artifact(folder: Path) -> Artifact:
    size, changed = 0, folder.stat().st_mtime
    for place, _, files in os.walk(folder):
        for name in files:
            stat = os.lstat(os.path.join(place, name))
            size, changed = size + stat.st_size, max(changed, stat.st_mtime if name != store.LOCK else 0.0)
    artifact = Artifact(folder=folder, state="unfinished", bytes=size, changed=changed)
    try:
        manifest = store.load_manifest(folder)
    except ArtifactError as error:
        artifact.state, artifact.problem = "damaged", str(error)
        return artifact
    if manifest is not None:
        artifact.state = "finished"
        artifact.inputs = tuple(sorted({name_of(path) for path in manifest["inputs"].values()}))
    elif store.is_locked(folder):
        artifact.state = "in work"
    return artifact


def _named_by_runs(runs: Iterable[Path]) -> Iterator[tuple[Path, set[str]]]:
    """Yield the folder of each run, with the names of the artifacts in its report or, without one, in its jobs."""
    for place in runs:
        sweeps = [table.parent for pattern in ("sweep.json", "*/sweep.json") for table in place.glob(pattern)]
        folders = [place, *place.glob("*/"), *(run for sweep in sweeps for run in sweep.glob("*/"))]
        for run in sorted(set(folders)):
            report, jobs = run / "report.json", sorted((run / "logs").glob("*.job.json"))
            stages = _read(report).get("stages") if report.is_file() else None
            named = {name_of(row["artifact"]) for row in stages or () if isinstance(row, dict) and "artifact" in row}
            for job in jobs:  # also of stages that the report of a later run in the same folder does not name
                named |= {name_of(str(path)) for path in _places(_read(job))}
            if named:
                yield run, named


def _places(job: Mapping[str, Any]) -> list[Any]:
    inputs = job.get("inputs")
    return [*(inputs.values() if isinstance(inputs, dict) else ()), *([job["output"]] if "output" in job else [])]


def _read(path: Path) -> dict[str, Any]:
    with reading(path, "What it needs could be taken for garbage: run its command again, or delete the file."):
        content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}  # somebody else's file of this name
