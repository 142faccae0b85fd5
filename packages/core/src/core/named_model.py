"""The model that a command works with: what the user named, as a folder that engines load."""

import json
from pathlib import Path

from core import entries, hub, store
from core import report as reports
from core.entered import EnteredModelConfig
from core.errors import InputError, reading
from core.model_command import NamedModel
from core.registry import Registry

MODELS = ("pretrain", "posttrain", "init", "model")
"""Folders of a store whose artifacts are models."""


def resolve(named: str, registry: Registry, plugin_files: tuple[str, ...] = ()) -> NamedModel:
    """Return the model that a user names: all that ``model=`` takes, or a run's folder, which is its last model.

    Args:
        named: An artifact, a folder, a hub id with or without ``@<revision>``, ``runs/<run>``, or
            ``runs/<run>:<stage>`` for the model of one of its stages.

    Raises:
        core.errors.UserError: there is none, it is damaged, or the hub does not give it.
    """
    found = entries.model(str(_of_run(named) or named), registry)
    directory, config = found.folder.directory, found.spec.config
    if isinstance(config, EnteredModelConfig) and config.revision is not None:
        directory = hub.snapshot(config.origin, config.revision, (*hub.DESCRIPTION, *hub.WEIGHTS), "model")
    artifact = directory.parent if (directory.parent / store.MANIFEST).is_file() else None
    return NamedModel(
        named=named,
        directory=directory,
        planned=found.planned,
        architecture=found.planned if found.choice is not None else None,
        artifact=artifact,
        plugin_files=plugin_files,
    )


def _of_run(named: str) -> Path | None:
    """Return the artifact of a model of a run's folder; None: it is no run."""
    name, _, stage = (named, "", "") if Path(named).is_dir() else named.rpartition(":")
    folder = Path(name)
    path = folder / reports.NAME
    if not path.is_file():
        if name and (folder / "logs").is_dir():
            raise InputError(
                f"model={named}: the run has no {reports.NAME}: it is not finished. Run its command again."
            )
        return None
    with reading(path, "Run its command again."):
        report = json.loads(path.read_text(encoding="utf-8"))
        places = {
            str(one["name"]): Path(one["artifact"])
            for one in report["stages"]
            if Path(one["artifact"]).parent.name in MODELS
        }
        made_in = Path(str(report.get("made", {}).get("store", "")))
    if not places:
        raise InputError(f"model={named}: the run made no model. Give one that trained.")
    if stage and stage not in places:
        raise InputError(f"model={named}: the run has the models {', '.join(places)}, and none of {stage!r}.")
    artifact = places[stage or list(places)[-1]]
    moved = made_in / artifact.parent.name / artifact.name
    found = next((place for place in (moved, artifact) if place.is_dir()), None)
    if found is None:
        raise InputError(f"model={named}: its model {artifact} is not in the store any more. Run its command again.")
    return found
