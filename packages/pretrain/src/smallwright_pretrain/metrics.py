"""The metrics of a training: a line of ``metrics.jsonl`` for every logged step, and the bar.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from core.progress import ProgressWriter
from core.writing import write_text
from torchtitan.components.metrics import MetricsProcessor

from smallwright_pretrain.records import append, read_records


class FileMetrics(MetricsProcessor):
    """Also append every logged step to ``metrics.jsonl``, and its speed elsewhere, and move the bar: on rank 0."""

    @dataclass(kw_only=True, slots=True)
    class Config(MetricsProcessor.Config):
        path: str = ""
        speed: str = ""
        """File for the speeds. Times are no part of the artifact: the same training would give other bytes."""
        steps: int = 1

    def __init__(self, config: Config, **context: Any) -> None:
        super().__init__(config, **context)
        self._path, self._speed = Path(config.path), Path(config.speed)
        self._steps = config.steps
        self._writes = torch.distributed.get_rank() == 0
        self._progress = ProgressWriter()
        self._ranks = torch.distributed.get_world_size() // self.parallel_dims.non_data_parallel_size

    def forget_after(self, step: int) -> None:
        """Drop records of steps after ``step``: a resumed run does these again."""
        if self._writes:
            records = [record for record in read_records(self._path) if record["step"] <= step]
            write_text(self._path, "".join(json.dumps(record) + "\n" for record in records))

    def has_validation(self, step: int) -> bool:
        """Whether the validation loss of ``step`` is recorded.

        Rank 0 looks and tells the others: it may be writing while another rank looks, and validation is collective
        work that all ranks must enter or leave out together.
        """
        records = read_records(self._path)
        answer = [any(record["step"] == step and "validation_loss" in record for record in records)]
        torch.distributed.broadcast_object_list(answer, src=0)
        return answer[0]

    def log(
        self,
        step: int,
        global_avg_loss: float,
        global_max_loss: float,
        grad_norm: float,
        extra_metrics: dict[str, Any] | None = None,
    ) -> None:
        """Record a training step."""
        extra = extra_metrics or {}
        elapsed = time.perf_counter() - self.time_last_log
        rate = self.ntokens_since_last_log * self._ranks / elapsed
        self._append(
            step=step,
            loss=global_avg_loss,
            lr=next(value for name, value in extra.items() if name.startswith("lr/")),
            grad_norm=grad_norm,
            tokens=int(extra["n_tokens_seen"]),
        )
        if self._writes:
            append(self._speed, {"step": step, "tokens_per_second": round(rate, 1)})
            self._progress(step, self._steps, "steps", f"loss {global_avg_loss:.3f}, {rate:,.0f} tokens/s")
        super().log(step, global_avg_loss, global_max_loss, grad_norm, extra_metrics=extra_metrics)

    def log_validation(self, loss: float, step: int, extra_metrics: dict[str, Any] | None = None) -> None:
        """Record a validation loss."""
        self._append(step=step, validation_loss=loss)
        super().log_validation(loss, step, extra_metrics)

    def _append(self, **record: Any) -> None:
        if self._writes:
            append(self._path, record)
