"""A callback of transformers' Trainer that moves the user's bar and writes ``metrics.jsonl``."""

import json
import math
import time
from pathlib import Path
from typing import Any

from core.errors import ConfigError
from core.interfaces import Job
from transformers import TrainerCallback, TrainerState
from transformers.trainer import align_special_tokens

from smallwright_posttrain import checkpoint

OF_THE_PROCESS = ("num_tokens", "_runtime", "_per_second")
"""Ends of the names of what counts from the start of the process. ``num_input_tokens_seen``, which does not, stays."""


class Recorder(TrainerCallback):
    """Write one line per logged step. A continued run drops the lines after its checkpoint and goes on from there."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._path = job.output / "metrics.jsonl"
        self._speed = job.scratch("speed") / "speed.jsonl"
        self._note = ""
        self._logged = (0, 0.0)
        """Step of the last line, and when it was written."""
        self.rows: list[dict[str, Any]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.rows = [_row(entry) for entry in state.log_history if "loss" in entry]
        self._path.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        self._logged = (state.global_step, time.perf_counter())

    def take_finished(self, trainer: Any, last: Path) -> bool:
        """Take over the model and the lines of a checkpoint that is of the last step; return whether it is.

        transformers would train a step more before it looks whether all are done.
        """
        state = TrainerState.load_from_json(str(last / "trainer_state.json"))
        if state.global_step < state.max_steps:
            return False
        trainer._load_from_checkpoint(str(last))
        align_special_tokens(trainer.model, trainer.processing_class)  # as the start of a training does
        trainer.state = state
        self.on_train_begin(trainer.args, state, trainer.control)
        return True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if control.should_save or state.global_step == state.max_steps:
            # A checkpoint does not hold the running mean of the loss: start a new mean with it, so that the lines
            # are the same with and without an interruption.
            control.should_log = True
        self._job.progress(state.global_step, state.max_steps, "steps", self._note)
        return control

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        checkpoint.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logs: dict[str, Any] = kwargs["logs"]
        if "loss" not in logs:
            return
        row = _row({"step": state.global_step, **logs})
        require_finite(row["loss"], row["step"], self._job.name)
        self.rows.append(row)
        rate = self._rate(args, row["step"])
        self._note = f"loss {row['loss']:.3f}, {rate:,.1f} examples/s"
        _append(self._path, row)
        # Times are no part of the artifact: the same training would give other bytes.
        _append(self._speed, {"step": row["step"], "examples_per_second": round(rate, 2)})

    def _rate(self, args: Any, step: int) -> float:
        """Return the examples a second since the last line."""
        (before, began), now = self._logged, time.perf_counter()
        self._logged = (step, now)
        each = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        return (step - before) * each / (now - began)


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def require_finite(loss: float, step: int, job_name: str) -> None:
    """Raise ConfigError for a loss that is not a number."""
    if not math.isfinite(loss):
        raise ConfigError(
            f"posttrain.{job_name}: the loss is {loss} at step {step}; lower posttrain.{job_name}.learning_rate, or "
            f"set posttrain.{job_name}.precision=float32."
        )


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what an entry of the log says of training, without what depends on the machine and on interruptions."""
    first = {"step": entry["step"], "loss": float(entry["loss"]), "learning_rate": float(entry["learning_rate"])}
    others = {
        key: value for key, value in sorted(entry.items()) if key not in first and not key.endswith(OF_THE_PROCESS)
    }
    return {**first, **others}
