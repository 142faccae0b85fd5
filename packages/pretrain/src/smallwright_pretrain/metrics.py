"""The metrics of a training: a line of ``metrics.jsonl`` for every logged step, and the bar.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from core.progress import ProgressWriter
from core.writing import write_text
from torchtitan.components.metrics import MetricsProcessor, _get_metrics_rank
from torchtitan.tools import utils

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.records import append, read_records
from smallwright_pretrain.segments import tokens_at
from smallwright_pretrain.spikes import SPIKES, Verdict

FALLBACK = 312e12
"""What TorchTitan says of a device that it does not know: the peak of an A100."""


class FileMetrics(MetricsProcessor):
    """Also append every logged step to ``metrics.jsonl``, and its speed elsewhere, and move the bar.

    The rank that sees the loss does so: rank 0, but of a pipeline the first rank of its last stage.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(MetricsProcessor.Config):
        path: str = ""
        speed: str = ""
        """File for the speeds. Times are no part of the artifact: the same training would give other bytes."""
        steps: int = 1
        settings: TorchTitanConfig = field(default_factory=TorchTitanConfig)
        """Of the whole run."""

    has_quantization: bool

    def __init__(self, config: Config, **context: Any) -> None:
        super().__init__(config, **context)
        self._path, self._speed = Path(config.path), Path(config.speed)
        self._spikes = self._path.with_name(SPIKES)
        self._steps = config.steps
        self._rank = _get_metrics_rank(parallel_dims=self.parallel_dims, pp_schedule=context.get("pp_schedule", "1F1B"))
        self._writes = torch.distributed.get_rank() == self._rank
        self._progress = ProgressWriter()
        self.parts: Callable[[], dict[str, float]] = dict
        """Gives what the loss of the step is mixed of; all ranks call it."""
        self.by_source: Callable[[], dict[str, float]] = dict
        """Gives the loss of the step by corpus; all ranks call it. Empty: there is one corpus."""
        self._ranks = torch.distributed.get_world_size() // self.parallel_dims.non_data_parallel_size
        # TorchTitan takes an A100's peak for every device that it does not know.
        self._peak = peak_flops(self.device_memory_monitor.device_name)
        self.has_quantization = self.has_quantization or self._peak is None  # its way to say no utilisation

    def forget_after(self, step: int) -> None:
        """Drop records of steps after ``step``: a resumed run does these again."""
        for path in (self._path, self._spikes) if self._writes else ():
            records = read_records(path)
            kept = [record for record in records if record["step"] <= step]
            if path == self._path or len(kept) < len(records):
                write_text(path, "".join(json.dumps(record) + "\n" for record in kept))

    def has_validation(self, step: int) -> bool:
        """Whether the validation loss of ``step`` is recorded.

        The rank that writes looks and tells the others: it may be writing while another rank looks, and validation is
        collective work that all ranks must enter or leave out together.
        """
        records = read_records(self._path)
        answer = [any(record["step"] == step and "validation_loss" in record for record in records)]
        torch.distributed.broadcast_object_list(answer, src=self._rank)
        return answer[0]

    def losses_by_source(self, step: int) -> dict[str, float]:
        """Return the recorded losses of ``step`` on held-out text by corpus; none: they are not."""
        for record in read_records(self._path):
            if record["step"] == step and "validation_loss_by_source" in record:
                return dict(record["validation_loss_by_source"])
        return {}

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
        by_source = self.by_source()
        self._append(
            step=step,
            loss=global_avg_loss,
            **({"loss_by_source": by_source} if by_source else {}),
            **self.parts(),
            lr=next(value for name, value in extra.items() if name.startswith("lr/")),
            grad_norm=grad_norm,
            # TorchTitan's own count is of each rank since it started, wrong after a change of ranks.
            tokens=tokens_at(self.config.settings, step),
        )
        if self._writes:
            mfu = self._utilisation(rate)
            append(self._speed, {"step": step, "tokens_per_second": round(rate, 1), **mfu})
            note = "".join(f", MFU {share:.0%}" for share in mfu.values())
            self._progress(
                step,
                self._steps,
                "steps",
                f"loss {global_avg_loss:.3f}, {rate:,.0f} tokens/s{note}",
                device=self.device_memory_monitor.device_name,
                count=torch.distributed.get_world_size(),
            )
        super().log(step, global_avg_loss, global_max_loss, grad_norm, extra_metrics=extra_metrics)

    def _utilisation(self, rate: float) -> dict[str, float]:
        """Return the share of the devices' peak that ``rate`` tokens a second are, as ``mfu``; empty where it is not
        known, or another precision than the peak's computes."""
        if self._peak is None or self.config.settings.precision != "bfloat16":
            return {}
        peak = self._peak * torch.distributed.get_world_size()
        return {"mfu": round(rate * self.num_flops_per_token / peak, 4)}

    def log_validation(self, loss: float, step: int, extra_metrics: dict[str, Any] | None = None) -> None:
        """Record a validation loss, and what else is known of it (``validation_stderr``, losses by source)."""
        known = {name: value for name, value in (extra_metrics or {}).items() if value is not None}
        self._append(step=step, validation_loss=loss, **known)
        super().log_validation(loss, step)

    def log_forgetting(self, step: int, **by_corpus: dict[str, float]) -> None:
        """Record what was forgotten, once a step: what a killed run measures again is recorded already."""
        known = {name: values for name, values in by_corpus.items() if values}
        if not self._writes or not known:
            return
        if not any(one["step"] == step and one.keys() >= known.keys() for one in read_records(self._path)):
            self._append(step=step, **known)

    def log_spike(self, step: int, verdict: Verdict) -> None:
        """Record that the rule about spikes acted."""
        if self._writes:
            append(self._spikes, {"step": step, **asdict(verdict)})

    def _append(self, **record: Any) -> None:
        if self._writes:
            append(self._path, record)


def peak_flops(device_name: str) -> float | None:
    """Return a device's peak in dense bfloat16 products from TorchTitan's table; None where that has no entry for it.

    Args:
        device_name: As ``torch.cuda.get_device_name`` says it.
    """
    if device_name == "cpu":
        return None
    found = utils.get_peak_flops(device_name)
    return found if "A100" in device_name or found != FALLBACK else None
