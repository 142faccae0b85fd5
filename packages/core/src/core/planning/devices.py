"""Named devices, and how fast, how long and for how much money a run trains on them.

Time rests on two assumptions that a user can replace: the share of the peak that training reaches (MFU), and a price.
"""

import dataclasses
from typing import Any, Literal

from core.errors import ConfigError, nearest

MFU = 0.4
"""Share of the peak (model FLOPs utilisation) that training is assumed to reach unless the user says another.

MobiLlama trained 14,500 tokens per second and GPU (arXiv 2402.16840), which is 0.38 of an A100's peak when executed
parameters are counted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """One kind of device."""

    name: str
    kind: Literal["cuda", "cpu"]
    peak_flops: float
    """FLOPs per second in dense matrix products: bfloat16 with float32 accumulation on a GPU, float32 on a CPU."""
    memory_bytes: int
    """The maker's number of GB, read as 10^9 bytes each: the lower of the two readings."""
    price: float
    """US dollars an hour: an assumption, about what clouds ask. ``--price`` replaces it."""


# The peaks of A100, H100, H200, B200 and L40S are those of torchtitan.tools.utils.get_peak_flops (0.3.0), which links
# NVIDIA's page of each. The A100 is sold with 40 GB and with 80 GB.
_TABLE = (
    Device(name="h100", kind="cuda", peak_flops=989e12, memory_bytes=80 * 10**9, price=3.00),
    Device(name="h200", kind="cuda", peak_flops=989e12, memory_bytes=141 * 10**9, price=3.80),
    Device(name="b200", kind="cuda", peak_flops=2.25e15, memory_bytes=180 * 10**9, price=5.50),
    Device(name="a100-80gb", kind="cuda", peak_flops=312e12, memory_bytes=80 * 10**9, price=1.80),
    Device(name="a100-40gb", kind="cuda", peak_flops=312e12, memory_bytes=40 * 10**9, price=1.30),
    # NVIDIA's datasheet of the L20: 119.5 TFLOPS in bfloat16 without sparsity.
    Device(name="l20", kind="cuda", peak_flops=119.5e12, memory_bytes=48 * 10**9, price=0.60),
    Device(name="l40s", kind="cuda", peak_flops=362e12, memory_bytes=48 * 10**9, price=1.00),
    # 512 tensor cores x 128 operations a cycle x 2.52 GHz; third parties' tables (waredb.com) agree.
    Device(name="rtx4090", kind="cuda", peak_flops=165.2e12, memory_bytes=24 * 10**9, price=0.40),
    # 2 cores x 2.5 GHz x 32 float32 operations a cycle (two 256-bit fused multiply-adds).
    Device(name="cpu-2core", kind="cpu", peak_flops=160e9, memory_bytes=8 * 10**9, price=0.08),
)
DEVICES = {device.name: device for device in _TABLE}


def device(name: str) -> Device:
    """Return a device by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in DEVICES:
        raise ConfigError(f"--device {name}: unknown.{nearest(name, DEVICES)} Devices: {', '.join(DEVICES)}, or all.")
    return DEVICES[name]


def cost(
    device: Device,
    *,
    devices: int,
    flops_per_token: float,
    tokens: int,
    mfu: float = MFU,
    price: float | None = None,
    flops_before: float = 0.0,
) -> dict[str, Any]:
    """Return ``tokens_per_second`` (of all devices), ``hours`` and ``money`` (US dollars) of a training run.

    N devices are taken to be N times as fast as one. A user who knows what communication costs lowers ``mfu``.

    Args:
        flops_per_token: Training FLOPs per token, forward and backward.
        price: US dollars that one device costs an hour; None: what the device's entry says.
        flops_before: Of work that comes before the training; a part of the hours and of the money.
    """
    reached = devices * device.peak_flops * mfu
    speed = reached / flops_per_token
    hours = (tokens / speed + flops_before / reached) / 3600
    return {
        "tokens_per_second": speed,
        "hours": hours,
        "money": hours * devices * (device.price if price is None else price),
    }
