"""What a training cost, beside what the plan said that it would."""

from collections.abc import Mapping
from typing import Any

from core.errors import UserError
from core.planning import devices, model
from core.stage_spec import StageSpec


def of_training(spec: StageSpec, summary: Mapping[str, Any], seconds: float | None) -> dict[str, Any] | None:
    """Return ``device``, ``price``, and ``planned`` and ``used``: ``tokens``, ``seconds``, ``memory_bytes``, ``money``.

    The device is the one of the planner's table that comes nearest to what trained. Time and money of the plan rest on
    its assumptions, named in ``assumptions``; the money used is the time at the same price.

    Args:
        spec: The stage that trained.
        summary: Of its manifest.
        seconds: How long the stage took.
    """
    name = _device(str(summary.get("device", "")), str(summary.get("device_name", "")))
    if spec.architecture is None or name is None:
        return None
    ranks = summary.get("world_size") or 1
    try:
        planned = model.describe(spec, model.Hardware(names=(name,), counts=(1 if name.startswith("cpu") else ranks,)))
    except (UserError, ArithmeticError, LookupError, TypeError):  # a plugin that cannot plan is no reason for no report
        return None
    (row,) = planned["hardware"]
    hours = None if seconds is None else seconds / 3600
    count = row["devices"]
    return {
        "device": name,
        "devices": count,
        "price": row["price"],
        "assumptions": f"{planned['mfu']:.0%} of the peak of {name}, {row['price']:.2f} US dollars a device and hour",
        "planned": {
            "tokens": planned["tokens"],
            "seconds": row["hours"] * 3600,
            "memory_bytes": row["memory_bytes"],
            "money": row["money"],
            "tokens_per_second": row["tokens_per_second"],
        },
        "used": {
            "tokens": summary.get("tokens"),
            "seconds": seconds,
            "memory_bytes": summary.get("peak_memory_bytes"),
            "money": None if hours is None else hours * count * row["price"],
            "tokens_per_second": summary.get("tokens_per_second"),
        },
    }


def _device(kind: str, name: str) -> str | None:
    """Return the planner's device that trained: by its name for a GPU, the CPU of the table for a CPU."""
    if kind == "cpu":
        return next((device.name for device in devices.DEVICES.values() if device.kind == "cpu"), None)
    words = name.lower().replace(" ", "").replace("-", "")
    found = (device for device in devices.DEVICES if device.partition("-")[0] in words)
    return next(found, None)
