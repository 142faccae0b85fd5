"""What a training costs, while it runs and at its end, beside what the plan said that it would."""

from collections.abc import Mapping
from typing import Any

from core.errors import UserError
from core.planning import devices, model
from core.stage_spec import StageSpec

SECONDS_AN_HOUR = 3600


def of_training(
    spec: StageSpec, summary: Mapping[str, Any], seconds: float | None, went_on: bool = False
) -> dict[str, Any] | None:
    """Return ``device``, ``price``, and ``planned`` and ``used``: ``tokens``, ``seconds``, ``memory_bytes``, ``money``.

    The device is the one of the planner's table that comes nearest to what trained. Time and money of the plan rest on
    its assumptions, named in ``assumptions``; the money used is the time at the same price. What could not be planned
    or counted is None, and ``missing`` says why.

    Args:
        spec: The stage that trained.
        summary: Of its manifest.
        seconds: How long the stage took.
        went_on: Whether the training went on where an earlier process was killed, whose time nobody knows.
    """
    kind, name = str(summary.get("device", "")), str(summary.get("device_name", ""))
    ranks = summary.get("world_size") or 1
    planned = _planned(spec, device := of_name(kind, name), ranks)
    if planned is None:
        return None
    row = planned["hardware"][0] if planned["hardware"] else {}
    hours = None if seconds is None else seconds / SECONDS_AN_HOUR
    count, price = row.get("devices", ranks), row.get("price")
    rate, peak = summary.get("tokens_per_second"), None if device is None else devices.DEVICES[device].peak_flops
    is_gpu = device is not None and devices.DEVICES[device].kind == "cuda"
    return {
        "device": device or name or kind or "unknown",
        "devices": count,
        "price": price,
        "assumptions": f"{planned['mfu']:.0%} of the peak of {device}, {price:.2f} US dollars a device and hour"
        if price is not None
        else "",
        "planned": {
            "tokens": planned["tokens"],
            "seconds": row["hours"] * SECONDS_AN_HOUR if row else None,
            "memory_bytes": row.get("memory_bytes", planned["memory_bytes"]),
            "money": row.get("money"),
            "tokens_per_second": row.get("tokens_per_second"),
            "mfu": planned["mfu"] if is_gpu else None,
        },
        "used": {
            "tokens": summary.get("tokens"),
            "seconds": seconds,
            "memory_bytes": summary.get("peak_memory_bytes"),
            "money": None if hours is None or price is None else hours * count * price,
            "tokens_per_second": rate,
            "mfu": rate * planned["flops_per_token"] / (peak * count) if is_gpu and rate and peak else None,
        },
        "missing": _missing(device, name or kind, summary, went_on),
    }


def _missing(device: str | None, name: str, summary: Mapping[str, Any], went_on: bool) -> list[str]:
    """Say what the receipt lacks, and why."""
    lines = []
    if device is None:
        lines.append(f"time and money: {name or 'the device'} is not in the planner's table")
    if went_on:
        lines.append("time and money before the training was interrupted: these are of its last part")
    known = {"tokens_per_second": "the speed", "peak_memory_bytes": "the memory", "tokens": "the tokens"}
    return lines + [f"{what}: the trainer did not say" for key, what in known.items() if summary.get(key) is None]


class Meter:
    """What a training has cost since this run began with it, beside the plan."""

    def __init__(self, spec: StageSpec) -> None:
        self._spec = spec
        self._rows: dict[tuple[str, int], dict[str, Any] | None] = {}

    def __call__(self, device: str, count: int, seconds: float) -> str:
        """Return the money so far of that planned, in US dollars; empty where no price is known or it is below a cent.

        Args:
            device: As the engine says it: ``cpu``, or the name of a GPU.
            count: How many of them.
            seconds: Since the work began.
        """
        if (device, count) not in self._rows:
            named = of_name("cpu" if device == "cpu" else "cuda", device)
            planned = _planned(self._spec, named, count) if named else None
            self._rows[device, count] = planned["hardware"][0] if planned else None
        row = self._rows[device, count]
        if row is None or row["money"] < 0.01:
            return ""
        return f"${seconds / SECONDS_AN_HOUR * row['devices'] * row['price']:,.2f} of ${row['money']:,.2f}"


def _planned(spec: StageSpec, device: str | None, ranks: int) -> dict[str, Any] | None:
    """Return the plan of a training on what trained it; None where none can be made."""
    if spec.architecture is None:
        return None
    names = () if device is None else (device,)
    count = 1 if device is not None and device.startswith("cpu") else ranks
    try:
        return model.describe(spec, model.Hardware(names=names, counts=(count,) if names else ()))
    except (UserError, ArithmeticError, LookupError, TypeError):  # a plugin that cannot plan is no reason for no report
        return None


def of_name(kind: str, name: str) -> str | None:
    """Return the planner's device that trained: by its name for a GPU, the CPU of the table for a CPU."""
    if kind == "cpu":
        return next((device.name for device in devices.DEVICES.values() if device.kind == "cpu"), None)
    words = name.lower().replace(" ", "").replace("-", "")
    found = (device for device in devices.DEVICES if device.partition("-")[0] in words)
    return next(found, None)
