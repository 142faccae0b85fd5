"""TorchTitan's trainer with packed documents, our metrics file and our validation.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from core.errors import UserError
from core.interfaces import MixturePolicy, SelectionPolicy
from torch.distributed.tensor import DTensor
from torchtitan.distributed import utils as dist_utils
from torchtitan.tools.logging import logger
from torchtitan.trainer import Trainer

from smallwright_pretrain.attention import DocumentAttention, document_mask
from smallwright_pretrain.beats import Beat
from smallwright_pretrain.by_source import BySource, LossBySequence
from smallwright_pretrain.data import IGNORED, SOURCES
from smallwright_pretrain.distill_config import DistillConfig, counted, flops_per_token
from smallwright_pretrain.forgetting_run import Meter
from smallwright_pretrain.policies_run import Adaptation
from smallwright_pretrain.segments import stage_at
from smallwright_pretrain.selection_run import Reference, Selection
from smallwright_pretrain.skipping import batch_of
from smallwright_pretrain.spikes import SpikeConfig, SpikeWatch
from smallwright_pretrain.teacher import StoredTeacher, Teacher

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class PackedTrainer(Trainer):
    """TorchTitan's trainer; attention masks keep documents apart also where FlexAttention is not used."""

    @dataclass(kw_only=True, slots=True)
    class Config(Trainer.Config):
        spikes: SpikeConfig = field(default_factory=SpikeConfig)
        distill: DistillConfig | None = None
        teacher: str = ""
        """Folder of the model to learn from; none: the text alone."""
        teacher_ids: int = 0
        """Of the tokenizer."""
        forgetting: str = ""
        """File for what is forgotten; none: it is not measured."""
        beats: str = ""
        """Folder in which each rank says where it is; none: it does not."""

    ntokens_seen: int

    def __init__(self, config: Config) -> None:
        self._spikes = SpikeWatch(config.spikes) if config.spikes.action != "none" else None
        self._loss: torch.Tensor | None = None
        self._apart: torch.Tensor | None = None
        self._teacher: Teacher | StoredTeacher | None = None
        super().__init__(config)
        if config.distill is not None and config.distill.logits == "stored":
            self._teacher = StoredTeacher(config.distill)
            self.metrics_processor.parts = self._parts
        elif config.distill is not None:
            self._teacher = Teacher(
                Path(config.teacher),
                config.distill,
                ids=config.teacher_ids,
                dtype=PRECISIONS[config.training.mixed_precision_param],
                device=self.device,
                ranks=self.parallel_dims.get_mesh("fsdp") if config.distill.sharded else None,
            )
            self.metrics_processor.parts = self._parts
            flops = flops_per_token(counted(config.teacher), config.training.seq_len)
            self.metrics_processor.num_flops_per_token += flops
        self._beat = Beat(Path(config.beats), torch.distributed.get_rank()) if config.beats else lambda *_: None
        self._by_source: BySource | None = None
        if isinstance(self.loss_fn, LossBySequence):
            self._by_source = BySource(self.loss_fn, self.dataloader.sources, self.device)
            self.metrics_processor.by_source = self._losses_by_source
        self.validator.trainer, self.validator.measured = self, self._measured
        self._adaptation: Adaptation | Selection | None = None
        meter = config.metrics.settings.forgetting if config.forgetting else None
        self._meter = None if meter is None else Meter(meter, Path(config.forgetting), self)
        self._settings = [
            [_settings(group) for group in optimizer.param_groups] for optimizer in self.optimizers.optimizers
        ]

    def adapt(self, policy: MixturePolicy, name: str, log: Path, reference: Path | None = None, ids: int = 0) -> None:
        """Let a policy change the mixture, or choose what is trained on.

        Args:
            policy: Asked at each validation, or at each step.
            name: As it was registered.
            log: File of its decisions.
            reference: Folder of the model that it compares with, of Hugging Face's format.
            ids: Of the tokenizer.
        """
        if isinstance(policy, SelectionPolicy):
            other, named = None, policy.reference()
            if reference is not None and named is not None:
                dtype = PRECISIONS[self.config.training.mixed_precision_param]
                other = Reference(reference, f"policy.{named[0]}", ids=ids, dtype=dtype, device=self.device)
            self._adaptation = Selection(policy, name, log, self, other)
            return
        settings = self.config.metrics.settings
        self._adaptation = Adaptation(policy, name, log, settings, self.dataloader)

    def _measured(self, step: int, losses: Mapping[str, float]) -> None:
        """Do what follows a measurement of the held-out loss, unless it is done."""
        if self._adaptation is not None:
            self._adaptation.measured(step, losses)
        if self._meter is not None:
            self._meter.measure(step)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of the trainer itself."""
        # As text: a list would be taken apart into entries, and a checkpoint with fewer of them not be read.
        return {**super().state_dict(), "spikes": self._spikes.state() if self._spikes else ""}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict(state_dict)
        if self._spikes:
            self._spikes.restore(state_dict["spikes"])

    def sequence_losses(self, inputs: dict[str, torch.Tensor], labels_BL: torch.Tensor) -> torch.Tensor:
        """Return summed loss and number of labels of each sequence, shape (B, 2), by the loss that is trained on.

        With context parallelism, of this rank's part of the sequences.
        """
        self._beat(self.step, "measuring")
        seen = self.ntokens_seen
        inputs = {name: value.to(self.device) for name, value in inputs.items()}
        labels_BL = labels_BL.to(self.device)
        summed = self._through_the_pipeline if self.parallel_dims.pp_enabled else self._through_the_model
        losses, labels_BL = summed(inputs, labels_BL)
        self.ntokens_seen = seen
        return torch.stack([torch.stack(losses).double(), (labels_BL != IGNORED).sum(1).double()], dim=1)

    def _through_the_model(
        self, inputs: dict[str, torch.Tensor], labels_BL: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        (model,) = self.model_parts
        tokens_BL, labels_BL, kwargs = self.post_dataloading_process(inputs, labels_BL)
        losses = []
        with self.train_context():
            predicted = model(tokens_BL, **kwargs)
            for row in range(len(labels_BL)):
                loss, _ = self.loss_fn(predicted[row : row + 1], labels_BL[row : row + 1])
                losses.append(loss.full_tensor() if isinstance(loss, DTensor) else loss)
        return losses, labels_BL

    def _through_the_pipeline(
        self, inputs: dict[str, torch.Tensor], labels_BL: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """A sequence is a microbatch; the last stage knows its loss and tells the others."""
        singles = [slice(row, row + 1) for row in range(len(labels_BL))]
        parts = [
            self.post_dataloading_process({name: value[one] for name, value in inputs.items()}, labels_BL[one])
            for one in singles
        ]
        losses: list[torch.Tensor] = []
        with self.train_context():
            self.pp_schedule.eval(
                arg_mbs=[(tokens_BL,) for tokens_BL, _, _ in parts] if self.pp_has_first_stage else None,
                kwarg_mbs=[kwargs for _, _, kwargs in parts],
                target_mbs=[labels for _, labels, _ in parts] if self.pp_has_last_stage else None,
                losses=losses if self.pp_has_last_stage else None,
            )
        known_B = torch.zeros(len(parts), dtype=torch.float64, device=self.device)
        if self.pp_has_last_stage:
            known_B = torch.stack([loss.full_tensor() if isinstance(loss, DTensor) else loss for loss in losses])
        told_B = dist_utils.dist_sum_tensor(known_B.double(), self.parallel_dims.get_mesh("pp"))
        return list(told_B), torch.cat([labels for _, labels, _ in parts])

    def post_dataloading_process(
        self, input_dict: dict[str, torch.Tensor], labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Add the document mask that TorchTitan builds for its own attention backends only."""
        input_dict = {name: value for name, value in input_dict.items() if name != SOURCES}
        if isinstance(self._teacher, StoredTeacher):
            input_dict = self._teacher.take(input_dict)
        inputs, labels, kwargs = super().post_dataloading_process(input_dict, labels)
        if isinstance(self.model_config.first_attention.inner_attention, DocumentAttention.Config):
            dtype = PRECISIONS[self.config.training.mixed_precision_param]
            mask_B1LL = document_mask(input_dict["positions"], dtype)
            if self.parallel_dims.cp_enabled:  # this rank's queries, and the keys of all
                ranks = self.parallel_dims.get_mesh("cp")
                mask_B1LL = mask_B1LL.chunk(ranks.size(), dim=2)[ranks.get_local_rank()]
            kwargs["attention_masks"] = mask_B1LL
        return inputs, labels, kwargs

    def forward_backward_step(self, **batch: Any) -> torch.Tensor:
        """Compute gradients of a micro-batch, and remember its loss where the rule about spikes needs it."""
        self._beat(self.step, "computing")
        apart = self._by_source if self.metrics_processor.should_log(self.step) else None
        if apart is not None:
            apart.listen()
        loss = super().forward_backward_step(**batch)
        if apart is not None:
            parts = batch["input_dict"]
            apart.add([part[SOURCES] for part in (parts if isinstance(parts, list) else [parts])])
        if self._spikes:
            self._loss = loss.detach().clone() if self._loss is None else self._loss + loss.detach()
        return loss

    def _forward_backward_body(
        self,
        inputs: torch.Tensor,
        labels: torch.Tensor,
        global_valid_tokens: torch.Tensor,
        extra_kwargs: dict[str, Any],
    ) -> torch.Tensor:
        """Compute gradients by the teacher, where there is one; held-out text is measured without it."""
        if self._teacher is None:
            return super()._forward_backward_body(inputs, labels, global_valid_tokens, extra_kwargs)
        # Before the student: what the teacher works with is free again when the student's activations are kept.
        states: Any = self._teacher.states(inputs, extra_kwargs["positions"])
        with self.train_context():
            predicted = self.model_parts[0](inputs, **extra_kwargs)
            losses = self._teacher.losses(predicted, labels, states)
            del predicted, states
            loss = losses.loss / global_valid_tokens
            loss.backward()
        parts = torch.stack([losses.cross_entropy, losses.divergence]) / global_valid_tokens
        self._apart = parts if self._apart is None else self._apart + parts
        return loss

    def _parts(self) -> dict[str, float]:
        """Return what the loss of the step is mixed of, over all ranks, in nats per token."""
        assert self._apart is not None
        mesh = self._loss_mesh()
        entropy, divergence = (
            float(part) if mesh is None else dist_utils.dist_sum(part, mesh) for part in self._apart.unbind()
        )
        return {"ce": entropy, "kl": divergence}

    def _losses_by_source(self) -> dict[str, float]:
        assert self._by_source is not None
        return self._by_source.losses(self._loss_mesh())

    def _loss_mesh(self) -> Any | None:
        return self.parallel_dims.get_optional_mesh("loss") if self.parallel_dims.dp_cp_enabled else None

    def train_step(self, data_iterator: Iterator[Any]) -> None:
        """Do a step; before its update, see whether loss and gradients are what they should be."""
        self._loss = self._apart = None
        if self._by_source is not None and self.metrics_processor.should_log(self.step):
            self._by_source.begin()
        clip = dist_utils.clip_grad_norm_

        def clip_and_judge(*arguments: Any, **named: Any) -> torch.Tensor:
            norm = clip(*arguments, **named)
            self._judge(float(norm))
            return norm

        self._beat(self.step, "reading a batch")
        with _replaced(dist_utils, "clip_grad_norm_", clip_and_judge):
            super().train_step(data_iterator)
        self._beat(self.step, "saving")

    def _judge(self, grad_norm: float) -> None:
        if not math.isfinite(grad_norm):
            # A loss that is not a number on any rank gives such gradients on all; no weight has been changed by them.
            raise RuntimeError(f"Loss is not finite, or its gradient (norm {grad_norm}), at step {self.step}.")
        if self._spikes is None:
            return
        settings = self.config.metrics.settings
        if self.step == stage_at(settings, self.step).first:
            self._spikes.restore("")  # another mixture or length has another level
        # Of one rank: where another saw a value with another last bit, ranks would decide differently.
        seen = torch.tensor([self._global_loss(), grad_norm], dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(seen, src=0)
        loss, grad_norm = seen.tolist()
        verdict = self._spikes.see(loss=loss, grad_norm=grad_norm)
        if verdict is None:
            return
        rule = self.config.spikes
        line = verdict.line(self.step, rule)
        self.metrics_processor.log_spike(self.step, verdict)
        if verdict.action == "halt":
            many = f", and {rule.limit} steps in a row were skipped before" if rule.action == "skip" else ""
            batch = batch_of(settings, self.step)
            skip = [*map(list, settings.skip), [batch, batch]]
            raise UserError(
                f"pretrain.spikes: {line}{many}. Its batch has the number {batch}. Leave it out, and some before and "
                f"behind it, with pretrain.skip={json.dumps(skip, separators=(',', ':'))}: training goes on from the "
                "last checkpoint before them."
            )
        logger.warning(f"{line}: its batch is skipped")
        self.optimizers.zero_grad(set_to_none=True)  # a parameter without a gradient is not changed at all

    def _global_loss(self) -> float:
        assert self._loss is not None
        dims = self.parallel_dims
        loss = self._loss
        if dims.dp_cp_enabled:
            loss = dist_utils.dist_sum_tensor(loss, dims.get_optional_mesh("loss"))
        # Only the last stage of a pipeline knows the loss; the others say a negative number.
        return dist_utils.dist_max(loss, dims.get_optional_mesh("pp"))

    def batch_generator(self, data_iterable: Iterable[Any]) -> Iterator[Any]:
        """Start reading batches; called once, after the checkpoint has been loaded."""
        self._settings_of_this_run()
        self.metrics_processor.forget_after(self.step)
        for follower in (self._adaptation, self._meter):
            if follower is not None:
                follower.go_on(self.step)
        # The checkpoint of a step is saved before its validation: a run that was ended in between has not measured.
        if self.step > 0 and self.validator.should_validate(self.step):
            self.validate_once()
            # Where the run was ended after the measurement and before what follows it.
            self._measured(self.step, self.metrics_processor.losses_by_source(self.step))
        return super().batch_generator(data_iterable)

    def _settings_of_this_run(self) -> None:
        """Set the optimizers' rate, weight decay and so on anew: a checkpoint brings those that it was saved with."""
        for optimizer, settings, scheduler in zip(
            self.optimizers.optimizers, self._settings, self.lr_schedulers.schedulers, strict=True
        ):
            rates = scheduler.get_last_lr()
            for group, own, rate in zip(optimizer.param_groups, settings, rates, strict=True):
                group.update(own, lr=rate)

    def validate_once(self) -> None:
        """Measure the validation loss of this step, where there is something to measure and it is not recorded yet."""
        if self.validator.windows() and not self.metrics_processor.has_validation(self.step):
            self.validator.validate(self.model_parts, self.step)


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ("params", "param_names", "lr")}


@contextlib.contextmanager
def _replaced(module: Any, name: str, replacement: Any) -> Iterator[None]:
    """Have TorchTitan call ``replacement``, where it has no other place for what is to be done."""
    original = getattr(module, name)
    setattr(module, name, replacement)
    try:
        yield
    finally:
        setattr(module, name, original)
