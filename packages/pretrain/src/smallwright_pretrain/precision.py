"""What ``pretrain.precision=auto`` means on this machine, from a table of what was measured. Light: no torch.

Planning resolves it, so that the identity of what is trained has the precision itself: two machines that choose
differently make two artifacts.
"""

import math
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Literal, NamedTuple

from core.defaults import Default

CPU_INFO = Path("/proc/cpuinfo")
WORTH = 1.1
"""From this speed of bfloat16 on, in float32's, it is chosen."""
BFLOAT16_GPU = 8.0
"""Least compute capability of a GPU that multiplies bfloat16 in its tensor cores (Ampere)."""


class Measured(NamedTuple):
    """Training steps of one model in both precisions, taking turns in one process."""

    parameters: int
    ratio: float
    """Tokens a second in bfloat16 by those in float32."""


CPUS: dict[str, tuple[Measured, ...]] = {
    # Intel with AMX, two cores, TorchTitan's trainer, eager.
    "amx_bf16": (Measured(1_200_000, 1.0), Measured(20_450_000, 2.1)),
    # AMD EPYC (Zen 4), one thread, eager: python benchmarks/precision.py
    "avx512_bf16": (
        Measured(1_541_760, 1.99),
        Measured(3_737_856, 2.37),
        Measured(8_933_440, 1.68),
        Measured(17_308_032, 2.01),
    ),
}
"""By the instructions that a CPU has, as Linux names them, the better ones first. Without any of them bfloat16 is
emulated, and slower."""


def choose(parameters: int, device: Literal["auto", "cpu", "cuda"]) -> Default:
    """Return ``bfloat16`` or ``float32``, and why.

    Args:
        parameters: Of the model, as stored.
        device: The setting ``pretrain.device``.
    """
    if device != "cpu" and (capability := gpu_capability()) is not None:
        if capability >= BFLOAT16_GPU:
            return Default("bfloat16", f"auto on a GPU of compute capability {capability:g}")
        return Default("float32", f"auto: bfloat16 is emulated on a GPU of compute capability {capability:g}")
    if device == "cuda":
        return Default("bfloat16", "auto on a GPU, which is not on this machine")
    return of_cpu(parameters, instructions())


def of_cpu(parameters: int, flags: frozenset[str]) -> Default:
    """Return the precision on a CPU with these instructions: that of the measured model nearest in size."""
    for name, rows in CPUS.items():
        if name in flags:
            near = min(rows, key=lambda row: abs(math.log(row.parameters / parameters)))
            said = f"auto: on CPUs with {name} bfloat16 was measured at {near.ratio:g} times float32's speed, with"
            said += f" {near.parameters / 1e6:.1f} M parameters"
            return Default("bfloat16" if near.ratio >= WORTH else "float32", said)
    return Default("float32", "auto: this CPU has no instructions for bfloat16")


def instructions() -> frozenset[str]:
    """Return the CPU's instructions as Linux names them; none where that is not known."""
    try:
        found = re.search(r"^flags\s*:(.*)$", CPU_INFO.read_text(encoding="utf-8"), flags=re.MULTILINE)
    except OSError:
        return frozenset()
    return frozenset(found[1].split()) if found else frozenset()


def gpu_capability() -> float | None:
    """Return the compute capability of the GPUs that a training here would see, the least; None: there are none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        return min((float(line) for line in said.split()), default=None)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
