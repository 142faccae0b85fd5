"""Write a model with shared feed-forwards as one without: every layer has its copy, the logits are the same bits.

python -m smallwright_decoder.materialise path/to/hf path/to/new

The result is a stock Llama, Qwen2 or Qwen3 where sharing was all that made the model special, for engines without
smallwright. Otherwise it is our class, whose groups are gone.
"""

import copy
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.weights import ModelFolder, compare, shapes, shown, tied_names

if TYPE_CHECKING:
    import torch

    from smallwright_decoder.hf import SmallwrightConfig

SHARED_PREFIX = "model.shared_ffns."
NOT_COPIED = {"config.json", "hf.py", "model.safetensors.index.json"}
WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt"}
"""Endings of files that hold weights; the new ones are safetensors only."""
PARTS = (
    "qk_norm",
    "qkv_bias",
    "layer_types",
    "sliding_window",
    "rope_layers",
    "ffn_groups",
    "activation",
    "series_activation",
    "augmented_shortcuts",
    "shortcut_reduction",
)


def materialise(source: Path, target: Path) -> int:
    """Write the model in ``source`` without shared feed-forwards to the new directory ``target``.

    Args:
        source: A Hugging Face directory of model type ``smallwright_decoder`` with groups.
        target: A directory that does not exist, or is empty. Tokenizer files are copied along.

    Returns:
        Number of parameters written.

    Raises:
        core.errors.InputError: ``source`` holds no model that shares, or not all of its weights; or ``target`` holds
            something.
    """
    source, target = Path(source), Path(target)
    config = _shared_config(source)
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target}: not empty. Give a new directory.")

    weights = _weights(source, config)
    for name in [name for name in weights if name.startswith(SHARED_PREFIX)]:
        weight = weights.pop(name)
        group, part = name.removeprefix(SHARED_PREFIX).split(".", 1)
        for layer, user in enumerate(config.ffn_groups):
            if user == group:
                # Copies, for safetensors refuses two names for one memory.
                weights[f"model.layers.{layer}.mlp.{part}"] = weight.clone()

    model_class, own_config = _without_groups(config)
    model = model_class.from_pretrained(None, config=own_config, state_dict=weights, dtype=config.dtype or "auto")
    model.save_pretrained(target)
    for file in source.iterdir():
        if file.is_file() and file.name not in NOT_COPIED and file.suffix not in WEIGHTS:
            shutil.copyfile(file, target / file.name)
    return model.num_parameters()


def _shared_config(source: Path) -> "SmallwrightConfig":
    from smallwright_decoder.hf import MODEL_TYPE, SmallwrightConfig

    if not (source / "config.json").is_file():
        raise InputError(f"{source}: no config.json. Give the hf/ directory of a model.")
    try:
        values = json.loads((source / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{source / 'config.json'}: cannot be read ({error}). Copy it again.") from error
    if values.get("model_type") != MODEL_TYPE:
        raise InputError(f"{source}: model type {values.get('model_type')!r}, not {MODEL_TYPE!r}: nothing is shared.")
    config = SmallwrightConfig(**values)
    if not any(config.ffn_groups):
        raise InputError(f"{source}: every layer has its own feed-forward already.")
    return config


def _weights(source: Path, config: "SmallwrightConfig") -> "dict[str, torch.Tensor]":
    """Read the weights; Transformers would fill in random numbers for those that are missing, with a warning only."""
    import torch
    from safetensors.torch import load_file

    from smallwright_decoder.hf import SmallwrightForCausalLM

    folder = ModelFolder(source)
    with torch.device("meta"):
        model = SmallwrightForCausalLM(copy.deepcopy(config))
    if missing := compare(shapes(folder.weights()), shapes(model.state_dict()), tied_names(model)).missing:
        raise folder.refusal(f"missing weights: {shown(missing)}. Give a complete checkpoint.")
    weights: dict[str, torch.Tensor] = {}
    for file in folder.weight_files():
        weights.update(load_file(file))
    return weights


def _without_groups(config: "SmallwrightConfig") -> tuple[Any, Any]:
    """Return the class of the same model without groups, and its configuration."""
    import transformers

    from smallwright_decoder.hf import SmallwrightConfig, SmallwrightForCausalLM
    from smallwright_decoder.hf_choice import stock_model_of

    values = config.to_dict() | {"ffn_groups": []}
    for key in ("model_type", "architectures", "auto_map", "transformers_version"):
        values.pop(key, None)
    own = SmallwrightConfig(**values)
    stock = stock_model_of(own)
    if stock is None:
        return SmallwrightForCausalLM, own
    # Keys that a stock class does not know would stay in its config.json.
    values = {key: value for key, value in values.items() if key not in PARTS}
    if stock == "Qwen2ForCausalLM":
        values.pop("head_dim")
    model_class = getattr(transformers, stock)
    return model_class, model_class.config_class(**values, architectures=[stock])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: python -m smallwright_decoder.materialise SOURCE TARGET", file=sys.stderr)
        sys.exit(2)
    try:
        print(f"{materialise(Path(sys.argv[1]), Path(sys.argv[2])):,} parameters written to {sys.argv[2]}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
