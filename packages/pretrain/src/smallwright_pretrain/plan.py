"""What a run takes, estimated without doing any of it."""

from pathlib import Path
from typing import Any

from core.interfaces import Architecture
from core.stock import StockArchitecture

from smallwright_pretrain import evaluations
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.distill_config import CHUNK_VALUES, counted, flops_per_token
from smallwright_pretrain.schedule import describe, learning_rate
from smallwright_pretrain.segments import notes, segments, stages
from smallwright_pretrain.stored import bytes_per_token

MIB = 2**20
# Measured on a CPU with benchmarks/memory.py, as docs/machines.md shows.
PROCESS = {False: 690 * MIB, True: 780 * MIB}
"""Memory of Python with its libraries in a rank that has not trained, by whether it compiles."""
LOGITS = {False: 3, True: 8}
"""Float32 values per entry of the vocabulary, for a token's loss; more on a CPU that does not compile the loss."""
TAUGHT_LOGITS = {False: 2, True: 4}
"""The same where a teacher is learnt from: the student's own and their gradient; more on a CPU, which keeps what was
freed."""
CHUNK_COPIES = 7
"""Tensors of ``CHUNK_VALUES`` that the loss of a chunk works with."""
WORKING = 1.5
"""What a layer works with, as a multiple of what it keeps."""
FORWARD_SHARE = 1 / 3
"""Of a step's FLOPs: what "full" activation checkpointing does a second time, and what a loss takes that is measured
only. The backward pass has two thirds."""
FLOAT32 = 4
"""Bytes of a float32: a parameter's weight, its gradient and each of AdamW's two moments take as many."""


def plan(config: TorchTitanConfig, architecture: Architecture) -> dict[str, Any]:
    """Return what :meth:`core.interfaces.Trainer.plan` asks for."""
    parts = [memory_parts(segment.settings(config), architecture) for segment in segments(config)]
    memory = max(parts, key=lambda part: sum(part.values()))
    row = stages(config)
    checkpoint = 3 * FLOAT32 * architecture.parameters()  # a weight and two moments
    exports = 3 if evaluations.wanted(config) else 0  # one is evaluated, one waits, one is written
    flops = flops_between_rounds(config, architecture)
    if (teacher := teacher_of(config)) is not None:
        flops += sum(stage.tokens * flops_per_token(teacher, stage.seq_len) for stage in row)
    return {
        **({"extra_flops_per_token": flops / config.tokens} if flops else {}),
        "tokens": config.tokens,
        "seq_len": max(stage.seq_len for stage in row),
        "memory_bytes": sum(memory.values()),
        "memory": memory,
        "ranks": config.ranks,
        "ranks_here": config.nproc,
        "device": config.device,
        "on_cpu": planned_device(config) == "cpu",
        "checkpoint_bytes": checkpoint,
        "disk_bytes": _disk_bytes(config, checkpoint, architecture.parameters())
        + exports * FLOAT32 * architecture.parameters(),
        "batch_tokens": row[0].batch_tokens,
        "learning_rate": config.learning_rate,
        "schedule": describe(config),
        "precision": config.precision,
        "recomputed": FORWARD_SHARE if config.activation_checkpoint == "full" else 0.0,
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
        "evaluations": evaluations.count(config),
        "notes": [*notes(config), *_of_rounds(config), *_of_empty_rows(config), *_of_evaluations(config)],
    }


def _disk_bytes(config: TorchTitanConfig, checkpoint: int, parameters: int) -> int:
    """Return what all checkpoints, revisions and the model take when the disk is fullest, at most.

    Args:
        checkpoint: Bytes of one.
    """
    retention = config.retention
    kept = retention.most(config.steps, config.tokens)
    # The oldest goes when the newest is written; those of no setting stay beside the latest.
    latest = config.keep_latest + 1 if config.keep_latest else -(-config.steps // config.checkpoint_interval)
    model = (FLOAT32 if config.export_dtype == "float32" else 2) * parameters
    return checkpoint * (latest + len(retention.spared) + kept) + model * (1 + kept * config.revisions)


def flops_between_rounds(config: TorchTitanConfig, architecture: Architecture) -> float:
    """Return the FLOPs of measuring the windows of each round but the last, as if a round repeated none."""
    row = stages(config)
    tokens = sum(stage.tokens for stage in row if stage.round < row[-1].round)
    return FORWARD_SHARE * tokens * architecture.flops_per_token(row[-1].seq_len)


def _of_rounds(config: TorchTitanConfig) -> list[str]:
    if config.rounds is None:
        return []
    steps = ", ".join(f"{count:,}" for count in config.steps_of_rounds)
    return [
        f"{config.rounds.count} rounds of {steps} steps: between two the loss of every window is measured, and "
        f"{config.rounds.rate:.0%} of them go into the next one (arXiv 2402.02791)."
    ]


def _of_evaluations(config: TorchTitanConfig) -> list[str]:
    """Say how often the model is evaluated on the way, and what that takes."""
    found = evaluations.count(config)
    if not found:
        return []
    gpu = "" if config.eval_gpu is None else f" and on GPU {config.eval_gpu}"
    threads = "1 thread" if config.eval_threads == 1 else f"{config.eval_threads} threads"
    return [
        f"{found:,} evaluations on the way, at most, beside the training, in {threads} of the CPU{gpu}; a step is left "
        "out where a later one is there before its turn comes."
    ]


def _of_empty_rows(config: TorchTitanConfig) -> list[str]:
    """Say where ranks compute more than the batch has."""
    said = []
    for part in (segment.settings(config) for segment in segments(config)):
        empty = part.padded_batch_size - part.global_batch_size
        if empty:
            said.append(
                f"{part.data_ranks} ranks in passes of {part.rows_per_forward} sequences compute "
                f"{part.padded_batch_size} for a batch of {part.global_batch_size}; the rest, "
                f"{empty / part.padded_batch_size:.0%}, is for nothing."
            )
    return said


def memory_parts(config: TorchTitanConfig, architecture: Architecture) -> dict[str, int]:
    """Estimate what fills the memory of one rank when it is fullest, in bytes by name: at the end of a forward pass.

    ``weights``, ``gradients`` and ``optimizer`` are sharded by FSDP2 over the ranks of a replica, and split by tensor
    and pipeline parallelism. ``gathered`` are the whole weights of the units that compute, in the precision of the
    products: two layers (FSDP2 fetches the next one while one computes) and what belongs to the model itself,
    embeddings and shared feed-forwards; on one rank of float32 nothing is gathered. ``activations`` are what the layers
    keep for the backward pass (:meth:`core.interfaces.Architecture.activation_values`) and what one layer works with;
    "full" activation checkpointing keeps one value of the residual width per layer, and one layer's activations.
    ``masks`` are a CPU's additive masks of packed documents, one for each kind of layer; a GPU's are block masks, too
    small to count. ``logits`` are float32 values per vocabulary entry for the loss.

    On a CPU ``process`` is Python with its libraries. Gradients take the place of what is freed while they are made, so
    that they count only as far as they are larger, unless batches accumulate or blocks are compiled.
    """
    on_cpu = planned_device(config) == "cpu"
    shard = FLOAT32 * architecture.parameters() * config.replicate // config.ranks
    rows = _rows_at_once(config)
    masks = architecture.mask_kinds() * config.seq_len * _width(config) if on_cpu else 0
    values = LOGITS[on_cpu and not config.compile] if config.distill is None else TAUGHT_LOGITS[on_cpu]
    logits = values * FLOAT32 * architecture.vocab_rows() // config.tensor_parallel
    freed = {
        "activations": rows * _activations_per_token(config, architecture, on_cpu) // config.tensor_parallel,
        "masks": rows * masks,
        "logits": rows * logits,
    }
    apart = config.compile or config.padded_batch_size > config.rows_per_forward * config.data_ranks
    return {
        **({"process": PROCESS[config.compile]} if on_cpu else {}),
        **memory_of_teacher(config, architecture.vocab_rows()),
        "weights": shard,
        "gradients": max(0, shard - sum(freed.values())) if on_cpu and not apart else shard,
        "optimizer": 2 * shard,
        "gathered": _gathered(config, architecture),
        **freed,
    }


def memory_of_teacher(config: TorchTitanConfig, rows: int) -> dict[str, int]:
    """Return what a teacher takes: its weights, whole on each rank, one layer's work, and its logits of a chunk; a
    stored one what is read for a batch, and the work of a chunk.

    Args:
        rows: Of the student's embedding.
    """
    teacher, tokens = teacher_of(config), config.rows_per_forward * config.seq_len
    if teacher is None:
        if config.distill is None:
            return {}
        read = tokens * bytes_per_token(config.distill.top_k or 0, rows)
        return {"stored logits": read + min(CHUNK_VALUES, tokens * rows) * CHUNK_COPIES * FLOAT32}
    dimensions, held = teacher.config, teacher.parameters()
    if config.distill is not None and config.distill.sharded:  # one's own share; gathered, two layers and the tables
        layers, tables = dimensions.num_hidden_layers, 2 * dimensions.vocab_size * dimensions.hidden_size
        gathered = tables + 2 * max(0, held - tables) // layers
        held = min(held, held * config.replicate // config.ranks + gathered)
    layer = 8 * dimensions.hidden_size + 3 * (dimensions.intermediate_size or 4 * dimensions.hidden_size)
    return {
        "teacher": _width(config) * held,
        "teacher's work": _width(config) * tokens * layer
        + min(CHUNK_VALUES, tokens * dimensions.vocab_size) * CHUNK_COPIES * FLOAT32,
    }


def teacher_of(config: TorchTitanConfig) -> StockArchitecture | None:
    """Return the teacher that computes beside the student, as it is counted; None: there is none."""
    live = config.distill is not None and config.distill.logits == "live"
    return counted(config.distill.teacher) if live and config.distill is not None else None


def planned_device(config: TorchTitanConfig) -> str:
    """Return ``cpu`` or ``cuda``; for ``auto``, by whether this machine has a GPU's device file, without torch."""
    if config.device != "auto":
        return config.device
    return "cuda" if any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists() else "cpu"


def _rows_at_once(config: TorchTitanConfig) -> int:
    """Return the tokens whose activations a rank holds: of a pipeline, of as many sequences as it has stages."""
    sequences = config.rows_per_forward
    if config.pipeline_parallel > 1:
        sequences = min(sequences, config.pipeline_parallel)
    return sequences * config.seq_len // config.context_parallel


def _gathered(config: TorchTitanConfig, architecture: Architecture) -> int:
    width, split = _width(config), config.tensor_parallel * config.pipeline_parallel
    if config.ranks // (config.replicate * split) == 1 and width == FLOAT32:
        return 0
    layers = min(2, architecture.layers()) * architecture.layer_parameters()
    whole = architecture.embedding_parameters() + architecture.shared_parameters() + layers
    return width * whole // config.tensor_parallel


def _activations_per_token(config: TorchTitanConfig, architecture: Architecture, on_cpu: bool) -> int:
    values, residual = architecture.activation_values(config.seq_len, scores=on_cpu), architecture.residual_width()
    values = values[: -(-len(values) // config.pipeline_parallel)]
    if config.activation_checkpoint == "full":
        return _width(config) * (len(values) * residual + max(values))
    kept = sum(values) + len(values) * residual * _beside(config)
    if config.activation_checkpoint == "selective":
        kept //= 2
    return int(_width(config) * (kept + (0 if config.compile else WORKING * max(values))))


def _beside(config: TorchTitanConfig) -> int:
    """Return values of the residual width that a layer keeps beside those of the architecture's own count."""
    if config.compile:
        return -3  # the inputs of the norms are computed again
    return 4 if config.precision == "bfloat16" else 0  # norms compute in float32


def _width(config: TorchTitanConfig) -> int:
    """Return the bytes of one value of a matrix product."""
    return 2 if config.precision == "bfloat16" else FLOAT32
