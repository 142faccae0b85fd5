"""A training tried on this machine for a few steps, for ``core.doctor``. No torch in this process."""

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.finding import Finding
from core.interfaces import Job, Trainer

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.launch import run_child
from smallwright_pretrain.nodes import TORCHRUN
from smallwright_pretrain.plan import memory_of_teacher
from smallwright_pretrain.policies_plan import memory_of_reference
from smallwright_pretrain.segments import segments

JOB_FILE = "job.json"
FOUND_FILE = "found.json"
MIB = 2**20
PASSES = 2
"""Forward passes of a rank in a step that is tried, at most."""
CLOCK_SECONDS = 1.0
"""By so much the clocks of the ranks may differ: more muddles logs and the ages of files."""


def findings(
    config: TorchTitanConfig, job: Job, layout: int | None, environment: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield what a few steps show, or whether the layout can be built.

    Args:
        config: Of the training; of several machines this one's ranks are tried.
        job: Its output is a folder for what the ranks write.
        layout: A number of GPUs, as many as the settings have ranks; None: the steps, here.
        environment: Of the ranks.
    """
    first = _alone(config)
    here = dataclasses.replace(first, nodes=1, **({} if _fits_on_one(config) else ALONE))
    if layout is not None:
        yield _of_layout(first, job, layout, environment)
        return
    # The rest of a large batch is more of the same.
    here = dataclasses.replace(
        here, global_batch_size=min(here.global_batch_size, PASSES * here.data_ranks * here.rows_per_forward)
    )
    found, fault = _tried(dataclasses.replace(job, stage=type(job.stage)(here)), here.nproc, [], environment)
    if found is None:
        yield Finding(name="a step", figure=f"{here.nproc} ranks", fault=fault)
    else:
        yield from _of_steps(found, first, here, _beside(config, job), _share_beside(job))


def _alone(config: TorchTitanConfig) -> TorchTitanConfig:
    """Return the training of the model by itself, in its first stage: a trial has no inputs, and evaluates nothing."""
    without: dict[str, Any] = {"stages": None, "rounds": None, "forgetting": None, "distill": None}
    without |= {"branch_from": None, "branch_optimizer": True, "rewind_to": None}
    evaluations = [field for field in dataclasses.fields(config) if field.name.startswith("eval")]
    without |= {field.name: field.default for field in evaluations}
    return dataclasses.replace(segments(config)[0].settings(config), steps=config.steps, **without)


def _beside(config: TorchTitanConfig, job: Job) -> dict[str, int]:
    """Return what a teacher and a policy's reference take of a rank's memory, by the plan: a trial has neither."""
    assert job.architecture is not None
    taught = memory_of_teacher(segments(config)[0].settings(config), job.architecture.vocab_rows())
    parts = {"teacher": sum(taught.values()), **memory_of_reference(config, job.policy)}
    return {name: size for name, size in parts.items() if size}


def _share_beside(job: Job) -> float:
    """Return what computes beside the model's own training, by the plan, as a share of that."""
    assert job.architecture is not None
    stage: Trainer = job.stage  # type: ignore[assignment]
    planned = (stage if job.policy is None else stage.beside(job.policy)).plan(job.architecture)
    own = sum(row["tokens"] * job.architecture.flops_per_token(row["seq_len"]) for row in planned["stages"])
    return float(planned.get("extra_flops_per_token", 0.0) * planned["tokens"] / own)


def _of_layout(config: TorchTitanConfig, job: Job, layout: int, environment: Mapping[str, str]) -> Finding:
    stage = type(job.stage)(config)
    parts, fault = _tried(dataclasses.replace(job, stage=stage), 1, ["--layout", str(layout)], environment)
    figure = "" if parts is None else f"{parts['mesh']}; {parts['state_bytes'] / MIB:,.1f} MiB of states a rank"
    return Finding(name=f"layout of {layout}", figure=figure, fault=fault)


ALONE = {"replicate": 1, "tensor_parallel": 1, "context_parallel": 1, "pipeline_parallel": 1}


def _fits_on_one(config: TorchTitanConfig) -> bool:
    """Whether one machine's ranks can hold the layout that is meant for several."""
    split = config.tensor_parallel * config.context_parallel * config.pipeline_parallel
    return config.nproc % (split * config.replicate) == 0


def _of_steps(
    found: Mapping[str, Any],
    config: TorchTitanConfig,
    here: TorchTitanConfig,
    beside: Mapping[str, int] = MappingProxyType({}),
    more: float = 0.0,
) -> Iterator[Finding]:
    """Say what the steps that were tried show of the whole training.

    Args:
        found: What the ranks measured.
        config: Of the training.
        here: Of the trial.
        beside: Bytes of what a trial does not have.
        more: What that computes, as a share of the model's own training.
    """
    if here.nproc > 1:
        only = " (of this machine)" if config.nodes > 1 else ""
        fault = None
        if found["clock_seconds"] > CLOCK_SECONDS:
            fault = "the clocks of the ranks differ. Have all machines keep time by NTP."
        yield Finding(name="clocks of the ranks", figure=f"{found['clock_seconds']:.2f} s apart{only}", fault=fault)
        figure = f"{found['bandwidth'] / 1e9:.2f} GB/s, all-reduce over {here.nproc} ranks{only}"
        yield Finding(name="collectives", figure=figure)
    device, have = found["device"], found["memory_bytes"]
    used = found["peak_bytes"]
    figure = f"{used / MIB:,.0f} MiB a rank, planned {found['planned_bytes'] / MIB:,.0f}, of {have / MIB:,.0f}"
    for name, size in beside.items():
        figure += f"; the {name}, which is not tried, is planned with {size / MIB:,.0f} more"
    yield Finding(name="memory of a step", figure=figure)
    first, then = found["seconds"][0], min(found["seconds"][1:])
    speed = here.global_batch_size * here.seq_len / then
    then *= config.global_batch_size / here.global_batch_size / config.nodes
    hours = config.tokens / (speed * config.nodes) / 3600
    figure = f"{then:.2f} s on {device}, {speed:,.0f} tokens/s; the first {first:.1f} s"
    yield Finding(name="time of a step", figure=figure)
    figure = f"{hours:,.2f} hours at that speed"
    if more:
        figure += f", {hours * (1 + more):,.2f} with what computes beside the model's own training"
    yield Finding(name="time of the training", figure=figure)


def _tried(
    job: Job, ranks: int, more: list[str], environment: Mapping[str, str]
) -> tuple[dict[str, Any] | None, str | None]:
    """Return what the ranks found, and what went wrong."""
    folder = job.output
    file, answer = folder / JOB_FILE, folder / FOUND_FILE
    answer.unlink(missing_ok=True)
    job.write(file)
    command = ["-m", "smallwright_pretrain.examine", str(file), *more]
    if ranks > 1:
        launcher = ["-m", TORCHRUN, "--standalone", "--local-addr=127.0.0.1"]
        command = [*launcher, f"--nproc-per-node={ranks}", *command]
    code = run_child([sys.executable, *command], environment, folder / "ranks.log")
    found = _read(answer)
    if code == 0 and found is not None and "error" not in found:
        return found, None
    if found is not None and "error" in found:
        return None, found["error"]
    if code == -9:
        return None, "it was killed; the memory may not suffice. Lower pretrain.micro_batch_size."
    return None, f"it ended with code {code}: {_last_line(folder / 'ranks.log')}"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    return lines[-1] if lines else "it said nothing."
