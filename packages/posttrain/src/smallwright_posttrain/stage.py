"""The stage that both methods build on: load, measure, train, measure, save.

Start here: ``sft.py`` and ``dpo.py`` add what is their own. A killed run continues from its last checkpoint.
"""

import contextlib
import importlib.util
import json
import os
import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from core.engines import (
    allocator_environment,
    check_torchvision,
    hub_environment,
    importing,
    tokenizers_environment,
)
from core.errors import ConfigError, InputError
from core.interfaces import Architecture, Job, Stage, Tokenizer
from core.writing import write_json

from smallwright_posttrain import checkpoint, dataset, templates
from smallwright_posttrain.config import TrainConfig
from smallwright_posttrain.encode import Encoded
from smallwright_posttrain.forms import Reader
from smallwright_posttrain.model import load_model, positions, save
from smallwright_posttrain.prepare import prepare
from smallwright_posttrain.rows import Row

CHECKPOINTS = "checkpoint"
CHECKPOINTS_KEPT = 2
FLASH_MODULES = {
    "flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface", "flash_attention_4": "flash_attn",
}  # fmt: skip
"""What transformers imports for an attention that torch does not bring."""


class TrlStage(Stage):
    """A post-training method: input ``model``, output ``hf/``, ``metrics.jsonl`` and ``rejected.jsonl``.

    Held-out loss (for preferences also reward accuracy and margin) is measured before and after training. Training
    is the same whether or not it was interrupted. Checkpoints are unfinished work, which goes when the artifact has its
    manifest: beside the weights they hold optimizer state that only a continuation needs, and pickles.
    """

    config: TrainConfig
    method: ClassVar[str]
    shipped: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    """Of the token ids that the trainer learns from."""
    reader: ClassVar[Reader]
    """Brings a row of any form into one."""

    @abstractmethod
    def encoder(self, tokenizer: Any, limit: int) -> Callable[[Row], Encoded]:
        """Return the function that turns a row into token ids, ``limit`` at most."""

    def with_replay(self, train: Any, learned: int, job: Job, limit: int) -> Any:
        """Return the rows to train on, of which ``learned`` tokens are learned; a method may add to them."""
        return train

    @abstractmethod
    def trainer(
        self, model: Any, tokenizer: Any, settings: dict[str, Any], train: Any, heldout: Any, source: Path, job: Job
    ) -> Any:
        """Return TRL's trainer. ``source`` is the directory that ``model`` came from."""

    @abstractmethod
    def measured(self, metrics: dict[str, float]) -> dict[str, float]:
        """Return what the report compares, out of TRL's evaluation metrics."""

    def environment(self) -> dict[str, str]:
        """Return variables that must be set before the process starts."""
        variables = {
            **allocator_environment(),
            **hub_environment(self.config.on_hub()),
            **tokenizers_environment(parallel=False),  # transformers' Trainer tokenizes in processes of its own
            "TQDM_DISABLE": "1",
            "WANDB_DISABLED": "true",
        }
        if "CUDA_VISIBLE_DEVICES" not in os.environ:
            variables["CUDA_VISIBLE_DEVICES"] = "0"  # one process trains on one GPU; TRL refuses several here
        return variables

    def check_plan(self, where: str, architecture: Architecture, tokenizer: Tokenizer) -> None:
        """Refuse what shows before any work: the length, the chat template, a file that is no such set.

        Raises:
            core.errors.UserError: naming the setting.
        """
        check_torchvision()
        self.config.longest(architecture.context(), where)
        attention = self.config.attn_implementation or ""
        needed = FLASH_MODULES.get(attention)
        if needed is not None and not any(map(importlib.util.find_spec, (needed, "kernels"))):
            raise ConfigError(
                f"{where}.attn_implementation={attention}: its package is not installed here ({needed}, or kernels). "
                "Install one, or take sdpa, or null."
            )
        template = tokenizer.chat_template()
        if template is not None:
            self.check_template(template, where)
        dataset.check(self.config, where, type(self).reader)

    def check_template(self, template: str, where: str) -> None:
        """Refuse a chat template that cannot write a conversation.

        Raises:
            ConfigError: there is none, or it is no template.
        """
        if not template:
            raise ConfigError(
                f"{where}: the model's tokenizer has no chat template; add chat_template.jinja to its directory, or "
                "use a tokenizer that has the tokens <|im_start|> and <|im_end|>."
            )
        templates.check_syntax(template, where)

    def run(self, job: Job) -> dict[str, Any]:
        """Train ``job.inputs["model"]`` and leave the result in ``job.output``.

        Raises:
            core.errors.UserError: no usable data, a tokenizer without a fitting chat template, a loss that is not
                finite, a model directory that does not hold the whole model.
        """
        started = time.monotonic()
        job.progress(0, None, "steps", "loading TRL")
        with importing():
            import datasets
            import transformers
            import trl

            from smallwright_posttrain.progress import Recorder

        transformers.utils.logging.set_verbosity_warning()
        datasets.disable_progress_bars()
        source = job.inputs["model"] / "hf"
        if not (source / "config.json").is_file():
            raise InputError(f"{source}: no model here; a model directory holds config.json and model.safetensors.")
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
        self.check_template(templates.default(tokenizer.chat_template), f"posttrain.{job.name}")
        limit = self.config.longest(positions(source), f"posttrain.{job.name}")
        job.progress(0, None, "steps", "preparing data")
        data = prepare(
            self.config, job, shipped=self.shipped, reader=type(self).reader, columns=self.columns,
            special_tokens=tokenizer.all_special_tokens, encode=self.encoder(tokenizer, limit),
        )  # fmt: skip
        print(f"{data.source}: read as {', '.join(data.forms)}", flush=True)
        train = self.with_replay(data.train, data.learned, job, limit)
        model = load_model(source, job, self.config)
        checkpoints = job.scratch(CHECKPOINTS)
        settings = trainer_settings(self.config, job, checkpoints, limit)
        transformers.set_seed(settings["seed"])
        trainer = self.trainer(model, tokenizer, settings, train, data.heldout, source, job)
        recorder = Recorder(job)
        trainer.add_callback(recorder)
        last, notes = checkpoint.newest_whole(checkpoints, job.scratch(self.method))
        for note in notes:
            print(note, flush=True)
        before = self._before(trainer, job, data.heldout is not None)
        # Measuring must not change what training draws.
        transformers.set_seed(settings["seed"])
        if last is None or not recorder.take_finished(trainer, last):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        after = self._evaluate(trainer, job, data.heldout is not None)
        save(trainer.model, tokenizer, source, job.output / "hf")
        losses = recorder.rows
        summary = {
            "engine": {"name": "trl", "version": trl.__version__},
            "method": self.method,
            **data.summary(),
            "replayed_documents": len(train) - len(data.train),
            "steps": trainer.state.global_step,
            "epochs": trainer.state.epoch,
            "tokens": trainer.state.num_input_tokens_seen,
            "device": trainer.args.device.type,
            "precision": "bfloat16" if trainer.args.bf16 else "float32",
            "loss_curve": [[row["step"], row["loss"]] for row in losses],
            "learning_rate_curve": [[row["step"], row["learning_rate"]] for row in losses],
            "eval_before": before,
            "eval_after": after,
            "resumed_from_step": checkpoint.step(last) if last else None,
            "notes": notes,
            "seconds": round(time.monotonic() - started, 2),
        }
        return summary

    def _before(self, trainer: Any, job: Job, has_heldout: bool) -> dict[str, float] | None:
        """Measure the model as it came; a continued run finds the measurement beside its checkpoints."""
        file = job.scratch(CHECKPOINTS) / "before.json"
        with contextlib.suppress(OSError, ValueError):  # not measured yet, or the file is damaged
            return json.loads(file.read_text(encoding="utf-8"))
        measured = self._evaluate(trainer, job, has_heldout)
        write_json(file, measured)
        return measured

    def _evaluate(self, trainer: Any, job: Job, has_heldout: bool) -> dict[str, float] | None:
        if not has_heldout:
            return None
        job.progress(trainer.state.global_step, trainer.state.max_steps or None, "steps", "measuring held-out examples")
        return {name: float(value) for name, value in self.measured(trainer.evaluate()).items()}


def trainer_settings(config: TrainConfig, job: Job, checkpoints: Path, limit: int) -> dict[str, Any]:
    """Return the arguments that both of TRL's configurations take; ``limit`` is the longest example in tokens."""
    import torch

    gpu = torch.cuda.is_available()
    bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and gpu and torch.cuda.is_bf16_supported())
    return {
        "output_dir": str(checkpoints),
        "num_train_epochs": config.num_train_epochs,
        "max_steps": config.max_steps,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.lr_scheduler_type,
        "warmup_steps": config.warmup_ratio,  # below 1 transformers 5 reads it as a share of the steps
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "per_device_train_batch_size": config.per_device_train_batch_size,
        "per_device_eval_batch_size": config.per_device_eval_batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "max_length": limit,
        "gradient_checkpointing": config.gradient_checkpointing,
        "bf16": bfloat16,
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "seed": job.seed % 2**32,
        "data_seed": job.seed % 2**32,
        "logging_steps": config.logging_steps,
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": "non_padding",
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": CHECKPOINTS_KEPT,
        "eval_strategy": "no",
        "prediction_loss_only": True,
        "dataset_num_proc": config.dataset_num_proc,
        "report_to": "none",
        "disable_tqdm": True,
    }
