"""The Llama family: dimensions of a model, and the names and shapes of its weights."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError, UserError
from core.interfaces import Architecture

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

    @classmethod
    def planned(cls, architecture: Architecture) -> "Dimensions":
        """Read the dimensions of an architecture's settings, without importing an engine."""
        config = architecture.config
        names = {field.name for field in dataclasses.fields(cls)} - {"shared_ffn", "head_dim"}
        try:
            values = {name: getattr(config, name) for name in names}
        except AttributeError as error:
            raise UserError(f"arch.name: inherited_init cuts models of the Llama family only ({error}).") from None
        return cls(
            **values,
            head_dim=config.head_dim or config.hidden_size // config.num_attention_heads,
            shared_ffn=architecture.vllm_architecture() == "SharedFFNForCausalLM",
        )

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


def check(source: Dimensions, child: Dimensions) -> None:
    """Refuse a child that is no part of the source.

    Raises:
        core.errors.UserError: naming the dimension and both values.
    """
    if child.vocab_size != source.vocab_size:
        raise UserError(
            f"arch.vocab_size={child.vocab_size}: the source has {source.vocab_size} rows, inherited one by one. "
            "Train the source with the same tokenizer, or use the source's."
        )
    for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"):
        large, small = getattr(source, key), getattr(child, key)
        if small > large:
            raise UserError(f"arch.{key}={small}: larger than the source's {large}. Set it to {large} or less.")
    for key in ("head_dim", "rope_theta", "rms_norm_eps"):
        theirs, ours = getattr(source, key), getattr(child, key)
        if ours != theirs:
            raise UserError(f"arch.{key}={ours}: the source was trained with {theirs}. Set arch.{key}={theirs}.")
    large = source.num_attention_heads // source.num_key_value_heads
    small = child.num_attention_heads // child.num_key_value_heads
    if small > large:
        raise UserError(
            f"arch.num_attention_heads={child.num_attention_heads} over arch.num_key_value_heads="
            f"{child.num_key_value_heads}: {small} query heads share a key/value head, and the source has {large} to "
            f"give. Set arch.num_key_value_heads to {-(-child.num_attention_heads // large)} or more."
        )
    if source.tie_word_embeddings is False and child.tie_word_embeddings:
        raise UserError(
            "arch.tie_word_embeddings=true: the source's embedding and head differ. Set arch.tie_word_embeddings=false."
        )
    if child.shared_ffn and not source.shared_ffn:
        raise UserError(
            "arch.name=shared_ffn: the source has one feed-forward per layer, and none of them fits all layers. "
            "Give a source that shares its feed-forward."
        )


def select_layers(rule: str | tuple[int, ...], of: int, keep: int) -> list[int]:
    """Return the source's layers to keep, rising.

    Raises:
        core.errors.UserError: when a list does not name ``keep`` layers of the source.
    """
    if rule == "first_last":
        first = -(-keep // 2)
        return [*range(first), *range(of - (keep - first), of)]
    layers = list(rule)
    if len(layers) != keep or not all(0 <= layer < of for layer in layers):  # type: ignore[operator]
        raise UserError(
            f"arch.initializer.layers={layers}: must name arch.num_hidden_layers={keep} of the source's "
            f"layers 0 to {of - 1}."
        )
    return layers  # type: ignore[return-value]


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
    config.model_type = model_type  # type: ignore[misc]
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
