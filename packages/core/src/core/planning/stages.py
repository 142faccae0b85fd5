"""The plan of a whole run: each stage, reused or new and why, then its data and its model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import entries, store
from core.errors import ArtifactError
from core.graph import StageSpec
from core.interfaces import Trainer, is_tokens
from core.planning import data, mixture, model, needs, reasons
from core.planning.model import Hardware
from core.registry import Registry


def plan(
    stages: Sequence[StageSpec],
    root: Path,
    registry: Registry,
    hardware: Hardware | None = None,
    entered: entries.Model | None = None,
) -> dict[str, Any]:
    """Return the plan of checked stages as plain data.

    Args:
        entered: The model that the run starts from.

    Returns:
        ``stages``, each with its ``status`` (``new``, ``reused``, ``resumed`` or ``damaged``) and ``reason``; ``data``,
        see :func:`core.planning.data.describe`; where the run trains, what :func:`core.planning.model.describe` says,
        and else, in ``model``, what :func:`core.planning.model.describe_entered` says of the model that it starts from.
    """
    # Without a corpus it is a question about a model, and no stage can be started.
    chosen = not any(
        is_tokens(spec.name) and set(spec.inputs) == {"tokenizer"} and not spec.external_files for spec in stages
    )
    result: dict[str, Any] = {
        "stages": [_stage(spec, root) for spec in stages] if chosen else [],
        "data": [data.describe(spec, registry) for spec in stages if spec.folder == "data"],
    }
    training = next((spec for spec in stages if spec.name == "pretrain"), None)
    if training is not None and training.architecture is not None:
        result |= model.describe(training, hardware or Hardware(), needs.beforehand([training], root).flops)
        result["mixture"] = training.build().reads(training.finished("tokens", root))
        result["policy"] = None if training.policy is None else training.policy.entry.name
    elif entered is not None:
        result["model"] = model.describe_entered(entered)
    return result


def _stage(spec: StageSpec, root: Path) -> dict[str, Any]:
    artifact = spec.directory(root)
    row: dict[str, Any] = {
        "name": spec.name,
        "artifact": str(artifact),
        "implementation": spec.entry.name,
        "plugin": spec.entry.origin,
    }
    try:
        manifest = store.read_manifest(artifact)
    except ArtifactError as error:
        return {**row, "status": "damaged", "reason": str(error)}
    if manifest is not None and (lacks := store.lacks(manifest)):
        return {**row, "status": "resumed", "reason": f"its result is partial: {'; '.join(lacks)}"}
    if manifest is not None:
        note = spec.other_code(manifest)
        reason = "same settings, inputs and seed" + (f"; {note}" if note else "")
        return {**row, "status": "reused", "reason": reason}
    if artifact.is_dir() and any(path.name != ".lock" for path in artifact.iterdir()):
        return {**row, "status": "resumed", "reason": "an earlier run did not finish it"}
    differences = store.nearest_difference(root / spec.folder, spec.identity())
    reason = "no earlier artifact of this kind" if differences is None else reasons.render(spec, differences)
    return {**row, "status": "new", "reason": f"{reason}{_goes_on(spec, root)}"}


def _goes_on(spec: StageSpec, root: Path) -> str:
    """Say from which finished training a new one takes its first steps."""
    trainer = spec.build() if spec.folder == "pretrain" else None
    found = trainer.shorter(spec.identity(), root / spec.folder) if isinstance(trainer, Trainer) else None
    return f"; goes on from step {found.step:,} of {found.artifact.name}" if found is not None else ""


def render(result: dict[str, Any]) -> str:
    """Show a plan on a terminal."""
    lines = [f"{row['name']:16} {row['status']:8} {row['reason']}" for row in result["stages"]]
    if "note" in result:
        lines = [f"note: {result['note']}"]
    lines = lines or ["no corpus is chosen: this is the model and its training. To run it, add +data=<recipe>."]
    for row in result["data"]:
        lines += ["", *data.render(row)]
    if "model" in result:
        lines += ["", *model.render_entered(result["model"])]
    if "stored_parameters" in result:
        lines += ["", *model.render(result), *mixture.render(result["mixture"], result["policy"])]
        if result["hardware"]:
            lines += ["", *model.render_hardware(result["hardware"], result["mfu"])]
    return "\n".join(lines)
