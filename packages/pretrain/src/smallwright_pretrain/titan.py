"""TorchTitan's trainer with packed documents, our metrics file and our validation.

Import after :func:`smallwright_pretrain.cpu.use_device`.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core.progress import ProgressWriter
from core.writing import write_text
from torchtitan.components.loss import CrossEntropyLoss
from torchtitan.components.metrics import MetricsProcessor
from torchtitan.components.optimizer import LRSchedulersContainer, default_adamw
from torchtitan.components.tokenizer import BaseTokenizer
from torchtitan.components.validate import BaseValidator
from torchtitan.config.configs import CommConfig, CompileConfig, DebugConfig, ParallelismConfig, TrainingConfig
from torchtitan.distributed import utils as dist_utils
from torchtitan.distributed.activation_checkpoint import FullAC, SelectiveAC
from torchtitan.protocols.model_spec import ModelSpec
from torchtitan.trainer import Trainer

from smallwright_pretrain.attention import DocumentAttention, document_mask
from smallwright_pretrain.checkpoints import Checkpoints
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.data import IGNORED, TokenDataLoader, TokenFile, batch
from smallwright_pretrain.parallelize import parallelize
from smallwright_pretrain.records import METRICS, SPEED_FILE, append, read_records

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class NoTokenizer(BaseTokenizer):
    """A tokenizer that TorchTitan asks for and never uses: token files hold ids already."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseTokenizer.Config):
        pass

    def __init__(self, config: Config, **_: Any) -> None:
        super().__init__()

    def encode(self, *args: Any, **kwargs: Any) -> list[int]:
        raise NotImplementedError("training reads token files")

    decode = encode  # type: ignore[assignment]

    def get_vocab_size(self) -> int:
        raise NotImplementedError("training reads token files")


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


class FileValidator(BaseValidator):
    """Mean cross-entropy over the validation file, each rank computing its share of the windows."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseValidator.Config):
        enable: bool = True
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
        self._file = TokenFile(Path(config.folder), "validation", seq_len)
        self._ranks, self._rank, self._rows = dp_world_size, dp_rank, local_batch_size
        self._parallel_dims, self._metrics = parallel_dims, metrics_processor
        self.trainer: PackedTrainer | None = None

    def should_validate(self, step: int) -> bool:
        """Tell whether ``step`` is a multiple of the interval."""
        return self._file.windows > 0 and step % self.config.freq == 0

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


class PackedTrainer(Trainer):
    """TorchTitan's trainer; attention masks keep documents apart also where FlexAttention is not used."""

    @dataclass(kw_only=True, slots=True)
    class Config(Trainer.Config):
        pass

    ntokens_seen: int

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.validator.trainer = self

    def model_kwargs(self, input_dict: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Return positions and attention mask for a forward pass, without counting tokens."""
        seen = self.ntokens_seen
        _, _, kwargs = self.post_dataloading_process(input_dict, input_dict["input"])
        self.ntokens_seen = seen
        return kwargs

    def post_dataloading_process(
        self, input_dict: dict[str, torch.Tensor], labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Add the document mask that TorchTitan builds for its own attention backends only."""
        inputs, labels, kwargs = super().post_dataloading_process(input_dict, labels)
        if isinstance(self.model_config.first_attention.inner_attention, DocumentAttention.Config):
            dtype = PRECISIONS[self.config.training.mixed_precision_param]
            kwargs["attention_masks"] = document_mask(input_dict["positions"], dtype)
        return inputs, labels, kwargs

    def batch_generator(self, data_iterable: Iterable[Any]) -> Iterator[Any]:
        """Start reading batches; called once, after the checkpoint has been loaded."""
        self.metrics_processor.forget_after(self.step)
        # The checkpoint of a step is saved before its validation: a run that was ended in between has not measured.
        if self.step > 0 and self.validator.should_validate(self.step):
            self.validate_once()
        return super().batch_generator(data_iterable)

    def validate_once(self) -> None:
        """Measure the validation loss of this step, where there is something to measure and it is not recorded yet."""
        if self.validator.windows() and not self.metrics_processor.has_validation(self.step):
            self.validator.validate(self.model_parts, self.step)


def trainer_config(
    settings: TorchTitanConfig,
    *,
    model: Any,
    name: str,
    tokens: Path,
    output: Path,
    seed: int,
    work: Path | None = None,
) -> PackedTrainer.Config:
    """Return TorchTitan's configuration for these settings.

    Args:
        model: The architecture's ``Decoder.Config``.
        name: The architecture's name, for logs.
        tokens: The tokens artifact.
        output: Where ``checkpoint/`` and ``metrics.jsonl`` go.
        work: Where the speeds go; None: beside the metrics.
    """
    recompute = {"none": None, "selective": SelectiveAC.Config(), "full": FullAC.Config()}
    return PackedTrainer.Config(
        model_spec=ModelSpec(
            name=name,
            flavor="",
            model=model,
            parallelize_fn=parallelize,
            pipelining_fn=None,
            post_optimizer_build_fn=None,
            state_dict_adapter=None,
        ),
        dump_folder=str(output),
        tokenizer=NoTokenizer.Config(),
        dataloader=TokenDataLoader.Config(folder=str(tokens), seed=seed, global_batch_size=settings.global_batch_size),
        loss=CrossEntropyLoss.Config(global_vocab_size=model.vocab_size),
        optimizer=default_adamw(
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            weight_decay=settings.weight_decay,
        ),
        lr_scheduler=LRSchedulersContainer.Config(
            warmup_steps=settings.warmup_steps,
            decay_ratio=settings.decay_ratio,
            decay_type=settings.decay_type,
            min_lr_factor=settings.min_lr_factor,
        ),
        training=TrainingConfig(
            local_batch_size=settings.rows_per_forward,
            global_batch_size=settings.global_batch_size,
            seq_len=settings.seq_len,
            steps=settings.steps,
            max_norm=settings.max_norm,
            mixed_precision_param=settings.precision,
            disable_cuda_graphs=True,
        ),
        # The default backend, "spmd_types", does not run on a CPU.
        parallelism=ParallelismConfig(
            spmd_backend="partial_dtensor", data_parallel_replicate_degree=settings.replicate
        ),
        checkpoint=Checkpoints.Config(
            enable=True,
            interval=settings.checkpoint_interval,
            keep_latest_k=settings.keep_latest,
            # A run killed between the last step and the end of the export resumes from the last step.
            last_save_model_only=False,
        ),
        activation_checkpoint=recompute[settings.activation_checkpoint],
        compile=CompileConfig(enable=settings.compile),
        metrics=FileMetrics.Config(
            log_freq=settings.log_interval,
            disable_color_printing=True,
            path=str(output / METRICS),
            speed=str((work or output) / SPEED_FILE),
            steps=settings.steps,
        ),
        validator=FileValidator.Config(
            freq=settings.validation_interval, folder=str(tokens), sequences=settings.validation_sequences
        ),
        # The first step may compile; later ones may wait for a rank that saves a checkpoint to a slow disk.
        comm=CommConfig(init_timeout_seconds=1800, train_timeout_seconds=900),
        debug=DebugConfig(seed=seed, enable_structured_logging=False),
    )
