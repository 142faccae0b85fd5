"""The stage ``pretrain``: check, start the ranks, compare engines, report. Light: no torch in this process."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import checkpoints
from core.engines import allocator_environment, check_torchvision, ranks_environment
from core.errors import InputError, UserError
from core.interfaces import Architecture, Job, Tokenizer, TokensMeta, Trainer
from core.process import cores
from core.served import check_head_width
from core.writing import ENDING, commit, remove

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.launch import (
    JOB_FILE,
    REFERENCE_FILE,
    SUMMARY_FILE,
    DamagedCheckpoint,
    run_child,
    run_ranks,
)
from smallwright_pretrain.plan import plan
from smallwright_pretrain.records import METRICS, SPEED_FILE, mean_speed, read_records
from smallwright_pretrain.verify import TOLERANCE, compare

CURVE_POINTS = 1000
CHECKPOINTS = "checkpoint"
"""Folder in the artifact, as TorchTitan names it."""


class TorchTitanPretrain(Trainer):
    """Pretrain with TorchTitan: FSDP2, distributed checkpoints, exact resume, verified export."""

    config: TorchTitanConfig

    def environment(self) -> dict[str, str]:
        """Return variables for the ranks: threads, and an allocator that keeps freed memory (1.7 times the speed on
        a CPU, where every step would otherwise map and unmap its activations)."""
        return {**ranks_environment(threads=max(1, cores() // self.config.nproc)), **allocator_environment()}

    def plan(self, architecture: Architecture) -> dict[str, Any]:
        """Return tokens, memory per rank and its parts; see :func:`smallwright_pretrain.plan.plan`."""
        return plan(self.config, architecture)

    def on(self, ranks: int | None, device: str | None) -> "TorchTitanPretrain":
        """Return the same training on ``ranks`` ranks of ``cuda`` or ``cpu``, for planning; None: as they are.

        Raises:
            core.errors.ConfigError: the global batch is not divisible by the ranks.
        """
        other = {"nproc": ranks or self.config.nproc, "device": device or self.config.device}
        return TorchTitanPretrain(dataclasses.replace(self.config, **other))

    def check_plan(self, where: str, architecture: Architecture, tokenizer: Tokenizer) -> None:
        """Refuse more ranks than this machine has cores, and heads that vLLM, with which the checkpoint will be
        compared, cannot serve here."""
        self._check_ranks()
        check_torchvision()
        if self.config.verify_vllm and self.config.device != "cuda":
            check_head_width(architecture, f"{where}.verify_vllm=true", f"{where}.verify_vllm=false")

    def run(self, job: Job) -> dict[str, Any]:
        """Train ``job.architecture`` on the ``tokens`` input and leave a Model in ``job.output``.

        Raises:
            core.errors.UserError: settings and inputs do not fit, or the loss diverged.
            RuntimeError: training failed, or engines disagree about the exported checkpoint, which is then kept as
                ``hf.rejected`` and not as ``hf``.
        """
        started = time.monotonic()
        assert job.architecture is not None
        meta = self._check(job)
        work = job.scratch("pretrain")
        # The ranks work on no documents, and so need no executor.
        dataclasses.replace(job, stage=self, executor=None).write(work / JOB_FILE)
        environment = {name: value for name, value in self.environment().items() if name not in os.environ}
        notes = self._train(job, work, environment)
        verification = self._verify(job.output, work / REFERENCE_FILE, environment)
        summary = json.loads((work / SUMMARY_FILE).read_text())
        summary["notes"] = notes
        return self._summary(job, meta, summary, verification, time.monotonic() - started)

    def _train(self, job: Job, work: Path, environment: dict[str, str]) -> list[str]:
        """Run the ranks, from the newest whole checkpoint; return what there is to say of those that are not whole."""
        notes: list[str] = []
        while True:
            _, damaged = checkpoints.keep_whole(_finished_checkpoints(job.output / CHECKPOINTS), work)
            notes += damaged
            for note in damaged:
                print(note, file=sys.stderr)
                job.progress(0, self.config.steps, "steps", note)
            try:
                run_ranks(work / JOB_FILE, self.config.nproc, environment)
            except DamagedCheckpoint as error:
                checkpoints.set_aside(job.output / CHECKPOINTS / error.name, work)
                notes.append(f"checkpoint {error.name} cannot be read ({error}): training goes on from an older one")
                print(notes[-1], file=sys.stderr)
                continue
            self._remove_old(job.output / CHECKPOINTS)
            return notes

    def _remove_old(self, folder: Path) -> None:
        """Remove what a run that was killed while it removed old checkpoints left of them; TorchTitan does so only
        when it saves one."""
        for path in _by_step(folder)[: -self.config.keep_latest] if self.config.keep_latest else ():
            remove(path)

    def _check(self, job: Job) -> TokensMeta:
        config = self.config
        if "tokens" not in job.inputs:
            raise InputError("pretrain: needs token files. Choose data, tokenizer and tokens before pretraining.")
        meta = TokensMeta.load(job.inputs["tokens"])
        if meta.train_tokens < config.seq_len + 1:
            raise UserError(
                f"pretrain.seq_len={config.seq_len}: the training file has {meta.train_tokens} tokens and a sequence "
                f"takes {config.seq_len + 1}. Use a shorter seq_len or more data."
            )
        self._check_ranks()
        return meta

    def _check_ranks(self) -> None:
        ranks = self.config.nproc
        if self.config.device == "cpu" and ranks > cores():
            raise UserError(f"pretrain.nproc={ranks}: this machine has {cores()} cores. Use at most as many.")

    def _verify(self, output: Path, reference_path: Path, environment: dict[str, str]) -> dict[str, Any]:
        notes, partial = {}, output / f"hf{ENDING}"
        if not self.config.verify_vllm:
            notes["vLLM"] = "not compared: pretrain.verify_vllm=false"
        elif importlib.util.find_spec("vllm") is None:
            notes["vLLM"] = "not compared: vLLM is not installed"
        else:
            from smallwright_pretrain.verify_vllm import ENVIRONMENT

            command = [sys.executable, "-m", "smallwright_pretrain.verify_vllm", str(reference_path)]
            code = run_child([*command, str(partial)], {**environment, **ENVIRONMENT})
            if code != 0:
                self._reject(output)
                raise RuntimeError(
                    f"vLLM could not serve the exported checkpoint (exit code {code}, see the log); it is kept as "
                    f"{output / 'hf.rejected'}. pretrain.verify_vllm=false skips this check; an evaluation then "
                    "needs eval.engine=transformers."
                )
        reference = json.loads(reference_path.read_text())
        differences = compare(reference["log_probabilities"])
        apart = {pair: value for pair, value in differences.items() if not value <= TOLERANCE}
        if apart:
            self._reject(output)
            pairs = ", ".join(f"{pair}: {value:.2g}" for pair, value in apart.items())
            raise RuntimeError(
                f"engines disagree about the exported checkpoint (largest difference of a log-probability: {pairs}; "
                f"allowed: {TOLERANCE:g}). It is kept as {output / 'hf.rejected'} and not used."
            )
        remove(output / "hf.rejected")  # of an earlier start
        commit(output / "hf")
        tokens = sum(len(prompt) - 1 for prompt in reference["prompts"])
        return {"max_difference": differences, "tolerance": TOLERANCE, "tokens": tokens, "notes": notes}

    @staticmethod
    def _reject(output: Path) -> None:
        remove(output / "hf")
        remove(output / "hf.rejected")
        (output / f"hf{ENDING}").rename(output / "hf.rejected")

    def _summary(
        self, job: Job, meta: TokensMeta, ranks: dict[str, Any], verification: dict[str, Any], seconds: float
    ) -> dict[str, Any]:
        config, architecture = self.config, job.architecture
        assert architecture is not None
        records = read_records(job.output / METRICS)
        steps = [record for record in records if "loss" in record]
        validation = [[record["step"], record["validation_loss"]] for record in records if "validation_loss" in record]
        validation_loss = validation[-1][1] if validation else None
        windows = (meta.train_tokens - 1) // config.seq_len
        return {
            "stored_parameters": architecture.parameters(),
            "executed_parameters": architecture.executed_parameters(),
            "tokens": config.tokens,
            "epochs": config.steps * config.global_batch_size / windows,
            "loss_curve": _thin([[record["step"], record["loss"]] for record in steps]),
            "learning_rate_curve": _thin([[record["step"], record["lr"]] for record in steps]),
            "validation_curve": validation,
            "throughput_curve": _thin(
                [
                    [record["step"], record["tokens_per_second"]]
                    for record in read_records(job.scratch("pretrain") / SPEED_FILE)
                    if record.get("tokens_per_second")
                ]
            ),
            "validation_loss": validation_loss,
            "unigram_loss": meta.unigram_loss,
            "bits_per_byte": _bits_per_byte(validation_loss, meta),
            "tokens_per_second": mean_speed(job.scratch("pretrain") / SPEED_FILE) or config.tokens / seconds,
            "flops": config.tokens * architecture.flops_per_token(config.seq_len),
            "seconds": seconds,
            "world_size": config.nproc,
            "verification": verification,
            **ranks,
            "notes": [*ranks["notes"], *rising([record["loss"] for record in steps], config.learning_rate)],
        }


def rising(losses: Sequence[float], learning_rate: float) -> list[str]:
    """Return a note where training made the model worse, as a rate for new models does to a trained one.

    Args:
        losses: Of the steps on their own batches, in nats per token; the first is from before any update.
        learning_rate: The peak.
    """
    ends = losses[-10:]
    if len(losses) < 2 or sum(ends) / len(ends) <= losses[0] + 0.1:
        return []
    return [
        f"the loss rose from {losses[0]:.2f} to {sum(ends) / len(ends):.2f} nats per token: lower "
        f"pretrain.learning_rate (now {learning_rate:g})."
    ]


def _by_step(folder: Path) -> list[Path]:
    """Return the checkpoints, oldest first, whether or not they were written to their end."""
    steps = {path: path.name.removeprefix("step-") for path in folder.glob("step-*")}
    return sorted((path for path, step in steps.items() if step.isdigit()), key=lambda path: int(steps[path]))


def _finished_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints that were written to their end, oldest first; PyTorch writes ``.metadata`` last."""
    return [path for path in _by_step(folder) if (path / ".metadata").is_file()]


def _bits_per_byte(loss: float | None, meta: TokensMeta) -> float | None:
    if loss is None or meta.validation_bytes == 0:
        return None
    return loss / math.log(2) * meta.validation_tokens / meta.validation_bytes


def _thin(curve: list[list[float]]) -> list[list[float]]:
    """Return at most about CURVE_POINTS points, the last always."""
    stride = -(-len(curve) // CURVE_POINTS) or 1
    thinned = curve[::stride]
    return thinned if not curve or thinned[-1] == curve[-1] else [*thinned, curve[-1]]
