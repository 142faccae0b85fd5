"""The loss on held-out text.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torchtitan.components.metrics import MetricsProcessor
from torchtitan.components.validate import BaseValidator
from torchtitan.distributed import utils as dist_utils

from smallwright_pretrain.data import IGNORED, TokenWindows, batch
from smallwright_pretrain.segments import Stage, validates


class ModelCaller(Protocol):
    """The trainer, as far as a validator needs it."""

    device: torch.device

    def model_kwargs(self, input_dict: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Return positions and attention mask for a forward pass."""
        ...


class FileValidator(BaseValidator):
    """Mean cross-entropy over the validation file, each rank computing its share of the windows."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseValidator.Config):
        enable: bool = True
        stages: tuple[Stage, ...] = ()
        """Those that these ranks train."""
        folder: str = ""
        sequences: int | None = None

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
        self._file = TokenWindows(Path(config.folder), "validation", seq_len)
        self._ranks, self._rank, self._rows = dp_world_size, dp_rank, local_batch_size
        self._parallel_dims, self._metrics = parallel_dims, metrics_processor
        self.trainer: ModelCaller | None = None

    def should_validate(self, step: int) -> bool:
        """Tell whether ``step`` is a multiple of its stage's interval, or the end of a stage."""
        return self._file.windows > 0 and validates(self.config.stages, step)

    def windows(self) -> list[int]:
        """Return the windows to measure: all, or a number of them spread evenly."""
        total = self._file.windows
        wanted = min(total, self.config.sequences or total)
        return [int(place) for place in np.linspace(0, total - 1, wanted)]

    @torch.no_grad()
    def validate(self, model_parts: list[torch.nn.Module], step: int) -> None:
        """Measure, and record the loss under ``step``."""
        assert self.trainer is not None
        (model,) = model_parts
        chosen = self.windows()
        per_pass = self._ranks * self._rows
        empty = (np.zeros(self._file.seq_len, np.int64),) * 2 + (np.full(self._file.seq_len, IGNORED, np.int64),)
        model.eval()
        device = self.trainer.device
        total = torch.zeros(2, dtype=torch.float64, device="cpu")
        for first in range(0, len(chosen), per_pass):
            # Every rank makes the same number of passes, for FSDP gathers in each; a row too many has no labels.
            mine = chosen[first + self._rank * self._rows : first + (self._rank + 1) * self._rows]
            rows = [self._file.window(index) for index in mine] + [empty] * (self._rows - len(mine))
            inputs, labels_BL = batch(rows)
            kwargs = self.trainer.model_kwargs({name: value.to(device) for name, value in inputs.items()})
            logits_BLV = model(inputs["input"].to(device), **kwargs)
            loss = torch.nn.functional.cross_entropy(
                logits_BLV.flatten(0, 1).float(), labels_BL.to(device).flatten(), reduction="sum", ignore_index=IGNORED
            )
            total += torch.tensor([float(loss), float((labels_BL != IGNORED).sum())], dtype=torch.float64)
        if self._parallel_dims.dp_cp_enabled:
            mesh = self._parallel_dims.get_optional_mesh("loss")
            total = dist_utils.dist_sum_tensor(total.to(device), mesh).cpu()
        model.train()
        self._metrics.log_validation(loss=float(total[0] / total[1]), step=step)
