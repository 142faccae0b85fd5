"""The stage ``pretrain``: check, start the ranks, compare engines, report. Light: no torch in this process."""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import checkpoints
from core.defaults import Default
from core.engines import allocator_environment, check_torchvision, ranks_environment
from core.errors import ConfigError, InputError, UserError
from core.finding import Finding
from core.interfaces import Architecture, Branch, Job, MixturePolicy, StoredLogits, Tokenizer, Trainer
from core.process import cores
from core.served import check_head_width
from core.writing import remove, write_json

from smallwright_pretrain import (
    branch,
    distill_config,
    distilled,
    doctor,
    evaluations,
    float8,
    follow,
    forgetting,
    nodes,
    revisions,
    round_files,
    selection_log,
    store_logits,
    stored,
)
from smallwright_pretrain.account import planned
from smallwright_pretrain.beside import Beside
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.held_out import HeldOut
from smallwright_pretrain.history import CHECKPOINTS, finished, next_segment, remove_old, rewind, step_of
from smallwright_pretrain.launch import (
    JOB_FILE,
    REFERENCE_FILE,
    SUMMARY_FILE,
    TURN_FILE,
    DamagedCheckpoint,
    run_child,
    run_ranks,
)
from smallwright_pretrain.plan import flops_between_rounds, plan, planned_device
from smallwright_pretrain.policies_log import DECISIONS, changes, decisions
from smallwright_pretrain.policies_log import notes as policy_notes
from smallwright_pretrain.policies_plan import asked, flops_of_selection, with_selection
from smallwright_pretrain.records import METRICS, SPEED_FILE, by_source, mean_speed, read_records, speeds, validation
from smallwright_pretrain.segments import borders, segments, stages, tokens_at, with_theta
from smallwright_pretrain.skipping import skipped_sequences
from smallwright_pretrain.spikes import SPIKES
from smallwright_pretrain.spikes import notes as spike_notes
from smallwright_pretrain.summary import rising, thin
from smallwright_pretrain.verified import verified

DONE_FILE = "done.json"
"""In the unfinished work, when the model has its name: what there is to say of the training."""


class TorchTitanPretrain(Trainer):
    """Pretrain with TorchTitan: FSDP2, distributed checkpoints, exact resume, verified export."""

    config: TorchTitanConfig
    _policy: MixturePolicy | None = None
    """What a plan counts beside the training."""

    def environment(self) -> dict[str, str]:
        """Return variables for the ranks: threads, and an allocator that keeps freed memory (1.7 times the speed on
        a CPU, where every step would otherwise map and unmap its activations)."""
        found = {**ranks_environment(threads=max(1, cores() // self.config.nproc)), **allocator_environment()}
        if self.config.nodes > 1:  # the machines talk over the interface between them, not over their own
            found.pop("GLOO_SOCKET_IFNAME", None)
        return found

    @classmethod
    def defaults(cls, given: Mapping[str, Any], architecture: Architecture, continues: bool) -> dict[str, Default]:
        """Return what follows the model; see :mod:`smallwright_pretrain.follow`."""
        return follow.defaults(given, architecture, continues)

    def plan(self, architecture: Architecture) -> dict[str, Any]:
        """Return tokens, memory per rank and its parts; see :func:`smallwright_pretrain.plan.plan`."""
        found = with_selection(plan(self.config, architecture), self.config, architecture, self._policy)
        if (begin := self.branch()) is not None:
            left = self.config.tokens - tokens_at(self.config, begin.step)
            found["notes"].append(
                f"the first {begin.step:,} steps are done, by {begin.artifact.name}: {left:,} of these tokens are left."
            )
        return found

    def stored_logits(self, corpora: Sequence[str]) -> list[StoredLogits]:
        """Return the work of a teacher whose distributions are stored."""
        return store_logits.of_training(self.config, corpora)

    def beforehand(self, tokens: Mapping[str, Path | None]) -> dict[str, dict[str, float] | None]:
        """Return what the passes of such a teacher take; see :func:`smallwright_pretrain.stored.needs`."""
        return stored.beforehand(self.config, tokens, self.config.corpus_tokens)

    def of_source(self) -> "TorchTitanPretrain":
        """Return the training without a teacher, which is that of the run's model, and from its own beginning."""
        alone = dataclasses.replace(self.config, distill=None, branch_from=None, branch_optimizer=True)
        return TorchTitanPretrain(alone)

    def reads(self, tokens: Mapping[str, Path | None]) -> dict[str, Any]:
        """Return what is read of each corpus; see :func:`smallwright_pretrain.account.planned`."""
        read = self._planned(tokens)
        return {**read, "notes": [*read["notes"], *stored.notes(self.config, tokens, self.config.corpus_tokens)]}

    def _planned(self, tokens: Mapping[str, Path | None]) -> dict[str, Any]:
        config = self.config
        skipped = [(first, last) for first, last in skipped_sequences(config)]
        sizes = config.corpus_tokens
        return planned(tokens, stages(config), max_epochs=config.max_epochs, skipped=skipped, sizes=sizes)

    def takes_policy(self, policy: MixturePolicy, corpora: Sequence[str]) -> dict[str, Any]:
        """Return when the policy is asked; see :func:`smallwright_pretrain.policies_plan.asked`."""
        return asked(self.config, policy, corpora)

    def on(self, ranks: int | None, device: str | None) -> "TorchTitanPretrain":
        """Return the same training on ``ranks`` ranks of ``cuda`` or ``cpu``, for planning; None: as they are.

        Raises:
            core.errors.ConfigError: the global batch is not divisible by the ranks.
        """
        other: dict[str, Any] = {"device": device or self.config.device}
        if ranks is not None:
            other |= {"nproc": ranks, "nodes": 1}
        made = TorchTitanPretrain(dataclasses.replace(self.config, **other))
        return made if self._policy is None else made.beside(self._policy)

    def beside(self, policy: MixturePolicy) -> "TorchTitanPretrain":
        """Return the same training, whose plan has what the policy takes."""
        made = TorchTitanPretrain(self.config)
        made._policy = policy
        return made

    def trained(self, architecture: Architecture) -> Architecture:
        """Return the architecture with the RoPE theta of the last stage."""
        return with_theta(architecture, stages(self.config)[-1])

    def branch(self) -> Branch | None:
        """Return what ``branch_from`` names."""
        if self.config.branch_from is None:
            return None
        found = branch.find(self.config.branch_from)
        branch.check(self.config, found)
        return found

    def teacher(self) -> tuple[str, str] | None:
        """Return what ``distill.teacher`` names."""
        return None if self.config.distill is None else ("distill.teacher", self.config.distill.teacher)

    def evaluates(self) -> tuple[str, Mapping[str, Any]] | None:
        """Return what ``eval_every`` asks for, and what ``eval`` changes for it."""
        if not evaluations.wanted(self.config):
            return None
        return "eval_every" if self.config.eval_every else "eval_every_tokens", self.config.eval or {}

    def shorter(self, identity: Mapping[str, Any], folder: Path) -> Branch | None:
        """Return a finished training with the same first steps; see :func:`smallwright_pretrain.branch.shorter`."""
        return branch.shorter(identity, self.config, folder) if self.config.branch_from is None else None

    def check_plan(self, where: str, architecture: Architecture, tokenizer: Tokenizer) -> None:
        """Refuse ranks that the model cannot be split over, and heads that vLLM, with which the checkpoint will be
        compared, cannot serve here."""
        self._check_split(where, architecture)
        float8.check(self.config, where)
        self._check_teacher(where, architecture, tokenizer)
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
        self._check(job)
        work = job.scratch("pretrain")
        # The ranks work on no documents, and so need no executor.
        dataclasses.replace(job, stage=self, executor=None).write(work / JOB_FILE)
        environment = {name: value for name, value in self.environment().items() if name not in os.environ}
        if self.config.rewind_to is not None:
            remove(work / DONE_FILE)
        # Before anything is evaluated: what is behind that step would be, and count as done.
        rewound = None if (work / DONE_FILE).exists() else rewind(job.output, work, self.config.rewind_to)
        with Beside(job, work / JOB_FILE, self.config, environment) as beside:
            if not (work / DONE_FILE).exists():
                notes = [*([rewound] if rewound else []), *self._train(job, work, environment)]
                verification = verified(self.config, job.output, work / REFERENCE_FILE, environment)
                summary = {**json.loads((work / SUMMARY_FILE).read_text()), "notes": notes}
                write_json(work / DONE_FILE, {"summary": summary, "verification": verification})
            said = beside.finish(lambda note: job.progress(self.config.steps, self.config.steps, "steps", note))
        evaluated = evaluations.summary(job.scratch(evaluations.FOLDER), self.config, beside.waited)
        done = json.loads((work / DONE_FILE).read_text(encoding="utf-8"))
        done["summary"]["notes"] += [*said, *evaluations.notes(evaluated)]
        if not self.config.keep_last:  # from here on nothing is trained again
            remove_old(job.output / CHECKPOINTS, self.config, latest=0)
        summary = self._summary(job, done["summary"], done["verification"], time.monotonic() - started)
        return {**summary, **({} if evaluated is None else {"evaluations": evaluated})}

    def _train(self, job: Job, work: Path, environment: dict[str, str]) -> list[str]:
        """Run the ranks for each segment, from the newest whole checkpoint on; return what there is to say."""
        notes: list[str] = []
        begin = self._begin(job, notes)
        row = segments(self.config)
        turn = 0
        while turn < len(row):
            newest, damaged = checkpoints.keep_whole(finished(job.output / CHECKPOINTS), work)
            notes += damaged
            for note in damaged:
                print(note, file=sys.stderr)
                job.progress(0, self.config.steps, "steps", note)
            if newest is None and begin is not None:
                branch.take_records(begin, job.output, decided=branch.goes_on_deciding(self.config, job.record, begin))
            done = step_of(newest) if newest is not None else begin.step if begin is not None else 0
            turn = next_segment(self.config, job.output, done, turn)
            write_json(work / TURN_FILE, {"segment": turn, "begin": None if newest is not None else self._first(begin)})
            try:
                run_ranks(work / JOB_FILE, self.config, environment)
            except DamagedCheckpoint as error:
                checkpoints.set_aside(job.output / CHECKPOINTS / error.name, work)
                notes.append(f"checkpoint {error.name} cannot be read ({error}): training goes on from an older one")
                print(notes[-1], file=sys.stderr)
                turn = 0
                continue
            turn += 1
        return [*notes, *self._keep(job, environment)]

    def _first(self, begin: Branch | None) -> dict[str, Any] | None:
        """Return what the ranks must know of the checkpoint of another training that they begin with."""
        if begin is None:
            return None
        checkpoint = branch.checkpoint(begin).resolve()
        return {"checkpoint": str(checkpoint), "place": branch.place(self.config, begin)}

    def _begin(self, job: Job, notes: list[str]) -> Branch | None:
        """Return the checkpoint of another training that this one begins with."""
        if "branch" in job.inputs:
            return branch.find(str(self.config.branch_from), job.inputs["branch"])
        if "identity" not in job.record:
            return None
        identity, folder = job.record["identity"], job.output.parent
        found = branch.borrowed_anew(lambda: self.shorter(identity, folder), job.scratch("pretrain"))
        if found is not None:
            notes.append(f"the first {found.step:,} steps are those of {found.artifact.name}, which did the same.")
        return found

    def _keep(self, job: Job, environment: dict[str, str]) -> list[str]:
        """Leave the checkpoints that are to be kept, each with its revision; return what there is to say."""
        if revisions.pending(job.output, self.config):  # of a run that was killed before it had written them
            run_child(list(revisions.command(job.scratch("pretrain") / JOB_FILE)), environment)
        remove_old(job.output / CHECKPOINTS, self.config, latest=self.config.keep_latest or None)
        return [
            f"{path.name} is not among the revisions: it could not be written, see the log."
            for path in revisions.pending(job.output, self.config)
        ]

    def _check(self, job: Job) -> None:
        if not job.tokens():
            raise InputError("pretrain: needs token files. Choose data, tokenizer and tokens before pretraining.")
        self._planned(job.tokens())
        self._check_ranks()

    def check_here(self, where: str) -> None:
        """Refuse more ranks than there are cores, and several machines where nothing would start the others' ranks."""
        self._check_ranks()
        nodes.check_here(self.config, where)

    def doctor(self, job: Job, layout: int | None) -> Iterator[Finding]:
        """Try a few steps, and a layout; see :mod:`smallwright_pretrain.doctor`."""
        environment = {name: value for name, value in self.environment().items() if name not in os.environ}
        return doctor.findings(self.config, job, layout, environment)

    def follow(self, job: Job) -> None:
        """Run this machine's ranks of a training that another machine leads; see :mod:`smallwright_pretrain.nodes`."""
        environment = {name: value for name, value in self.environment().items() if name not in os.environ}
        nodes.follow(self.config, job.output, job.output / "work" / "pretrain" / JOB_FILE, environment)

    def _check_split(self, where: str, architecture: Architecture) -> None:
        c = self.config
        try:
            architecture.check_split(tensor=c.tensor_parallel, context=c.context_parallel, pipeline=c.pipeline_parallel)
        except ConfigError as error:
            raise ConfigError(f"{where}.{error}") from error
        for segment in segments(c):
            c = segment.settings(c)
            if c.padded_batch_size > c.global_batch_size and getattr(architecture.config, "num_experts", None):
                raise ConfigError(
                    f"{where}.global_batch_size={c.global_batch_size}: {c.data_ranks} ranks in passes of "
                    f"{c.rows_per_forward} sequences compute {c.padded_batch_size}, and empty ones would count in the "
                    "balance of the experts. Make it a multiple of the ranks and of micro_batch_size."
                )

    def _check_teacher(self, where: str, architecture: Architecture, tokenizer: Tokenizer) -> None:
        if self.config.distill is None:
            return
        ids, longest = tokenizer.vocab_size(), max(stage.seq_len for stage in stages(self.config))
        try:
            distill_config.check(self.config.distill, ids=ids, rows=architecture.vocab_rows(), seq_len=longest)
        except UserError as error:
            raise type(error)(f"{where}.{error}") from error

    def _check_ranks(self) -> None:
        ranks = self.config.nproc
        if self.config.device == "cpu" and ranks > cores() and self.config.nodes == 1:
            raise UserError(f"pretrain.nproc={ranks}: this machine has {cores()} cores. Use at most as many.")
        number, on_gpus = self.config.eval_gpu, planned_device(self.config) == "cuda"
        if number is not None and on_gpus and number < ranks:
            raise UserError(f"pretrain.eval_gpu={number}: a rank has this GPU. Use {ranks} or more, or leave it out.")

    def _summary(self, job: Job, ranks: dict[str, Any], verification: dict[str, Any], seconds: float) -> dict[str, Any]:
        config, architecture = self.config, job.architecture
        assert architecture is not None
        records = read_records(job.output / METRICS)
        steps = [record for record in records if "loss" in record]
        measured, spikes = validation(records), read_records(job.output / SPIKES)
        skipped = ranks.pop("skipped")
        lines = read_records(job.output / DECISIONS)
        read = planned(
            job.tokens(),
            stages(config),
            skipped=skipped,
            changes=changes(lines, stages(config)),
            drawn=round_files.found(config, job.output),
            chosen=selection_log.counts(lines),
        )
        decided = decisions([line for line in lines if selection_log.CHOSEN not in line])
        held_out = HeldOut.of(job.tokens(), stages(config)[-1].mixture)
        size = sum(corpus["size"] for corpus in read["corpora"].values())
        return {
            "stored_parameters": architecture.parameters(),
            "executed_parameters": architecture.executed_parameters(),
            "tokens": config.tokens,
            "epochs": sum(corpus["tokens"] for corpus in read["corpora"].values()) / size,
            "mixture": {**read, "skipped": skipped, "decisions": decided},
            "stages": borders(config),
            "loss_curve": thin([[record["step"], record["loss"]] for record in steps]),
            "loss_curves": {name: thin(curve) for name, curve in by_source(steps, "loss_by_source").items()},
            "learning_rate_curve": thin([[record["step"], record["lr"]] for record in steps]),
            **measured,
            "spikes": spikes,
            "skipped": [list(pair) for pair in config.skip],
            "throughput_curve": thin(speeds(job.scratch("pretrain") / SPEED_FILE)),
            "unigram_loss": held_out.unigram_loss,
            "bits_per_byte": held_out.bits_per_byte(measured["validation_loss"]),
            "tokens_per_second": mean_speed(job.scratch("pretrain") / SPEED_FILE) or config.tokens / seconds,
            "flops": sum(stage.tokens * architecture.flops_per_token(stage.seq_len) for stage in stages(config))
            + distilled.flops(config, job)
            + flops_between_rounds(config, architecture)
            + config.tokens * flops_of_selection(config, architecture, job.policy),
            **distilled.curves(config, steps),
            **round_files.summary(config, job.output),
            **selection_log.summary(lines),
            **forgetting.summary(config.forgetting, read_records(job.output / forgetting.FORGETTING)),
            "seconds": seconds,
            "world_size": config.ranks,
            "verification": verification,
            **ranks,
            "notes": [
                *ranks["notes"],
                *read["notes"],
                *policy_notes(decided),
                *selection_log.notes(lines),
                *spike_notes(spikes),
                *rising([record["loss"] for record in steps], config.learning_rate),
            ],
        }
