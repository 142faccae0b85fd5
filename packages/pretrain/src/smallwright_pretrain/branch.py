"""Where a training goes on from: a checkpoint that a finished training kept. No torch.

A branch has the settings of a whole run, of which the finished training did the first steps.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from core import checkpoints, store, typed
from core.errors import ArtifactError, ConfigError, InputError, named_by_user
from core.interfaces import Branch
from core.writing import ENDING, replacing, write_text

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.forgetting import FORGETTING
from smallwright_pretrain.history import CHECKPOINTS as CHECKPOINTS
from smallwright_pretrain.history import by_step, finished, step_of
from smallwright_pretrain.launch import JOB_FILE
from smallwright_pretrain.policies_log import DECISIONS
from smallwright_pretrain.records import METRICS, read_records
from smallwright_pretrain.round_files import ROUNDS
from smallwright_pretrain.rounds_config import RoundsConfig
from smallwright_pretrain.segments import stages, tokens_at
from smallwright_pretrain.selection_log import CHOSEN
from smallwright_pretrain.skipping import same_skips
from smallwright_pretrain.spikes import SPIKES

KEPT = re.compile(rf"{CHECKPOINTS}/step-(\d+)/\.metadata")
PLACE = re.compile(r"(?P<artifact>.+)@(?P<number>\d+(\.\d+)?(e\d+)?)(?P<unit>[KMBT]?)", re.IGNORECASE)
LENGTH = ("steps", "stages", "schedule", "warmup_steps", "decay_ratio", "decay_type", "min_lr_factor", "skip", "rounds")
"""Settings that may differ between two runs whose first steps are the same."""
TRIES = 5
"""Of a checkpoint of a training that runs."""
BORROWED = "borrowed"
"""Folder in the unfinished work for a checkpoint of another training that is not finished."""
UNFINISHED = shutil.ignore_patterns(f"*{ENDING}")
UNITS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def find(named: str, place: Path | None = None) -> Branch:
    """Return the artifact and the step that ``branch_from`` names.

    Args:
        place: Where the artifact lies; None: where its name says.

    Raises:
        core.errors.InputError: there is no such finished training, or it kept no such checkpoint.
    """
    artifact, step, tokens = parse(named)
    artifact = place or artifact
    owner = f"branch_from={named}"
    with named_by_user(owner, artifact):
        manifest = store.load_manifest(artifact)
    if manifest is None:
        left, _, right = named.rpartition("@")
        if left and not artifact.exists() and Path(left).exists():
            raise InputError(f"{owner}: {right} is no step. Give a whole number, or tokens as in @1.5B.")
        gone = (
            "Let the training that makes it end."
            if artifact.exists()
            else "There is no such folder: name one of a store."
        )
        raise InputError(f"{owner}: {artifact} is no finished artifact. {gone}")
    steps = kept(manifest)
    if not steps:
        raise InputError(f"{owner}: it has no checkpoints. Branch from a training of this trainer.")
    said = ", ".join(f"{one:,}" for one in steps)
    if tokens is not None:
        settings = settings_of(manifest, owner)
        before = [one for one in steps if tokens_at(settings, one) <= tokens]
        if not before:
            raise InputError(
                f"{owner}: no checkpoint is kept until {tokens:,} tokens; kept are the steps {said}, the first after "
                f"{tokens_at(settings, steps[0]):,} tokens."
            )
        step = before[-1]
    if step is not None and step not in steps:
        raise InputError(f"{owner}: no checkpoint of step {step} is kept. Kept are the steps {said}.")
    return Branch(artifact=artifact, step=steps[-1] if step is None else step)


def parse(named: str) -> tuple[Path, int | None, int | None]:
    """Return the artifact, and the step or the tokens that stand behind its ``@``, if any."""
    found = PLACE.fullmatch(named)
    if found is None:
        return Path(named), None, None
    number = found["number"]
    if found["unit"]:
        return Path(found["artifact"]), None, round(float(number) * UNITS[found["unit"].upper()])
    if not number.isdigit():
        raise InputError(f"branch_from={named}: {number} is no step. Give a whole number, or tokens as in @1.5B.")
    return Path(found["artifact"]), int(number), None


def kept(manifest: dict[str, Any]) -> list[int]:
    """Return the steps of the checkpoints that a finished training has, in order."""
    return sorted(int(found[1]) for name in manifest["files"] if (found := KEPT.fullmatch(name)))


def settings_of(manifest: dict[str, Any], owner: str) -> TorchTitanConfig:
    """Return the settings of a finished training.

    Raises:
        core.errors.InputError: they are not of this trainer, or of another version of it.
    """
    try:
        return typed.build(TorchTitanConfig, manifest.get("config"), "pretrain")
    except ConfigError as error:
        raise InputError(f"{owner}: its settings are not read here ({error}). Name a step instead.") from error


def checkpoint(branch: Branch) -> Path:
    """Return the folder of the checkpoint, which is whole.

    Raises:
        core.errors.InputError: it was changed since it was written.
    """
    folder = branch.artifact / CHECKPOINTS / f"step-{branch.step}"
    reason = checkpoints.fault(folder)
    if reason is not None or not (folder / ".metadata").is_file():
        raise InputError(f"pretrain.branch_from: {folder} is damaged ({reason or 'no .metadata'}). Name another step.")
    return folder


def place(config: TorchTitanConfig, branch: Branch) -> tuple[int, int] | None:
    """Return the stage of a branch's first step by its number, and how many of the stage's sequences it had before.

    None: the stages until there are those of the finished training, and so the place in the data is in its checkpoint.
    """
    manifest = store.load_manifest(branch.artifact)
    if manifest is None:  # unfinished: taken only where all was the same until there
        return None
    own = _until(config, branch.step)
    try:
        if _until(settings_of(manifest, ""), branch.step) == own:
            return None
    except InputError:  # settings of another version
        pass
    number, stage = len(own) - 1, stages(config)[len(own) - 1]
    return number, (branch.step - stage.first + 1) * stage.global_batch_size


def _until(config: TorchTitanConfig, step: int) -> list[tuple[int, int, int]]:
    return [(stage.first, stage.seq_len, stage.global_batch_size) for stage in stages(config) if stage.first <= step]


def take_records(branch: Branch, output: Path, *, decided: bool = False) -> None:
    """Begin the metrics of a branch with those of the steps that it did not do itself.

    Args:
        decided: Take what a mixture policy decided, too; at the last step it is asked anew.
    """
    measured = ((name, branch.step) for name in (METRICS, SPIKES, FORGETTING))
    for name, upto in (*measured, (DECISIONS, branch.step - 1 if decided else -1)):
        path = output / name
        # What a step was to train on was chosen before it, and a mixture after it.
        earlier = [
            record
            for record in read_records(branch.artifact / name)
            if record["step"] <= upto + (decided and name == DECISIONS and CHOSEN in record)
        ]
        if earlier and not path.exists():
            write_text(path, "".join(f"{json.dumps(record)}\n" for record in earlier))
    for folder in by_step(branch.artifact / ROUNDS):
        if step_of(folder) <= branch.step and not (output / ROUNDS / folder.name).exists():
            with replacing(output / ROUNDS / folder.name) as partial:
                shutil.copytree(folder, partial, ignore=UNFINISHED)


def goes_on_deciding(config: TorchTitanConfig, record: Mapping[str, Any], branch: Branch) -> bool:
    """Return whether a branch goes on with what a policy decided: it has one of that name, and the same stages.

    Args:
        record: Of the job of the branch.
    """
    own = dict(record.get("identity") or {})
    manifest = store.load_manifest(branch.artifact)
    other = own if manifest is None else manifest["identity"]  # unfinished: only one with the same policy is taken
    names = {str(dict(of.get("policy") or {}).get("implementation")) for of in (own, other)}
    return "policy" in own and len(names) == 1 and place(config, branch) is None


def check(config: TorchTitanConfig, branch: Branch) -> None:
    """Refuse a run that ends before the branch.

    Raises:
        core.errors.ConfigError: naming ``steps``.
    """
    if config.steps <= branch.step:
        raise ConfigError(
            f"steps={config.steps}: branch_from={config.branch_from} is at step {branch.step}, and steps count from "
            f"the beginning. Set steps to more than {branch.step}."
        )


def same_until(one: TorchTitanConfig, other: TorchTitanConfig) -> int:
    """Return the last step until which two runs do the same; settings that are not compared here are taken as equal.

    Compared are the rates, the stages, the batches and those that are skipped.
    """
    if (one.learning_rate, one.warmup_steps) != (other.learning_rate, other.warmup_steps):
        return 0
    same_rates = all(
        getattr(one, key) == getattr(other, key) for key in LENGTH if key not in ("stages", "skip", "rounds")
    )
    until = one.steps if same_rates else min(one.last_at_peak, other.last_at_peak)
    until = min(until, same_skips(one.skip, other.skip))
    for left, right in zip(stages(one), stages(other), strict=False):
        # How many sequences of a stage go into a forward pass changes nothing.
        same = ("first", "seq_len", "global_batch_size", "rope_theta", "mixture", "round")
        drawn_alike = left.round == 1 or (one.rounds and _draws(one.rounds)) == (other.rounds and _draws(other.rounds))
        if not drawn_alike or any(getattr(left, name) != getattr(right, name) for name in same):
            return min(until, max(left.first, right.first) - 1)
        if left.last != right.last:
            return min(until, left.last, right.last)
    return until


def _draws(rounds: RoundsConfig) -> tuple[float, float]:
    return rounds.rate, rounds.temperature


def shorter(identity: Mapping[str, Any], config: TorchTitanConfig, folder: Path) -> Branch | None:
    """Return the kept checkpoint of another training that did the first steps of this one, and the most of them.

    Args:
        identity: Of the artifact that is to be made.
        folder: Where trainings lie, finished or not.
    """
    best: Branch | None = None
    for path, other, settings, steps in _trainings(folder):
        if other == identity or _but_length(other) != _but_length(identity):
            continue
        until = same_until(config, settings)
        steps = [step for step in steps if step <= until and step < config.steps]
        if steps and (best is None or steps[-1] > best.step):
            best = Branch(artifact=path, step=steps[-1])
    return best


def _trainings(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any], TorchTitanConfig, list[int]]]:
    """Give folder, identity, settings and kept steps of each training, of an unfinished one as they are now."""
    for path in sorted(one for one in folder.glob("*") if one.is_dir()):
        try:
            if (manifest := store.load_manifest(path)) is not None:
                yield path, manifest["identity"], settings_of(manifest, str(path)), kept(manifest)
                continue
            job = json.loads((path / store.WORK / "pretrain" / JOB_FILE).read_text(encoding="utf-8"))
            settings = typed.build(TorchTitanConfig, job["stage"]["values"], "pretrain")
            sealed = [one for one in finished(path / CHECKPOINTS) if (one / checkpoints.SEAL).is_file()]
            yield path, job["record"]["identity"], settings, [step_of(one) for one in sealed]
        except (ArtifactError, ConfigError, InputError, OSError, ValueError, LookupError, TypeError):
            continue  # nothing to go on from


def borrowed(found: Branch, work: Path) -> Branch | None:
    """Return a checkpoint where the training that wrote it, which may still run, cannot remove it; None: it is gone.

    Its files get other names in ``work``, which takes no room where both are on one file system.
    """
    if store.load_manifest(found.artifact) is not None:
        return found
    place = work / BORROWED / found.artifact.name
    name = f"{CHECKPOINTS}/step-{found.step}"
    try:
        with replacing(place) as partial:
            (partial / name).mkdir(parents=True)
            for file in (found.artifact / name).iterdir():
                _link(file, partial / name / file.name)
            for record in (METRICS, SPIKES, DECISIONS, FORGETTING):
                if (found.artifact / record).exists():
                    shutil.copyfile(found.artifact / record, partial / record)
            for round_ in by_step(found.artifact / ROUNDS):
                if step_of(round_) <= found.step:
                    shutil.copytree(round_, partial / ROUNDS / round_.name, ignore=UNFINISHED)
            whole = all((partial / name / part).is_file() for part in (checkpoints.SEAL, ".metadata"))
            if not whole or checkpoints.fault(partial / name) is not None:
                raise FileNotFoundError(name)
    except FileNotFoundError:
        return None
    return Branch(artifact=place, step=found.step)


def borrowed_anew(find: Callable[[], Branch | None], work: Path) -> Branch | None:
    """Return what was borrowed before, else what is found now; where that is gone meanwhile, what is found then."""
    found = borrowed_before(work)
    for _ in range(TRIES if found is None else 0):
        shorter = find()
        found = None if shorter is None else borrowed(shorter, work)
        if shorter is None or found is not None:
            break
    return found


def borrowed_before(work: Path) -> Branch | None:
    """Return what an earlier start of the same training borrowed."""
    for place in sorted((work / BORROWED).glob("*")):
        for folder in finished(place / CHECKPOINTS) if place.suffix != ENDING else ():
            return Branch(artifact=place, step=step_of(folder))
    return None


def _link(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, name)


def _but_length(identity: Mapping[str, Any]) -> str:
    """Return an identity as text, without what :func:`same_until` compares."""
    settings = {key: value for key, value in dict(identity.get("pretrain") or {}).items() if key not in LENGTH}
    return json.dumps({**identity, "pretrain": settings}, sort_keys=True, default=str)
