"""What a training takes with all that belongs to it: what changes its mixture, and the work that comes before it."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from core.entered import EnteredModelConfig, files_of
from core.interfaces import Trainer
from core.stage_spec import StageSpec, if_finished


@dataclasses.dataclass(kw_only=True)
class Beforehand:
    """The work that is still to be done before trainings, each artifact counted once."""

    disk_bytes: float = 0
    flops: float = 0
    unknown: list[str] = dataclasses.field(default_factory=list)
    """Stages of which nothing is counted, since the tokens that they go through are not made yet."""


def trainer(training: StageSpec) -> Trainer:
    """Return the stage of a training, whose plan has what its policy takes, too."""
    stage: Trainer = training.build()
    return stage if training.policy is None else stage.beside(training.policy.build())


def copied_bytes(stages: Iterable[StageSpec], root: Path) -> int:
    """Return the bytes of models in folders that are still to be copied into the store, as a teacher's are.

    A model of the hub, of which nobody knows here how large it is, counts as far as it was downloaded.

    Args:
        root: The store.
    """
    copies = {spec.directory(root): spec.config for spec in stages if isinstance(spec.config, EnteredModelConfig)}
    files = [files_of(Path(config.directory)) for place, config in copies.items() if not if_finished(place)]
    return sum(file.stat().st_size for row in files for file in row)


def beforehand(trainings: Iterable[StageSpec], root: Path, seen: set[Path] | None = None) -> Beforehand:
    """Return what comes before trainings and is not finished.

    Args:
        root: The store.
        seen: Artifacts that are counted already, as those of another run; it is added to.
    """
    found, seen = Beforehand(), set() if seen is None else seen
    for training in trainings:
        for role, takes in training.build().beforehand(training.finished("tokens", root)).items():
            spec = training.inputs.get(role)
            if spec is None or (artifact := spec.directory(root)) in seen or if_finished(artifact):
                continue
            seen.add(artifact)
            if takes is None:
                found.unknown.append(role)
            else:
                found.disk_bytes += takes.get("disk_bytes", 0)
                found.flops += takes.get("flops", 0)
    return found
