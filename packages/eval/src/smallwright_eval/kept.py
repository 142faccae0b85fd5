"""An engine that several evaluations of one model use, one after another in the same process."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core import store
from core.interfaces import Job

from smallwright_eval import engines
from smallwright_eval.config import LMEvalConfig

ASKED = (
    "tasks",
    "task_paths",
    "data_dir",
    "num_fewshot",
    "fewshot_by_task",
    "limit",
    "apply_chat_template",
    "perplexity",
    "perplexity_tokens",
    "bootstrap_iters",
    "prompts",
    "prompts_file",
    "answer_tokens",
    "answer_temperature",
    "code",
    "judge",
    "parity",
    "parity_items",
)
"""Settings of what the engine is asked; it is started with all the others."""


def key(config: LMEvalConfig, job: Job) -> str | None:
    """Return what an engine is: its model and the settings that it is started with; None: it serves one evaluation.

    With several GPUs it has processes of its own, whose random numbers no later evaluation can set back.
    """
    if "model" not in job.inputs or config.tensor_parallel_size > 1:
        return None
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in ASKED}
    return store.digest({"model": str(job.inputs["model"].resolve()), "settings": settings})


def start(config: LMEvalConfig, model: Path, job: Job, advance: Callable[[int], None]) -> Any:
    """Return the engine that an earlier evaluation left in this process, as if it were new; else start one.

    Args:
        config: Settings of the stage.
        model: Hugging Face directory.
        job: What is done; it says what the process holds.
        advance: Called with the number of requests just answered.

    Raises:
        ConfigError: the engine is not installed, or does not know the model's class.
    """
    name = key(config, job)
    if job.kept is None or name is None:
        return engines.start(config, model, job.architecture, advance)
    lm = job.kept.get(name)
    if lm is None:
        job.kept.clear()
        lm = job.kept[name] = engines.start(config, model, job.architecture, advance)
        return lm
    print(f"the engine of an earlier evaluation of {model} is used", flush=True)
    lm.advance = advance
    lm.seen.forget()
    _seed(config.seed)
    return lm


def _seed(seed: int) -> None:
    """Set the random numbers of this process as an engine's start does."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
