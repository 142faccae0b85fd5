"""A model's artifact as a side, with its evaluations in the store."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core import curves, lineage, store
from core.compare import settings, sides
from core.compare.sides import Score, Side
from core.errors import ArtifactError, InputError, named_by_user
from core.headline import count

TRAINED = ("pretrain", "posttrain")
FOLDERS = (*TRAINED, "init", "model")
"""Folders of a store whose artifacts are models."""


def side(argument: str, artifact: Path, root: Path | None) -> Side:
    """Return the side of a model, or of one evaluation where its artifact is named.

    Of a task that was evaluated several times, the evaluation of the most items counts, of those the latest.

    Args:
        argument: What the user wrote, for messages.
        artifact: Of the model, or of an evaluation.
        root: The store with its evaluations, where it is not the one that the artifact lies in.

    Raises:
        core.errors.UserError: a damaged manifest, an artifact of another kind, or no evaluation.
    """
    artifact = artifact.resolve()
    found = [(artifact, manifest)] if (manifest := _manifest(argument, artifact))["folder"] == "eval" else []
    if found:
        model = lineage.place_of(manifest["inputs"].get("model", ""), artifact)
        manifest = _manifest(argument, model) if (model / store.MANIFEST).is_file() else {**manifest, "folder": "model"}
    else:
        model = artifact
    if manifest["folder"] not in FOLDERS:
        raise InputError(
            f"{argument}: an artifact of {manifest['folder']}, which is no model. Give one of {', '.join(FOLDERS)}."
        )
    notes: list[str] = []
    found = found or list(_evaluations(model, (root or model.parent.parent).resolve(), notes))
    if not found:
        raise InputError(
            f"{argument}: no evaluation of it in {root or model.parent.parent}. Evaluate it: "
            f"python -m core.run model={argument}, or name the store: --store <dir>."
        )
    scores: dict[tuple[str, str], Score] = {}
    for place, evaluated in found:  # a later one stands for an earlier one of as many items
        try:
            own = sides.scores((evaluated.get("summary") or {}).get("eval", []), place, evaluated.get("config") or {})
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(
                f"{argument}: {place / store.MANIFEST} has no scores ({type(error).__name__}: {error}). Delete {place} "
                "to make it again."
            ) from error
        for key, score in own.items():
            if key not in scores or (score.row.get("n") or 0) >= (scores[key].row.get("n") or 0):
                scores[key] = score
    used = {score.artifact for score in scores.values()}
    if len(found) > 1:
        counted = ", ".join(sorted(place.name for place in used if place is not None))
        notes.append(f"of {len(found)} evaluations these count: {counted}.")
    line = [(model, manifest), *_made_from(model, manifest)]
    peaks = [made["peak_memory_bytes"] for _, made in line if "peak_memory_bytes" in made]
    return Side(
        argument=argument,
        names=(model.name.rpartition("-")[0] or model.name, model.name, argument),
        kind="model",
        headline=_headline(model, manifest),
        scores=scores,
        config=None,
        resolved=settings.of_manifests([made for _, made in reversed(line)])
        | settings.of_manifests([evaluated for place, evaluated in found if place in used]),
        curves={
            made["stage"]: (f"{place.parent.name}/{place.name}", _curves(place, made))
            for place, made in reversed(line)
            if made["folder"] in TRAINED
        },
        parameters=next((n for _, made in line if (n := (made.get("summary") or {}).get("stored_parameters"))), None),
        tokens=sum((made.get("summary") or {}).get("tokens") or 0 for _, made in line if made["folder"] in TRAINED)
        or None,
        seconds=sum(made.get("seconds") or 0.0 for _, made in line),
        peak_memory_bytes=max(peaks, default=None),
        made=frozenset(f"eval/{place.name}" for place in used if place is not None),
        notes=tuple(notes),
    )


def _manifest(argument: str, artifact: Path) -> dict[str, Any]:
    with named_by_user(argument, artifact):
        manifest = store.load_manifest(artifact)
    assert manifest is not None
    return manifest


def _evaluations(model: Path, root: Path, notes: list[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the evaluations of a model in a store, the oldest first."""
    found = []
    for path in root.glob(f"eval/*/{store.MANIFEST}"):
        try:
            manifest = store.load_manifest(path.parent)
        except ArtifactError as error:
            notes.append(f"an evaluation is left out: {error}")
            continue
        if manifest is not None and lineage.place_of(manifest["inputs"].get("model", ""), path.parent) == model:
            found.append((manifest.get("started") or 0, path.parent, manifest))
    for _, place, manifest in sorted(found, key=lambda entry: (entry[0], entry[1].name)):
        yield place, manifest


def _made_from(artifact: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield what an artifact was made from and the store still has, an input after what used it, each once."""
    seen = {artifact}
    waiting = [(artifact, manifest)]
    while waiting:
        place, made = waiting.pop(0)
        for path in made["inputs"].values():
            source = lineage.place_of(path, place)
            if source in seen:
                continue
            seen.add(source)
            try:
                found = store.load_manifest(source)
            except (ArtifactError, OSError):
                found = None
            if found is not None:
                yield source, found
                waiting.append((source, found))


def _curves(artifact: Path, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    return curves.of_stage(artifact, manifest.get("summary") or {}, per_token=manifest["folder"] == "pretrain")


def _headline(model: Path, manifest: Mapping[str, Any]) -> str:
    parameters = (manifest.get("summary") or {}).get("stored_parameters")
    size = f" of {count(parameters)} parameters" if parameters else ""
    return f"The model {model.parent.name}/{model.name}{size}."
