"""Names and shapes of a decoder's weights as Hugging Face has them. Light: planning asks here."""

from collections.abc import Sequence
from typing import Any

from core.weights import Shape


def weight_shapes(dimensions: Any, head_dim: int, groups: Sequence[str | None]) -> dict[str, Shape]:
    """Return the shape of every weight of a model without experts, by its name; a tied head is not among them.

    Args:
        dimensions: Anything with the keys of :class:`smallwright_decoder.config.DecoderConfig`.
        head_dim: Width of one head.
        groups: For each layer the group whose feed-forward it uses; None: its own.
    """
    hidden, layers = dimensions.hidden_size, range(dimensions.num_hidden_layers)
    shapes: dict[str, Shape] = {
        "model.embed_tokens.weight": (dimensions.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    if not dimensions.tie_word_embeddings:
        shapes["lm_head.weight"] = (dimensions.vocab_size, hidden)
    for layer in layers:
        prefix = f"model.layers.{layer}"
        shapes[f"{prefix}.input_layernorm.weight"] = (hidden,)
        shapes[f"{prefix}.post_attention_layernorm.weight"] = (hidden,)
        shapes |= _attention(dimensions, head_dim, f"{prefix}.self_attn")
        for shortcut in shortcuts(dimensions, layer):
            width = hidden // dimensions.shortcut_reduction
            shapes[f"{shortcut}.down_proj.weight"] = (width, hidden)
            shapes[f"{shortcut}.up_proj.weight"] = (hidden, width)
        shapes |= _feed_forward(dimensions, feed_forward(groups, layer))
    return shapes


def feed_forward(groups: Sequence[str | None], layer: int) -> str:
    """Return the prefix of the feed-forward weights that a layer uses."""
    group = groups[layer] if groups else None
    return f"model.layers.{layer}.mlp" if group is None else f"model.shared_ffns.{group}"


def shortcuts(dimensions: Any, layer: int) -> list[str]:
    """Return the prefixes of the weights of the learned paths beside the attention of a layer."""
    return [f"model.layers.{layer}.attention_shortcuts.{i}" for i in range(dimensions.augmented_shortcuts)]


def _attention(dimensions: Any, head_dim: int, prefix: str) -> dict[str, Shape]:
    query, key_value = dimensions.num_attention_heads * head_dim, dimensions.num_key_value_heads * head_dim
    shapes: dict[str, Shape] = {f"{prefix}.o_proj.weight": (dimensions.hidden_size, query)}
    for part, size in {"q": query, "k": key_value, "v": key_value}.items():
        shapes[f"{prefix}.{part}_proj.weight"] = (size, dimensions.hidden_size)
        if dimensions.qkv_bias:
            shapes[f"{prefix}.{part}_proj.bias"] = (size,)
    if dimensions.qk_norm:
        shapes |= {f"{prefix}.{part}_norm.weight": (head_dim,) for part in "qk"}
    return shapes


def _feed_forward(dimensions: Any, prefix: str) -> dict[str, Shape]:
    hidden, ffn = dimensions.hidden_size, dimensions.intermediate_size
    shapes: dict[str, Shape] = {
        f"{prefix}.gate_proj.weight": (ffn, hidden),
        f"{prefix}.up_proj.weight": (ffn, hidden),
        f"{prefix}.down_proj.weight": (hidden, ffn),
    }
    if dimensions.series_activation > 1:
        shapes |= {f"{prefix}.act_fn.{part}": (dimensions.series_activation,) for part in ("scale", "shift")}
    return shapes
