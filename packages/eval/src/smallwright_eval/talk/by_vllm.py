"""Answers of vLLM, in this process."""

import itertools
import os
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from core.engines import importing
from core.errors import ConfigError
from core.model_command import NamedModel

from smallwright_eval import engines
from smallwright_eval.talk import loading
from smallwright_eval.talk.config import EngineConfig
from smallwright_eval.talk.loading import Sampling
from smallwright_eval.talk.talker import Answer, Talker

GIB = 1024**3


class VllmTalker(Talker):
    """A model on vLLM."""

    def __init__(self, model: NamedModel, config: EngineConfig, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.llm = started(model, dtype=config.dtype, trust_remote_code=config.trust_remote_code)
        self._numbers = itertools.count()
        self._seed: int | None = None
        found = self.llm.llm_engine.vllm_config
        self.about = f"{engines.installed_vllm()}, {str(found.model_config.dtype).removeprefix('torch.')}"

    def stream(self, prompt: Sequence[int], sampling: Sampling, emit: Callable[[int], None]) -> bool:
        from vllm.sampling_params import RequestOutputKind

        number, engine = str(next(self._numbers)), self.llm.llm_engine
        settings = _settings(sampling, self._seed, output_kind=RequestOutputKind.DELTA)
        if self._seed is not None:
            self._seed = (self._seed + 1) % 2**32
        engine.add_request(number, {"prompt_token_ids": list(prompt)}, settings)
        ended = False
        try:
            while engine.has_unfinished_requests():
                for output in engine.step():
                    (made,) = output.outputs
                    ended = made.finish_reason == "stop"
                    for token in _without_end(made):
                        emit(token)
        except BaseException:
            engine.abort_request([number])
            raise
        return ended

    def answer(self, prompts: Sequence[Sequence[int]], sampling: Sampling, n: int, seed: int) -> list[list[Answer]]:
        # vLLM gives the answers to one prompt seeds that follow one another: those of the next prompt begin elsewhere.
        seeds = [zlib.crc32(f"{seed} {place}".encode()) for place in range(len(prompts))]
        settings = [_settings(sampling, seed, n=n) for seed in seeds]
        asked: list[Any] = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        outputs = self.llm.generate(asked, settings, use_tqdm=False)
        return [
            [Answer(tokens=_without_end(made), ended=made.finish_reason == "stop") for made in output.outputs]
            for output in outputs
        ]

    def seed(self, seed: int) -> None:
        self._seed = seed


def started(model: NamedModel, *, dtype: str, trust_remote_code: bool, **more: Any) -> Any:
    """Start vLLM in this process.

    Raises:
        ConfigError: it is not installed, or cannot serve the model.
    """
    engines.installed_vllm()
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
    with importing():
        from vllm import LLM
    settings: dict[str, Any] = {
        "dtype": loading.dtype_of(dtype, loading.device_of("auto")),
        "enforce_eager": True,
        "load_format": "safetensors",
        "trust_remote_code": trust_remote_code,
        "disable_log_stats": True,
        "max_num_seqs": 128,
        "use_tqdm_on_load": False,
        **more,
    }
    if loading.device_of("auto") == "cpu" and "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
        settings["kv_cache_memory_bytes"] = cache_bytes(model, 4 if settings["dtype"] == "float32" else 2)
    engines.register_model_class(model.architecture)
    try:
        return LLM(model=str(model.directory), **settings)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"model={model.named}: vLLM cannot serve it: {' '.join(str(error).split())[:400]}") from error


def cache_bytes(model: NamedModel, width: int, length: int | None = None) -> int:
    """Return the bytes of the keys and values of two sequences of the greatest length, at least a GiB.

    Args:
        width: Bytes of a number.
        length: In tokens; None: the model's context.
    """
    one = model.planned.kv_cache_bytes(length or loading.positions(model), width) or 0
    return max(GIB, 2 * one)


def _settings(sampling: Sampling, seed: int | None, **more: Any) -> Any:
    from vllm import SamplingParams

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p if sampling.temperature > 0 else 1.0,
        repetition_penalty=sampling.repetition_penalty,
        max_tokens=sampling.max_new_tokens,
        seed=seed if sampling.temperature > 0 else None,
        detokenize=False,
        **more,
    )


def _without_end(made: Any) -> list[int]:
    """Return the tokens of an answer, or the last part of one, without the token that ended it."""
    tokens = list(made.token_ids)
    return tokens[:-1] if made.finish_reason == "stop" else tokens
