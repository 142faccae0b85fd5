"""One rank of a pretraining run: ``python -m smallwright_pretrain.rank <job.json>``.

Trains, or resumes, then writes the model as ``hf.partial/`` with reference log-probabilities beside it; the stage
compares engines and renames it.
"""

import dataclasses
import importlib.metadata
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from core.engines import importing
from core.errors import UserError, full_disk
from core.interfaces import Job, TokensMeta
from core.process import die_with_parent
from core.writing import write_json

from smallwright_pretrain import evaluations, revisions, round_files
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.launch import ERROR_FILE, JOB_FILE, REFERENCE_FILE, SUMMARY_FILE, TURN_FILE
from smallwright_pretrain.policies_log import DECISIONS
from smallwright_pretrain.segments import Segment, segments, with_theta
from smallwright_pretrain.stored_files import rows as stored_rows


def main(job_file: Path) -> None:
    """Run this rank of the job in ``job_file``; the stage reads the answers in the same folder."""
    work = job_file.parent
    try:
        _run(Job.read(job_file), work)
    except UserError as error:
        _report(work, "user", str(error))
        raise
    except BaseException as error:  # what torch raises of a checkpoint is no Exception
        from smallwright_pretrain.checkpoints import UnreadableCheckpoint, said

        if isinstance(error, UnreadableCheckpoint):
            _report(work, "checkpoint", str(error), checkpoint=error.name)
        elif full := full_disk(error, work):
            _report(work, "user", full)
        else:
            _report(work, "error", said(error))
        raise


def _report(work: Path, kind: str, message: str, **more: str) -> None:
    """Leave the first error for the stage; what other ranks report afterwards follows from it."""
    text = json.dumps({"kind": kind, "message": message, "traceback": traceback.format_exc(), **more})
    place = work / ERROR_FILE
    try:
        file = place.open("x", encoding="utf-8")
    except OSError:  # another rank was first, or there is no place for a word
        return
    try:
        with file:
            file.write(text)
    except OSError:  # half a report is none; the stage looks at the disk itself
        place.unlink(missing_ok=True)


def _run(job: Job, work: Path) -> None:
    from smallwright_pretrain.cpu import peak_memory_bytes, use_device

    job, segment, begin = _turn(job, work)
    assert job.stage is not None
    assert job.architecture is not None
    settings: TorchTitanConfig = job.stage.config
    architecture, tokens = job.architecture, job.tokens()
    device = use_device(settings.device)
    round_files.check_drawn(settings, job.output, segment)

    with importing():
        import torch
        from torchtitan.tools.logging import init_logger

        from smallwright_pretrain.attention import inner_attention
        from smallwright_pretrain.between_rounds import end_round
        from smallwright_pretrain.export import export
        from smallwright_pretrain.teacher import know
        from smallwright_pretrain.titan import trainer_config
        from smallwright_pretrain.weights import full_state_dict, initialize, load_starting_weights

    if device == "cuda" and settings.nproc > torch.cuda.device_count():
        raise UserError(
            f"pretrain.nproc={settings.nproc}: this machine has {torch.cuda.device_count()} GPUs. Use at most as many."
        )
    init_logger()
    meta = TokensMeta.load(next(iter(tokens.values())))  # all are of one tokenizer
    rows = architecture.hf_config().vocab_size
    if meta.vocab_size > rows:
        raise UserError(
            f"arch.vocab_size={rows}: the token files use {meta.vocab_size} ids. Set arch.vocab_size={meta.vocab_size}."
        )
    teacher = job.inputs["teacher"] / "hf" if "teacher" in job.inputs else None
    if others := [job.inputs[role] / "hf" for role in ("teacher", "reference") if role in job.inputs]:
        know(architecture, *others, plugin_files=job.plugin_files)
    model_config = architecture.titan_config(inner_attention=inner_attention(device), seq_len=settings.seq_len)
    config = trainer_config(
        settings,
        model=model_config,
        name=type(architecture).__name__,
        tokens=tokens,
        output=job.output,
        work=work,
        seed=job.seed,
        segment=segment,
        begin=None if begin is None else Path(begin["checkpoint"]),
        left_out=_left_out(settings, begin),
        teacher=teacher,
        ids=meta.vocab_size,
        stored=stored_rows(settings, tokens, job.inputs),
        revisions=revisions.command(work / JOB_FILE) if settings.revisions else (),
        snapshots=job.scratch(evaluations.FOLDER) if evaluations.wanted(settings) else None,
    )
    trainer = config.build()
    if begin is not None and begin["place"] is not None:
        stage, position = begin["place"]
        trainer.dataloader.load_state_dict({"stage": stage, "position": position, "skipped": "[]"})
    if job.policy is not None:
        other = job.inputs["reference"] / "hf" if "reference" in job.inputs else None
        trainer.adapt(job.policy, _name_of_policy(job), job.output / DECISIONS, other, meta.vocab_size)
    adapter = architecture.state_dict_adapter()(model_config, None)
    if trainer.checkpointer._find_load_step() == -1 and begin is None:
        if "init" in job.inputs:
            split = settings.pipeline_parallel > 1
            load_starting_weights(trainer.model_parts[0], adapter, job.inputs["init"] / "hf", in_a_pipeline=split)
        elif device == "cpu":
            initialize(trainer.model_parts[0], model_config, job.seed)
    try:
        trainer.train()
    except RuntimeError as error:
        if "Loss is not finite" not in str(error):
            raise
        precise = "" if settings.precision == "float32" else ", or set pretrain.precision=float32"
        raise UserError(
            f"pretrain: the loss was no longer finite at step {trainer.step} of {settings.steps}. Lower "
            f"pretrain.learning_rate (now {settings.learning_rate:g}) or raise pretrain.warmup_steps (now "
            f"{settings.warmup_steps}){precise}."
        ) from error
    trainer.validate_once()
    if round_files.owed(settings, job.output, segment):
        end_round(trainer, settings, job.output, segment, job.seed)
    rank = torch.distributed.get_rank()
    peak = peak_memory_bytes() if device == "cpu" else torch.cuda.max_memory_allocated()
    peaks: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(peaks, peak)
    skipped = [list(pair) for pair in trainer.dataloader.feed.skipped]
    last = segment.last == settings.steps
    pipeline = trainer.parallel_dims.get_optional_mesh("pp")
    group = None if pipeline is None else pipeline.get_group()
    state = full_state_dict(trainer.model_parts[0], group) if last else {}
    trainer.close()
    torch.distributed.destroy_process_group()
    del trainer
    if rank != 0:
        return
    if last:
        export(job, state, meta, work / REFERENCE_FILE)
    peak = max(*peaks, _peak_of_earlier_segments(work))
    summary = {"peak_memory_bytes": peak, "device": device, "torch": torch.__version__, "skipped": skipped}
    if device == "cuda":
        summary["device_name"] = torch.cuda.get_device_name()
    summary["engine"] = {"name": "torchtitan", "version": importlib.metadata.version("torchtitan")}
    write_json(work / SUMMARY_FILE, summary)


def _name_of_policy(job: Job) -> str:
    made_with = dict(job.record.get("identity") or {}).get("policy") or {}
    return str(made_with.get("implementation") or type(job.policy).__name__)


def _left_out(settings: TorchTitanConfig, begin: dict[str, Any] | None) -> tuple[str, ...]:
    """Return what is not taken from the checkpoint of another training. Of the training's own all is taken."""
    if begin is None:
        return ()
    optimizer = () if settings.branch_optimizer else ("optimizer",)
    return optimizer if begin["place"] is None else (*optimizer, "dataloader")


def _turn(job: Job, work: Path) -> tuple[Job, Segment, dict[str, Any] | None]:
    """Return the job with the settings and the architecture of the segment that is to be trained, the segment, and what
    is to be known of the checkpoint of another training to begin with: see ``TURN_FILE``."""
    assert job.stage is not None
    assert job.architecture is not None
    turn = json.loads((work / TURN_FILE).read_text(encoding="utf-8"))
    segment = segments(job.stage.config)[turn["segment"]]
    job = dataclasses.replace(
        job,
        stage=type(job.stage)(segment.settings(job.stage.config)),
        architecture=with_theta(job.architecture, segment.stages[-1]),
    )
    return job, segment, turn["begin"]


def _peak_of_earlier_segments(work: Path) -> int:
    file = work / SUMMARY_FILE
    return json.loads(file.read_text(encoding="utf-8"))["peak_memory_bytes"] if file.exists() else 0


if __name__ == "__main__":
    die_with_parent()
    if "RANK" not in os.environ:
        # One rank needs no launcher. Port 0: the rendezvous takes a free one, on the loopback interface.
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    main(Path(sys.argv[1]))
