"""The loss on held-out text, as a whole and of each corpus.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torchtitan.components.metrics import MetricsProcessor
from torchtitan.components.validate import BaseValidator
from torchtitan.distributed import utils as dist_utils

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.data import IGNORED, TokenWindows, batch
from smallwright_pretrain.estimate import by_source, weights
from smallwright_pretrain.segments import stage_at, stages, validates
from smallwright_pretrain.windows import Window

Losses = Callable[[dict[str, torch.Tensor], torch.Tensor], torch.Tensor]
"""Gets inputs and labels of a batch; returns summed loss and number of labels of each sequence, shape (B, 2)."""


class LossOfSequences(Protocol):
    """The trainer, as far as a validator needs it."""

    device: torch.device

    def sequence_losses(self, inputs: dict[str, torch.Tensor], labels_BL: torch.Tensor) -> torch.Tensor:
        """Return summed loss and number of labels of each sequence, shape (B, 2), by the loss that is trained on."""
        ...


class FileValidator(BaseValidator):
    """Mean loss over held-out sequences, each rank computing its share of them."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseValidator.Config):
        enable: bool = True
        tokens: dict[str, str] = field(default_factory=dict)
        """Tokens artifacts by the label of their corpus."""
        settings: TorchTitanConfig = field(default_factory=TorchTitanConfig)
        """Of the whole run."""

    def __init__(
        self,
        config: Config,
        *,
        dp_world_size: int,
        dp_rank: int,
        parallel_dims: Any,
        metrics_processor: MetricsProcessor,
        seq_len: int,
        local_batch_size: int,
        **_: Any,
    ) -> None:
        super().__init__(config)
        self._files = {name: TokenWindows(Path(path), "validation", seq_len) for name, path in config.tokens.items()}
        self._sizes = {name: file.shards.meta.train_tokens for name, file in self._files.items()}
        self._seq_len = seq_len
        self._ranks, self._rank, self._rows = dp_world_size, dp_rank, local_batch_size
        self._parallel_dims, self._metrics = parallel_dims, metrics_processor
        self.trainer: LossOfSequences | None = None
        self.measured: Callable[[int, Mapping[str, float]], None] = lambda step, losses: None
        """Called on every rank with the losses by corpus, when they are recorded."""

    def should_validate(self, step: int) -> bool:
        """Tell whether ``step`` is a multiple of its stage's interval, or the end of a stage."""
        return bool(self.windows()) and validates(stages(self.config.settings), step)

    def windows(self) -> list[tuple[str, int]]:
        """Return what to measure, corpus and window: all of each corpus, or a number of them spread evenly."""
        chosen = []
        for name, file in self._files.items():
            wanted = min(file.windows, self.config.settings.validation_sequences or file.windows)
            chosen += [(name, int(place)) for place in np.linspace(0, file.windows - 1, wanted)]
        return chosen

    @torch.no_grad()
    def measure(
        self, model_parts: list[torch.nn.Module], read: Sequence[Callable[[], Window]], by: Losses | None = None
    ) -> torch.Tensor:
        """Return summed loss and number of labels of each sequence, shape (N, 2), float64 and the same on every rank.

        Args:
            read: Reads each of the sequences; a rank reads those that it computes.
            by: Measures a batch; None: the model that is trained.
        """
        assert self.trainer is not None
        by = by or self.trainer.sequence_losses
        per_pass = self._ranks * self._rows
        empty = (np.zeros(self._seq_len, np.int64),) * 2 + (np.full(self._seq_len, IGNORED, np.int64),)
        for model in model_parts:
            model.eval()
        # A row for each sequence, so that the sum does not depend on which rank measured it.
        measured_N2 = torch.zeros(len(read), 2, dtype=torch.float64)
        for first in range(0, len(read), per_pass):
            # Every rank makes the same number of passes, for FSDP gathers in each; a row too many has no labels.
            place = first + self._rank * self._rows
            mine = read[place : place + self._rows]
            inputs, labels_BL = batch([window() for window in mine] + [empty] * (self._rows - len(mine)))
            losses_B2 = by(inputs, labels_BL)
            measured_N2[place : place + len(mine)] = losses_B2[: len(mine)].to("cpu", torch.float64)
        if self._parallel_dims.dp_cp_enabled:
            mesh = self._parallel_dims.get_optional_mesh("loss")
            measured_N2 = dist_utils.dist_sum_tensor(measured_N2.to(self.trainer.device), mesh).cpu()
        for model in model_parts:
            model.train()
        return measured_N2

    def validate(self, model_parts: list[torch.nn.Module], step: int) -> None:
        """Measure, and record the losses under ``step``."""
        chosen = self.windows()
        measured_N2 = self.measure(model_parts, [partial(self._files[name].window, index) for name, index in chosen])
        shares = weights(stage_at(self.config.settings, step).mixture, self._sizes)
        whole, sources = by_source(
            measured_N2[:, 0].numpy(), measured_N2[:, 1].numpy(), [name for name, _ in chosen], shares
        )
        extra: dict[str, Any] = {"validation_stderr": whole.stderr}
        if len(self._files) > 1:
            extra["validation_loss_by_source"] = {name: found.loss for name, found in sources.items()}
            extra["validation_stderr_by_source"] = {name: found.stderr for name, found in sources.items()}
        self._metrics.log_validation(loss=whole.loss, step=step, extra_metrics=extra)
        self.measured(step, {name: found.loss for name, found in sources.items()})
