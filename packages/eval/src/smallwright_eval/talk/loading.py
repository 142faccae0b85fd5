"""A model on Transformers, loaded as soon as can be: this is what a user waits for before the first answer."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.engines import importing
from core.errors import ConfigError
from core.model_command import NamedModel

from smallwright_eval import answers, engines
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.talk.config import EngineConfig, SamplingConfig

TEMPERATURE = 0.7
"""Where neither the user nor the model says one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the tokens of an answer are drawn, with nothing left open."""

    temperature: float
    top_p: float
    repetition_penalty: float
    max_new_tokens: int


def sampling(config: SamplingConfig, model: NamedModel, positions: int) -> Sampling:
    """Return the settings, those of the model's ``generation_config.json`` in place of what nobody set.

    Args:
        positions: Longest prompt and answer together, in tokens.
    """
    says = _generation_config(model.directory)
    sampled = says.get("do_sample") is not False or "temperature" not in says
    temperature = says.get("temperature", TEMPERATURE) if sampled else 0.0
    given = {
        "temperature": config.temperature if config.temperature is not None else temperature,
        "top_p": config.top_p if config.top_p is not None else says.get("top_p", 1.0),
        "repetition_penalty": config.repetition_penalty
        if config.repetition_penalty is not None
        else says.get("repetition_penalty", 1.0),
    }
    numbers = {key: float(value) if isinstance(value, int | float) else 1.0 for key, value in given.items()}
    return Sampling(**numbers, max_new_tokens=min(config.max_new_tokens, max(1, positions // 2)))


def _generation_config(directory: Path) -> dict[str, Any]:
    try:
        found = json.loads((directory / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def tokenizer(model: NamedModel, trust_remote_code: bool) -> Any:
    """Return the model's tokenizer.

    The model's classes are made known first: Transformers asks at the terminal, whether it may run the folder's code,
    where it knows none of its own.

    Raises:
        ConfigError: it cannot be loaded.
    """
    # They take a second, for a way to generate and a loss of pictures that are not used here.
    with importing(), _without("sklearn"), _without("scipy"):
        from transformers import AutoTokenizer

    engines.register_model_class(model.architecture)
    try:
        return AutoTokenizer.from_pretrained(str(model.directory), trust_remote_code=trust_remote_code)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise _cannot_load(model, error) from error


def transformers_model(model: NamedModel, config: EngineConfig) -> Any:
    """Return the model on its device, in evaluation mode; :func:`tokenizer` was called before.

    Raises:
        ConfigError: there is no GPU where one is asked for, or Transformers cannot load the model.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    device = device_of(config.device)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            str(model.directory),
            dtype=getattr(torch, dtype_of(config.dtype, device)),
            trust_remote_code=config.trust_remote_code,
            use_safetensors=True,
        )
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        raise _cannot_load(model, error) from error
    return loaded.to(device).eval()


def device_of(asked: str) -> str:
    """Return ``cpu`` or ``cuda``.

    Raises:
        ConfigError: there is no GPU where one is asked for.
    """
    import torch

    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise ConfigError("device=cuda: torch sees no GPU here. Set device=cpu.")
    return asked if asked != "auto" else "cuda" if there else "cpu"


def dtype_of(asked: str, device: str) -> str:
    """Return the numbers to compute in: ``auto`` is what fits the device."""
    return asked if asked != "auto" else "bfloat16" if device == "cuda" else "float32"


def positions(model: NamedModel) -> int:
    """Return the longest sequence in tokens that a model claims to serve; 2048 where it does not say."""
    return model.planned.context() or 2048


def takes_turns(config: Any, model: NamedModel, tokenizer: Any) -> bool:
    """Whether the model gets prompts as turns of a chat: as the settings say, or where it has learned its template.

    Raises:
        ConfigError: ``chat_template=true``, and the tokenizer has none.
    """
    if config.chat_template and not getattr(tokenizer, "chat_template", None):
        raise ConfigError("chat_template=true: the model's tokenizer has none. Leave it out: the model completes text.")
    if config.chat_template is not None:
        return bool(config.chat_template)
    return answers.takes_turns(LMEvalConfig(), model.artifact or model.directory, tokenizer)


def _cannot_load(model: NamedModel, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:400]
    return ConfigError(f"model={model.named}: Transformers cannot load it: {reason}")


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Let libraries that are imported in the block find that a module is not installed."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
