"""The Llama family: dimensions of a model, and the names and shapes of its weights."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError, UserError

SHARED_FFN = "smallwright_shared_ffn"
FAMILY = ("llama", SHARED_FFN)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dimensions:
    """What decides the shapes of a Llama's weights, under Hugging Face's names."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    tie_word_embeddings: bool
    shared_ffn: bool
    rope_theta: float
    rms_norm_eps: float

    @classmethod
    def of(cls, config: Any, owner: str) -> "Dimensions":
        """Read the dimensions of a Hugging Face configuration.

        Raises:
            core.errors.UserError: when the model is of another family or has biases.
        """
        if config.model_type not in FAMILY:
            raise UserError(
                f"{owner}: model type {config.model_type!r} is not of the Llama family ({', '.join(FAMILY)})."
            )
        if config.attention_bias or config.mlp_bias or config.hidden_act != "silu":
            raise UserError(
                f"{owner}: has biases or hidden_act={config.hidden_act}; only bias-free SwiGLU is inherited."
            )
        rope = config.rope_parameters
        if rope.get("rope_type", "default") != "default":
            raise UserError(f"{owner}: scaled RoPE ({rope['rope_type']}) is not inherited. Give a source without it.")
        names = {field.name for field in dataclasses.fields(cls)} - {"shared_ffn", "rope_theta"}
        values = {name: getattr(config, name) for name in names}
        return cls(**values, shared_ffn=config.model_type == SHARED_FFN, rope_theta=float(rope["rope_theta"]))

    def ffn(self, layer: int) -> str:
        """Return the prefix of the feed-forward weights that ``layer`` uses."""
        return "model.shared_ffn" if self.shared_ffn else f"model.layers.{layer}.mlp"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every weight in the checkpoint, by Hugging Face's name."""
        hidden, ffn = self.hidden_size, self.intermediate_size
        query, key_value = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (self.vocab_size, hidden),
            "model.norm.weight": (hidden,),
        }
        if not self.tie_word_embeddings:
            shapes["lm_head.weight"] = (self.vocab_size, hidden)
        for layer in range(self.num_hidden_layers):
            prefix = f"model.layers.{layer}"
            shapes[f"{prefix}.input_layernorm.weight"] = (hidden,)
            shapes[f"{prefix}.post_attention_layernorm.weight"] = (hidden,)
            shapes[f"{prefix}.self_attn.q_proj.weight"] = (query, hidden)
            shapes[f"{prefix}.self_attn.k_proj.weight"] = (key_value, hidden)
            shapes[f"{prefix}.self_attn.v_proj.weight"] = (key_value, hidden)
            shapes[f"{prefix}.self_attn.o_proj.weight"] = (hidden, query)
            shapes[f"{self.ffn(layer)}.gate_proj.weight"] = (ffn, hidden)
            shapes[f"{self.ffn(layer)}.up_proj.weight"] = (ffn, hidden)
            shapes[f"{self.ffn(layer)}.down_proj.weight"] = (hidden, ffn)
        return shapes


def read_config(directory: Path) -> Any:
    """Return the ``LlamaConfig`` of an exported model, without running any code that comes with it."""
    from transformers import LlamaConfig

    path = directory / "config.json"
    if not path.is_file():
        raise InputError(f"{path}: not found. Give the directory of a model, or one that holds it as hf/.")
    values = json.loads(path.read_text())
    model_type = values.pop("model_type", None)
    if model_type not in FAMILY:
        raise InputError(f"{path}: model type {model_type!r} is not one of the Llama family's: {FAMILY}.")
    values.pop("auto_map", None)
    config = LlamaConfig(**values)
    config.model_type = model_type
    return config


def read_weights(directory: Path, dimensions: Dimensions) -> dict[str, Any]:
    """Load the safetensors files of ``directory`` and check that they hold this model and nothing else.

    Raises:
        core.errors.InputError: naming missing, extra or misshapen weights.
    """
    from safetensors.torch import load_file

    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise InputError(f"{directory}: no *.safetensors file. Export the source with safetensors.")
    weights: dict[str, Any] = {}
    for file in files:
        weights.update(load_file(file))
    if dimensions.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    expected = dimensions.shapes()
    _refuse(directory, "missing weights", {name: expected[name] for name in expected.keys() - weights.keys()})
    _refuse(directory, "weights of no Llama", {name: tuple(weights[name].shape) for name in weights.keys() - expected})
    wrong = {name: tuple(weights[name].shape) for name in expected if tuple(weights[name].shape) != expected[name]}
    _refuse(directory, "weights whose shape is not config.json's", wrong)
    return weights


def _refuse(directory: Path, what: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if shapes:
        shown = ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items())[:4])
        more = f" and {len(shapes) - 4} more" if len(shapes) > 4 else ""
        raise InputError(f"{directory}: {what}: {shown}{more}. Use a complete checkpoint whose config.json is its own.")
