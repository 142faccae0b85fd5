"""What a run takes, estimated without doing any of it."""

from typing import Any

from core.interfaces import Architecture

from smallwright_pretrain.config import TorchTitanConfig

FLOAT32 = 4
"""Bytes of what is kept of a parameter: weight, gradient and each of AdamW's two moments are float32."""


def plan(config: TorchTitanConfig, architecture: Architecture) -> dict[str, Any]:
    """Return what :meth:`core.interfaces.Trainer.plan` asks for."""
    memory = memory_parts(config, architecture)
    return {
        "tokens": config.tokens,
        "seq_len": config.seq_len,
        "memory_bytes": sum(memory.values()),
        "memory": memory,
        "ranks": config.nproc,
        "batch_tokens": config.global_batch_size * config.seq_len,
        "learning_rate": config.learning_rate,
        "precision": config.precision,
    }


def memory_parts(config: TorchTitanConfig, architecture: Architecture) -> dict[str, int]:
    """Estimate what fills the memory of one rank, in bytes by name.

    ``weights``, ``gradients`` and ``optimizer`` are sharded by FSDP2 over the ranks of a replica. ``gathered`` are the
    whole weights of the units that compute, in the precision of the products: two blocks (FSDP2 fetches the next one
    while one computes) and what belongs to the model itself, embeddings and shared feed-forwards; on one rank of
    float32 nothing is gathered. ``activations`` are what a pre-norm block with gated feed-forward keeps for the
    backward pass, per token: 4 values of the residual width (two norms, their outputs), 8 of the attention width
    (queries, keys, values before and after rotation, output) and 5 of the feed-forward width; with a CPU's attention
    also two scores per head and position. A series-informed activation of n terms keeps n more of the feed-forward
    width, each augmented shortcut two of its bottleneck's. A mixture of K experts keeps 5 of their width and 3 of the
    residual width for each of the K (the row given to it, its output, and that times its weight), 5 of the width of a
    shared expert, and 3 per expert for the router. "full" activation checkpointing keeps one value of the residual
    width per block, and one block's activations. ``masks`` are a CPU's additive masks of packed documents, one for each
    kind of layer; a GPU's are block masks, too small to count. ``logits`` are three float32 values per vocabulary entry
    for the loss.
    """
    parameters = architecture.parameters()
    shard = FLOAT32 * parameters * config.replicate // config.nproc
    rows = config.rows_per_forward * config.seq_len
    vocab = getattr(architecture.config, "vocab_size", None) or 0
    return {
        "weights": shard,
        "gradients": shard,
        "optimizer": 2 * shard,
        "gathered": _gathered(config, architecture),
        "activations": rows * _activations_per_token(config, architecture),
        "masks": rows * _mask_bytes_per_token(config, architecture),
        "logits": rows * 3 * FLOAT32 * vocab,
    }


def _gathered(config: TorchTitanConfig, architecture: Architecture) -> int:
    width = _width(config)
    if config.nproc // config.replicate == 1 and width == FLOAT32:
        return 0
    sizes = architecture.config
    layers = getattr(sizes, "num_hidden_layers", 1)
    feed_forward = 3 * getattr(sizes, "hidden_size", 0) * getattr(sizes, "intermediate_size", 0)
    groups: list[str | None] = getattr(sizes, "layer_groups", None) or [None]
    shared = len(set(groups) - {None}) * feed_forward
    blocks = architecture.parameters() - architecture.embedding_parameters() - shared
    block = blocks // layers
    if shared and None in groups:  # the larger blocks are those with a feed-forward of their own
        block += feed_forward * (layers - groups.count(None)) // layers
    return width * (architecture.embedding_parameters() + shared + min(2, layers) * block)


def _activations_per_token(config: TorchTitanConfig, architecture: Architecture) -> int:
    sizes = architecture.config
    hidden = getattr(sizes, "hidden_size", 0)
    feed_forward = getattr(sizes, "intermediate_size", 4 * hidden)
    layers = getattr(sizes, "num_hidden_layers", 1)
    attention = architecture.attention_width() // max(layers, 1)
    values = 4 * hidden + 8 * attention
    terms = getattr(sizes, "series_activation", 1)
    dense = (5 + (terms if terms > 1 else 0)) * feed_forward
    mixtures = sum(getattr(sizes, "moe_layers", ()))
    mixture = _mixture_values(sizes) if mixtures else 0
    values += 2 * getattr(sizes, "augmented_shortcuts", 0) * (hidden // getattr(sizes, "shortcut_reduction", 1))
    if config.device == "cpu":
        values += 2 * getattr(sizes, "num_attention_heads", 1) * config.seq_len
    if config.activation_checkpoint == "full":
        largest = max(dense if mixtures < layers else 0, mixture)
        return int((layers * hidden + values + largest) * _width(config))
    kept = int((layers * values + (layers - mixtures) * dense + mixtures * mixture) * _width(config))
    return kept // 2 if config.activation_checkpoint == "selective" else kept


def _mixture_values(sizes: Any) -> int:
    """Return the values that a mixture of experts keeps per token; see :func:`memory_parts`."""
    routed = sizes.num_experts_per_tok * (5 * sizes.expert_size + 3 * sizes.hidden_size)
    return int(routed + 5 * (sizes.shared_expert_intermediate_size or 0) + 3 * sizes.num_experts)


def _mask_bytes_per_token(config: TorchTitanConfig, architecture: Architecture) -> int:
    if config.device != "cpu":
        return 0
    local = "sliding_attention" in getattr(architecture.config, "layer_types", ())
    return (2 if local else 1) * config.seq_len * _width(config)


def _width(config: TorchTitanConfig) -> int:
    """Bytes of a value of a matrix product."""
    return 2 if config.precision == "bfloat16" else FLOAT32
