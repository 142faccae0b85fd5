"""Write a shared-FFN model as a plain Llama: one copy of the FFN per layer, the same logits bit for bit.

python -m smallwright_shared_ffn.materialise path/to/hf path/to/plain-llama
"""

import json
import shutil
import sys
from pathlib import Path

from core.errors import InputError

SHARED_PREFIX = "model.shared_ffn."
NOT_COPIED = {"config.json", "hf.py", "model.safetensors.index.json"}


def materialise(source: Path, target: Path) -> int:
    """Write the plain-Llama form of the exported model in ``source`` to the new directory ``target``.

    Args:
        source: A Hugging Face directory of model type ``smallwright_shared_ffn``.
        target: A directory that does not exist, or is empty. Tokenizer files are copied along.

    Returns:
        Number of parameters written.

    Raises:
        core.errors.InputError: when ``source`` holds no shared-FFN model, or ``target`` holds something.
    """
    from safetensors.torch import load_file
    from transformers import LlamaConfig, LlamaForCausalLM

    from smallwright_shared_ffn.hf import MODEL_TYPE

    source, target = Path(source), Path(target)
    if not (source / "config.json").is_file():
        raise InputError(f"{source}: no config.json. Give the hf/ directory of a model.")
    values = json.loads((source / "config.json").read_text())
    if values.get("model_type") != MODEL_TYPE:
        raise InputError(f"{source}: model type {values.get('model_type')!r}, not {MODEL_TYPE!r}.")
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target}: not empty. Give a new directory.")

    weights = {}
    for file in sorted(source.glob("*.safetensors")):
        weights.update(load_file(file))
    layers = values["num_hidden_layers"]
    for name in [name for name in weights if name.startswith(SHARED_PREFIX)]:
        weight, part = weights.pop(name), name.removeprefix(SHARED_PREFIX)
        # Copies, for safetensors refuses two names for one memory.
        weights.update({f"model.layers.{layer}.mlp.{part}": weight.clone() for layer in range(layers)})

    for key in ("auto_map", "model_type", "architectures"):
        values.pop(key, None)
    config = LlamaConfig(**values, architectures=["LlamaForCausalLM"])
    model = LlamaForCausalLM.from_pretrained(None, config=config, state_dict=weights, dtype=config.dtype or "auto")
    model.save_pretrained(target)
    for file in source.iterdir():
        if file.is_file() and file.name not in NOT_COPIED and file.suffix != ".safetensors":
            shutil.copyfile(file, target / file.name)
    return model.num_parameters()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m smallwright_shared_ffn.materialise SOURCE TARGET")
    try:
        print(f"{materialise(Path(sys.argv[1]), Path(sys.argv[2])):,} parameters written to {sys.argv[2]}")
    except InputError as error:
        sys.exit(f"error: {error}")
