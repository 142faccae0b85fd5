"""Hugging Face model directories: loading one to train, and writing the result."""

import json
import shutil
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.interfaces import Job
from core.weights import ModelFolder
from core.writing import replacing

from smallwright_posttrain.config import TrainConfig
from smallwright_posttrain.encode import end_of_turn


def load_model(source: Path, job: Job, config: TrainConfig) -> Any:
    """Load a model in float32, by the class of the run's architecture where the directory is of that class.

    Code inside the model's directory is never run.

    Raises:
        InputError: weights are missing or damaged, or no installed class fits.
    """
    import torch
    from transformers import AutoModelForCausalLM

    ModelFolder(source).weights()  # refuses damaged files, for which Transformers ends with a traceback
    names = json.loads((source / "config.json").read_text(encoding="utf-8")).get("architectures") or []
    model_class: Any = AutoModelForCausalLM
    if job.architecture is not None and job.architecture.hf_model_class().__name__ in names:
        model_class = job.architecture.hf_model_class()
    options = {} if config.attn_implementation is None else {"attn_implementation": config.attn_implementation}
    try:
        model, report = model_class.from_pretrained(source, dtype=torch.float32, output_loading_info=True, **options)
    except (ValueError, ImportError, OSError) as error:
        raise InputError(f"{source}: this model cannot be loaded: {str(error).splitlines()[0]}") from error
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        raise InputError(f"{source}: weights missing or of another shape: {', '.join(missing[:5])}.")
    return model


def save(model: Any, tokenizer: Any, source: Path, destination: Path) -> None:
    """Write a Hugging Face directory in the source's number format, whole or not at all.

    Generation stops at the end of a turn, and at whatever the source stopped at: the ends of its documents.
    """
    import torch

    model.to(getattr(torch, _stored_dtype(source)))
    stops = stop_tokens(source, tokenizer)
    model.generation_config.eos_token_id = stops[0] if len(stops) == 1 else stops or None
    with replacing(destination) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        for code in source.glob("*.py"):  # the class files that config.json's auto_map names
            shutil.copy2(code, partial / code.name)


def stop_tokens(source: Path, tokenizer: Any) -> list[int]:
    """Return every token that ends an answer: those of the source model, the tokenizer's, and the end of a turn.

    Read from the source's files: transformers' Trainer writes the tokenizer's over those of the model that it trains.
    """
    found: list[Any] = []
    for name in ("generation_config.json", "config.json"):
        path = source / name
        stop = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
        found += stop if isinstance(stop, list) else [stop]
    # Without the end of the turn a server would go on to invent the user's reply.
    found += [tokenizer.eos_token_id, end_of_turn(tokenizer)]
    return list(dict.fromkeys(stop for stop in found if stop is not None))


def positions(source: Path) -> int | None:
    """Return the longest sequence that a model directory claims to serve; None where it does not say."""
    value = json.loads((source / "config.json").read_text(encoding="utf-8")).get("max_position_embeddings")
    return value if isinstance(value, int) and value > 0 else None


def _stored_dtype(source: Path) -> str:
    content = json.loads((source / "config.json").read_text(encoding="utf-8"))
    name = str(content.get("dtype") or content.get("torch_dtype") or "float32")
    return name if name in ("float32", "float16", "bfloat16") else "float32"
