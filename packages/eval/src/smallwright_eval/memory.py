"""An engine out of memory: a smaller batch, and where there is none, what to set."""

import gc
import re
from collections.abc import Callable
from typing import Any

from core.errors import ConfigError

from smallwright_eval.config import LMEvalConfig

WORDS = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|not enough memory|std::bad_alloc"
    r"|no available memory for the cache|larger than the available kv cache|less than desired (gpu|cpu) memory",
    re.IGNORECASE,
)
"""What torch and vLLM write when memory is short; their classes differ by device and version."""


def ran_out(error: BaseException) -> bool:
    """Return whether an engine failed since memory was short."""
    return isinstance(error, MemoryError) or bool(WORDS.search(f"{type(error).__name__} {error}"))


def advice(config: LMEvalConfig, error: BaseException) -> ConfigError:
    """Return what tells a user which settings need less memory."""
    said = " ".join(str(error).split())[:200] or type(error).__name__
    if config.engine == "vllm":
        fix = (
            "Set a smaller eval.max_num_batched_tokens, eval.max_num_seqs or eval.max_model_len, or another "
            "eval.kv_cache_gib (eval.gpu_memory_utilization on a GPU)."
        )
    else:
        fix = "Set a smaller eval.max_model_len or fewer examples (eval.num_fewshot), or eval.dtype=bfloat16."
    return ConfigError(f"eval.engine={config.engine}: out of memory ({said}). {fix}")


def asked(lm: Any, config: LMEvalConfig, ask: Callable[[], Any]) -> Any:
    """Return what ``ask`` returns; where memory runs out, ask again with half the rows in a batch.

    Args:
        lm: Model as lm-eval's ``TemplateLM``.
        config: Settings of the stage.
        ask: Asks the model; it can be called again.

    Raises:
        ConfigError: also one row is too many, or the engine makes its batches itself (vLLM).
    """
    while True:
        try:
            return ask()
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            if config.engine == "vllm" or lm.batch_size <= 1:
                raise advice(config, error) from error
            said = " ".join(str(error).split())[:120]
        # Out of the handler, whose error holds the tensors that were too large.
        lm.batch_size_per_gpu = lm.batch_size // 2
        print(f"out of memory ({said}): asked again with {lm.batch_size} rows in a batch", flush=True)
        gc.collect()
        _empty_cache()


def _empty_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
