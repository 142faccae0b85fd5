"""What a run takes, estimated without doing any of it."""

from typing import Any

from core.interfaces import Architecture

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.schedule import describe, learning_rate
from smallwright_pretrain.segments import notes, segments, stages

FLOAT32 = 4
"""Bytes of a float32: a parameter's weight, its gradient and each of AdamW's two moments take as many."""


def plan(config: TorchTitanConfig, architecture: Architecture) -> dict[str, Any]:
    """Return what :meth:`core.interfaces.Trainer.plan` asks for."""
    parts = [memory_parts(segment.settings(config), architecture) for segment in segments(config)]
    memory = max(parts, key=lambda part: sum(part.values()))
    row = stages(config)
    checkpoint = 3 * FLOAT32 * architecture.parameters()  # a weight and two moments
    # The oldest goes when the newest is written.
    copies = config.keep_latest + 1 if config.keep_latest else -(-config.steps // config.checkpoint_interval)
    return {
        "tokens": config.tokens,
        "seq_len": max(stage.seq_len for stage in row),
        "memory_bytes": sum(memory.values()),
        "memory": memory,
        "ranks": config.ranks,
        "ranks_here": config.nproc,
        "device": config.device,
        "checkpoint_bytes": checkpoint,
        "disk_bytes": checkpoint * copies + FLOAT32 * architecture.parameters(),
        "batch_tokens": row[0].batch_tokens,
        "learning_rate": config.learning_rate,
        "schedule": describe(config),
        "precision": config.precision,
        "stages": [
            {
                "name": stage.name,
                "first_step": stage.first,
                "last_step": stage.last,
                "tokens": stage.tokens,
                "seq_len": stage.seq_len,
                "sequences": stage.global_batch_size,
                "rope_theta": stage.rope_theta or getattr(architecture.config, "rope_theta", None),
                "first_rate": learning_rate(config, stage.first),
                "last_rate": learning_rate(config, stage.last),
            }
            for stage in row
        ],
        "notes": notes(config),
    }


def memory_parts(config: TorchTitanConfig, architecture: Architecture) -> dict[str, int]:
    """Estimate what fills the memory of one rank, in bytes by name.

    ``weights``, ``gradients`` and ``optimizer`` are sharded by FSDP2 over the ranks of a replica. ``gathered`` are the
    whole weights of the units that compute, in the precision of the products: two layers (FSDP2 fetches the next one
    while one computes) and what belongs to the model itself, embeddings and shared feed-forwards; on one rank of
    float32 nothing is gathered. ``activations`` are what the layers keep for the backward pass
    (:meth:`core.interfaces.Architecture.activation_values`); "full" activation checkpointing keeps one value of the
    residual width per layer, and one layer's activations. ``masks`` are a CPU's additive masks of packed documents, one
    for each kind of layer; a GPU's are block masks, too small to count. ``logits`` are three float32 values per
    vocabulary entry for the loss.
    """
    shard = FLOAT32 * architecture.parameters() * config.replicate // config.nproc
    rows = config.rows_per_forward * config.seq_len
    masks = architecture.mask_kinds() * config.seq_len * _width(config) if config.device == "cpu" else 0
    return {
        "weights": shard,
        "gradients": shard,
        "optimizer": 2 * shard,
        "gathered": _gathered(config, architecture),
        "activations": rows * _activations_per_token(config, architecture),
        "masks": rows * masks,
        "logits": rows * 3 * FLOAT32 * architecture.vocab_rows(),
    }


def _gathered(config: TorchTitanConfig, architecture: Architecture) -> int:
    width = _width(config)
    if config.nproc // config.replicate == 1 and width == FLOAT32:
        return 0
    layers = min(2, architecture.layers()) * architecture.layer_parameters()
    return width * (architecture.embedding_parameters() + architecture.shared_parameters() + layers)


def _activations_per_token(config: TorchTitanConfig, architecture: Architecture) -> int:
    values = architecture.activation_values(config.seq_len, scores=config.device == "cpu")
    if config.activation_checkpoint == "full":
        return _width(config) * (len(values) * architecture.residual_width() + max(values))
    kept = _width(config) * sum(values)
    return kept // 2 if config.activation_checkpoint == "selective" else kept


def _width(config: TorchTitanConfig) -> int:
    """Return the bytes of one value of a matrix product."""
    return 2 if config.precision == "bfloat16" else FLOAT32
