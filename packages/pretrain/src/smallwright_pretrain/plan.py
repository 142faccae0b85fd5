"""How much memory a run takes, estimated without doing any of it."""

from core.interfaces import Architecture

from smallwright_pretrain.config import TorchTitanConfig

STATE_BYTES_PER_PARAMETER = 16
"""float32 weight, gradient and AdamW's two moments, four bytes each, sharded over the ranks of a replica."""


def memory_bytes(config: TorchTitanConfig, architecture: Architecture) -> int:
    """Estimate the bytes that one rank needs for training.

    States are sharded by FSDP. Activations are what a pre-norm block with gated feed-forward keeps for the backward
    pass, per token: 4 values of the residual width (two norms, their outputs), 8 of the attention width (queries,
    keys, values before and after rotation, output) and 5 of the feed-forward width; with a CPU's attention also
    two scores per head and position; and three float32 values per vocabulary entry for the loss. "full" activation
    checkpointing keeps one value of the residual width per block, and one block's activations.
    """
    sizes = architecture.config
    hidden = getattr(sizes, "hidden_size", 0)
    feed_forward = getattr(sizes, "intermediate_size", 4 * hidden)
    layers = getattr(sizes, "num_hidden_layers", 1)
    heads = getattr(sizes, "num_attention_heads", 1)
    vocab = getattr(sizes, "vocab_size", None) or 0
    width = 2 if config.precision == "bfloat16" else 4
    rows = config.rows_per_forward * config.seq_len

    attention = architecture.attention_width() // max(layers, 1)
    values = 4 * hidden + 8 * attention + 5 * feed_forward
    if config.device == "cpu":
        values += 2 * heads * config.seq_len
    if config.activation_checkpoint == "full":
        per_token = (layers * hidden + values) * width
    elif config.activation_checkpoint == "selective":
        per_token = layers * values * width // 2
    else:
        per_token = layers * values * width
    states = STATE_BYTES_PER_PARAMETER * architecture.parameters() * config.replicate // config.nproc
    return states + rows * (per_token + 3 * 4 * vocab)
