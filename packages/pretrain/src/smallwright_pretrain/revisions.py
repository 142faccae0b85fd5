"""The checkpoints that are kept for good as Hugging Face folders, each with the data that it had seen.

Amber and MobiLlama were published so: one repository a model, one revision a checkpoint (arXiv 2312.06550, section 4).
A process beside the training writes them from the checkpoints on the disk; the training does not wait. No torch at
import.
"""

import contextlib
import dataclasses
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from core import checkpoints
from core.interfaces import Job, TokensMeta
from core.process import die_with_parent
from core.writing import replacing, write_json

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.policies_log import DECISIONS, changes
from smallwright_pretrain.records import read_records
from smallwright_pretrain.round_files import found
from smallwright_pretrain.segments import stage_at, stages, tokens_at, with_theta
from smallwright_pretrain.selection_log import counts
from smallwright_pretrain.sources import Sources

REVISIONS = "revisions"
"""Folder in the artifact."""
DATA = "data.json"
"""In a revision: what the model had been trained on."""
NO_MODEL = ("optimizer.", "lr_scheduler.", "dataloader.", "train_state.")
"""How the names in a checkpoint begin that are no weights."""


def command(job_file: Path) -> tuple[str, ...]:
    """Return the command that writes the revisions of a training that are missing."""
    return (sys.executable, "-m", "smallwright_pretrain.revisions", str(job_file))


def pending(output: Path, settings: TorchTitanConfig) -> list[Path]:
    """Return the checkpoints that are kept for good, are whole, and have no revision yet, oldest first."""
    if not settings.revisions:
        return []
    found = {}
    for path in (output / "checkpoint").glob("step-*"):
        step = path.name.removeprefix("step-")
        if step.isdigit() and (path / checkpoints.SEAL).is_file() and not place(output, int(step)).exists():
            found[int(step)] = path
    tokens = partial(tokens_at, settings)
    return [found[step] for step in sorted(found) if settings.retention.keeps(step, tokens)]


def place(output: Path, step: int) -> Path:
    """Return the folder of a step's revision."""
    return output / REVISIONS / f"step-{step:06d}"


def write(job: Job, checkpoint: Path) -> Path:
    """Write a checkpoint as a revision and return its folder: weights, configuration, tokenizer, ``data.json``."""
    step = int(checkpoint.name.removeprefix("step-"))
    with replacing(place(job.output, step)) as folder:
        loader = export(job, checkpoint, step, folder)
        write_json(folder / DATA, data_so_far(job, step, loader))
    return place(job.output, step)


def at_step(job: Job, step: int) -> Job:
    """Return the job with the architecture that the model has after ``step``."""
    assert job.stage is not None
    assert job.architecture is not None
    architecture = with_theta(job.architecture, stage_at(job.stage.config, step))
    return dataclasses.replace(job, architecture=architecture)


def export(job: Job, weights: Path, step: int, folder: Path) -> dict[str, Any]:
    """Write the model of a checkpoint, or of its weights alone, and return the state of its loader."""
    from smallwright_pretrain.export import write_model

    state, loader = read(weights)
    write_model(at_step(job, step), state, TokensMeta.load(next(iter(job.tokens().values()))), folder)
    return loader


def data_so_far(job: Job, step: int, loader: dict[str, Any]) -> dict[str, Any]:
    """Return what a model was trained on until ``step``: the place in the order of the data, and the epoch account.

    Args:
        loader: State of the loader of batches in the checkpoint.
    """
    assert job.stage is not None
    settings: TorchTitanConfig = job.stage.config
    sources = Sources(job.tokens(), stages(settings), found(settings, job.output))
    skipped = [tuple(pair) for pair in json.loads(loader["skipped"])]
    lines = read_records(job.output / DECISIONS)
    feed = sources.feed(job.seed, skipped, changes(lines, stages(settings)))
    drawn = dict(zip(feed.names, feed.drawn(loader["stage"], loader["position"]).tolist(), strict=True))
    if chosen := counts(lines, step):
        drawn = {name: sum(own.get(name, 0) for own in chosen.values()) for name in drawn}
    return {
        "step": step,
        "tokens": tokens_at(settings, step),
        "seed": job.seed,
        "stage": stage_at(settings, step).name,
        "position": loader["position"],
        "skipped": skipped,
        "sequences": drawn,
    }


def read(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the weights of a checkpoint of any number of ranks, whole and on the CPU, and the state of its loader."""
    import torch
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    from smallwright_pretrain.checkpoints import PlainPlanner, PlainReader

    entries = PlainReader(checkpoint).read_metadata().state_dict_metadata
    wanted: dict[str, Any] = {}
    for name, entry in entries.items():
        if name.startswith("dataloader."):
            wanted[name] = None
        elif isinstance(entry, TensorStorageMetadata) and not name.startswith(NO_MODEL):
            wanted[name] = torch.empty(entry.size, dtype=entry.properties.dtype)
    dcp.load(wanted, storage_reader=PlainReader(checkpoint), planner=PlainPlanner(), no_dist=True)
    loader = {name.partition(".")[2]: wanted.pop(name) for name in list(wanted) if name.startswith("dataloader.")}
    return wanted, loader


def main(job_file: Path) -> None:
    """Write every revision of the job that is missing."""
    from smallwright_pretrain.cpu import use_device

    with contextlib.suppress(OSError):
        os.nice(10)  # the training comes first
    use_device("cpu")
    job = Job.read(job_file)
    assert job.stage is not None
    while missing := pending(job.output, job.stage.config):
        print(f"revision: {write(job, missing[0])}", file=sys.stderr)


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]))
