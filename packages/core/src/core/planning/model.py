"""What a plan says of a model and its training: sizes, memory, time and money, and how far it will be trained."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from core import entries
from core.errors import ConfigError, InputError
from core.graph import StageSpec
from core.interfaces import Architecture, Trainer
from core.planning import devices, needs, scaling, schedule

CACHE_BYTES = 2
"""Bytes of one value in the KV cache, which is bfloat16."""
GIB = 2**30
MOST_DEVICES = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a user asks about hardware and learning rates."""

    names: tuple[str, ...] = ()
    """Names from :data:`core.planning.devices.DEVICES`."""
    counts: tuple[int, ...] = ()
    """Numbers of devices; empty: the ranks of the configuration."""
    mfu: float = devices.MFU
    price: float | None = None
    """US dollars that one device costs an hour; None: what the table of devices says."""
    scale_lr: tuple[float, float] | None = None
    """A learning rate and the batch in tokens at which it was found."""
    scale_lr_exponent: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.mfu <= 1:
            raise ConfigError(f"--mfu {self.mfu:g}: a share of the peak, from above 0 to 1.")
        if self.price is not None and not 0 <= self.price < math.inf:
            raise ConfigError(f"--price {self.price:g}: US dollars an hour, 0 or more.")
        for count in self.counts:
            if not 1 <= count <= MOST_DEVICES:
                raise ConfigError(f"--devices {count}: must be at least 1, and at most {MOST_DEVICES}.")
        if self.scale_lr is not None and not all(0 < value < math.inf for value in self.scale_lr):
            raise ConfigError(f"--scale-lr {self.scale_lr[0]:g} {self.scale_lr[1]:g}: both must be above 0.")
        if not math.isfinite(self.scale_lr_exponent):
            raise ConfigError(f"--scale-lr-exponent {self.scale_lr_exponent:g}: must be a finite number.")


def describe(training: StageSpec, hardware: Hardware, flops_before: float = 0.0) -> dict[str, Any]:
    """Return what is known of a training stage before any work.

    Args:
        flops_before: Of work that comes before it, see :func:`core.planning.needs.beforehand`.
    """
    assert training.architecture is not None
    architecture = training.architecture.build()
    stage = needs.trainer(training)
    count = hardware.counts[0] if len(hardware.counts) == 1 else None
    kind = devices.device(hardware.names[0]).kind if hardware.names else None
    estimate = _on(stage, count, kind).plan(architecture)
    stored, executed = architecture.parameters(), architecture.executed_parameters()
    flops = _flops_per_token(architecture, estimate)
    context = architecture.context() or estimate["seq_len"]
    return {
        "architecture": training.architecture.label(),
        "stored_parameters": stored,
        "executed_parameters": executed,
        "embedding_parameters": architecture.embedding_parameters(),
        "embedding_share": architecture.embedding_parameters() / stored,
        "flops_per_token": flops,
        "tokens": estimate["tokens"],
        "flops": flops * estimate["tokens"] + flops_before,
        "flops_before": flops_before,
        "kv_cache": _kv_cache(architecture, context),
        "memory_bytes": estimate["memory_bytes"],
        "estimate": estimate,
        "followed": {key: {"value": found.value, "source": found.source} for key, found in training.followed.items()},
        "scaling": _scaling(stored, executed, estimate["tokens"]),
        "learning_rate": _learning_rate(estimate, hardware),
        "hardware": [
            _row(stage, architecture, devices.device(name), number, hardware, flops_before)
            for name in hardware.names
            for number in hardware.counts or (estimate.get("ranks", 1),)
        ],
        "mfu": hardware.mfu,
    }


def describe_entered(entered: entries.Model) -> dict[str, Any]:
    """Return what is known of a model that a run starts from and does not train on.

    Returns:
        ``architecture``, ``stored_parameters``, ``executed_parameters``, ``embedding_parameters``,
        ``embedding_share``, ``kv_cache``, ``context`` in tokens, ``forward_flops_per_token`` at that context. The
        counts are None where the weights are on the hub, and the context where the model does not say it.
    """
    architecture = entered.planned
    label = str(architecture.config.model_type) if entered.choice is None else entered.choice.label()
    context = architecture.context()
    try:
        stored = architecture.parameters()
    except InputError:  # they are counted when they are here
        counts = dict.fromkeys(("stored_parameters", "executed_parameters", "embedding_share"))
        counts["forward_flops_per_token"] = None
    else:
        counts = {
            "stored_parameters": stored,
            "executed_parameters": architecture.executed_parameters(),
            "embedding_share": architecture.embedding_parameters() / stored,
            "forward_flops_per_token": architecture.flops_per_token(context) / 3 if context else None,
        }
    return {
        "architecture": label,
        "embedding_parameters": architecture.embedding_parameters(),
        "kv_cache": _kv_cache(architecture, context) if context else None,
        "context": context,
        **counts,
    }


def _flops_per_token(architecture: Architecture, estimate: Mapping[str, Any]) -> float:
    """Return the mean over the run: longer sequences take more."""
    rows = estimate.get("stages") or [{"seq_len": estimate["seq_len"], "tokens": estimate["tokens"]}]
    whole = sum(row["tokens"] for row in rows)
    own = sum(architecture.flops_per_token(row["seq_len"]) * row["tokens"] for row in rows) / whole
    return own + estimate.get("extra_flops_per_token", 0.0)


def _on(stage: Trainer, ranks: int | None, kind: str | None) -> Trainer:
    """Return the stage as it would be on that many devices of this kind; None: as its settings have it."""
    if ranks is None and kind is None:
        return stage
    try:
        return stage.on(ranks, kind)
    except ConfigError as error:
        raise ConfigError(f"--devices {ranks}: pretrain.{error}") from error


def _kv_cache(architecture: Architecture, context: int) -> dict[str, int] | None:
    per_token, full = architecture.kv_cache_bytes(1, CACHE_BYTES), architecture.kv_cache_bytes(context, CACHE_BYTES)
    if per_token is None or full is None:
        return None
    return {"bytes_per_token": per_token, "context": context, "bytes_at_context": full}


def _scaling(stored: int, executed: int, tokens: int) -> dict[str, Any]:
    below, above = scaling.neighbours(tokens / stored)
    optimal = {law.name: law.optimal_tokens(stored) for law in scaling.LAWS}
    return {
        "tokens_per_parameter": tokens / stored,
        "tokens_per_executed_parameter": tokens / executed,
        "optimal_tokens": optimal,
        "over_training": {name: tokens / value for name, value in optimal.items()},
        "trained_less": dataclasses.asdict(below) if below else None,
        "trained_more": dataclasses.asdict(above) if above else None,
    }


def _learning_rate(estimate: Mapping[str, Any], hardware: Hardware) -> dict[str, Any] | None:
    if "learning_rate" not in estimate:
        return None
    row = {"value": estimate["learning_rate"], "batch_tokens": estimate["batch_tokens"]}
    if hardware.scale_lr is None:
        return row
    rate, batch = hardware.scale_lr
    exponent = hardware.scale_lr_exponent
    scaled = scaling.scaled_learning_rate(rate, batch, row["batch_tokens"], exponent)
    return {**row, "rule": {"rate": rate, "batch_tokens": batch, "exponent": exponent, "scaled": scaled}}


def _row(
    stage: Trainer,
    architecture: Architecture,
    device: devices.Device,
    count: int,
    hardware: Hardware,
    flops_before: float,
) -> dict[str, Any]:
    estimate = _on(stage, count, device.kind).plan(architecture)
    flops = _flops_per_token(architecture, estimate)
    took = devices.cost(
        device,
        devices=count,
        flops_per_token=flops + (flops - estimate.get("extra_flops_per_token", 0)) * estimate.get("recomputed", 0),
        tokens=estimate["tokens"],
        mfu=hardware.mfu,
        price=hardware.price,
        flops_before=flops_before,
    )
    return {
        "device": device.name,
        "devices": count,
        "memory_bytes": estimate["memory_bytes"],
        "device_memory_bytes": device.memory_bytes,
        "fits": estimate["memory_bytes"] <= device.memory_bytes,
        "float32_on_gpu": device.kind == "cuda" and estimate.get("precision") == "float32",
        "price": device.price if hardware.price is None else hardware.price,
        **took,
    }


def render(model: Mapping[str, Any]) -> list[str]:
    """Return the lines of a model and its training for a terminal."""
    stored, executed = model["stored_parameters"], model["executed_parameters"]
    # A dense model that shares nothing executes all that it stores, or all but its input embedding.
    extra, before = model["estimate"].get("extra_flops_per_token"), model["flops_before"]
    sparse_or_shared = not stored - model["embedding_parameters"] <= executed <= stored
    lines = [
        *_render_counts(model),
        f"FLOPs per token      {model['flops_per_token']:.3e} forward and backward"
        + (f", of them {extra:.3e} beside the model's own training" if extra else ""),
        f"tokens               {model['tokens']:,}",
        f"FLOPs                {model['flops']:.3e}"
        + (f", of them {before:.3e} before the training, once for all that share it" if before else ""),
        *_render_cache(model["kv_cache"]),
    ]
    parts = model["estimate"].get("memory") or {}
    ranks = model["estimate"].get("ranks")
    of = f", {ranks} rank{'s' if ranks > 1 else ''}" if ranks else ""
    lines.append(f"memory               {_memory(model['memory_bytes'])} per rank{of}; an estimate, of:")
    lines += [f"  {name:19}{_memory(size)}" for name, size in parts.items()]
    if model["followed"]:
        lines.append("set by the plan      where nobody gave another value:")
    lines += [f"  pretrain.{key}={row['value']}  ({row['source']})" for key, row in model["followed"].items()]
    return [
        *lines,
        *_render_learning_rate(model["learning_rate"]),
        *schedule.render(model["estimate"]),
        *_render_scaling(model["scaling"], sparse_or_shared),
    ]


def render_entered(model: Mapping[str, Any]) -> list[str]:
    """Return the lines of a model that a run starts from and does not train on."""
    if model["stored_parameters"] is None:
        counted = [
            f"architecture         {model['architecture']}",
            "parameters           counted when it is downloaded",
        ]
    else:
        counted = _render_counts(model)
    if (flops := model["forward_flops_per_token"]) is not None:
        counted.append(f"FLOPs per token      {flops:.3e} forward, at the full context")
    return [*counted, *_render_cache(model["kv_cache"])]


def _render_counts(model: Mapping[str, Any]) -> list[str]:
    return [
        f"architecture         {model['architecture']}",
        f"stored parameters    {model['stored_parameters']:,}",
        f"executed parameters  {model['executed_parameters']:,} per token; a shared FFN counts per layer, of experts "
        "those that a token uses",
        f"embedding share      {model['embedding_share']:.2%} of the stored parameters are input embedding and output "
        f"head: {model['embedding_parameters']:,}",
    ]


def _render_cache(cache: Mapping[str, int] | None) -> list[str]:
    if cache is None:
        return []
    return [
        f"KV cache             {cache['bytes_per_token']:,} bytes per token in bfloat16; "
        f"{_memory(cache['bytes_at_context'])} at the full context of {cache['context']:,} tokens"
    ]


def _memory(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB else f"{size / 2**20:.1f} MiB"


def _render_learning_rate(row: Mapping[str, Any] | None) -> list[str]:
    if row is None:
        return []
    lines = [f"learning rate        {row['value']:.3g} at {row['batch_tokens']:,} tokens a step"]
    if (rule := row.get("rule")) is not None:
        lines.append(
            f"  by the rule        {rule['rate']:.3g} * ({row['batch_tokens']:,} / {rule['batch_tokens']:,.0f})"
            f"^{rule['exponent']:g} = {rule['scaled']:.3g} (PanGu-pi Pro): pretrain.learning_rate={rule['scaled']:.3g}"
        )
    return lines


def _render_scaling(row: Mapping[str, Any], by_executed: bool) -> list[str]:
    executed = f"; {row['tokens_per_executed_parameter']:,.1f} per executed one" if by_executed else ""
    near = [
        f"{word} {model['name']} ({model['tokens'] / model['parameters']:,.0f})"
        for word, model in (("more than", row["trained_less"]), ("less than", row["trained_more"]))
        if model is not None
    ]
    lines = [f"tokens per parameter {row['tokens_per_parameter']:,.1f} (stored){executed}; {', '.join(near)}"]
    lines.append(
        "compute-optimal      tokens for this size by Chinchilla's law, and how many times as many this run has"
    )
    for law in scaling.LAWS:
        optimal, over = row["optimal_tokens"][law.name], row["over_training"][law.name]
        lines.append(f"  {law.name:19}{optimal:.3e} tokens, x{over:.3g}   ({law.source})")
    return [*lines, f"  note: {scaling.WARNING}"]


def render_hardware(rows: Sequence[Mapping[str, Any]], mfu: float) -> list[str]:
    """Return the table of devices, with what it assumes."""
    if not rows:
        return []
    lines = [
        f"On hardware. Assumed: {mfu:.0%} of the peak (--mfu), linear scaling, these prices (--price).",
        f"  {'device':12} {'number':>6} {'memory of a rank':>18} {'tokens/s':>12} {'hours':>12} {'$/h each':>9} "
        f"{'$':>12}",
    ]
    for row in rows:
        have, need = row["device_memory_bytes"] / GIB, row["memory_bytes"] / GIB
        memory = f"{need:.1f} of {have:.1f} GiB" + ("" if row["fits"] else " !")
        lines.append(
            f"  {row['device']:12} {row['devices']:6} {memory:>18} {row['tokens_per_second']:12,.0f} "
            f"{row['hours']:12,.2f} {row['price']:9.2f} {row['money']:12,.2f}"
        )
    if not all(row["fits"] for row in rows):
        lines.append(
            "  !: does not fit. More devices, a smaller pretrain.micro_batch_size, or "
            "pretrain.activation_checkpoint=full."
        )
    if any(row["float32_on_gpu"] for row in rows):
        lines.append("  note: peaks are bfloat16's and this recipe computes in float32; add +hardware=gpu.")
    return lines
