"""Everything that TorchTitan 0.3 lacks to run on a CPU or with torch 2.13, in one place.

Each entry of ``SHIMS``, and each override in :func:`use_device`, has a test that fails once an upgrade makes it
unneeded. Call :func:`use_device` before any other TorchTitan module is imported: they copy the device at import.
"""

import functools
import inspect
import resource
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.distributed
from torch.distributed.pipelining.schedules import PipelineScheduleSingle


class Shim(NamedTuple):
    """A function that TorchTitan calls and torch does not have."""

    module: Any
    name: str
    replacement: Callable[..., Any]


class _CpuProperties:
    """Answer of ``get_device_properties``: TorchTitan reads ``total_memory`` (bytes)."""

    name = "cpu"

    def __init__(self) -> None:
        import os

        self.total_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _memory_stats(device: Any = None) -> dict[str, int]:
    peak = peak_memory_bytes()
    return {"active_bytes.all.peak": peak, "reserved_bytes.all.peak": peak, "num_alloc_retries": 0, "num_ooms": 0}


def _set_timeout(timeout: Any, group: Any = None) -> None:
    torch.distributed.distributed_c10d._set_pg_timeout(timeout, group)


SHIMS: tuple[Shim, ...] = (
    Shim(torch.cpu, "get_device_name", lambda device=None: "cpu"),
    Shim(torch.cpu, "get_device_properties", lambda device=None: _CpuProperties()),
    Shim(torch.cpu, "memory_stats", _memory_stats),
    Shim(torch.cpu, "reset_peak_memory_stats", lambda device=None: None),
    Shim(torch.cpu, "empty_cache", lambda: None),
    # Not a matter of the CPU: TorchTitan 0.3 calls it after the first step, and torch 2.13 has only the private name.
    Shim(torch.distributed, "set_timeout", _set_timeout),
)


def step_of_microbatches(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a pipeline schedule's ``step`` that also takes a batch cut into microbatches, as TorchTitan 0.3 calls it.

    torch 2.13 knows whole batches only, and cuts them itself.
    """

    @functools.wraps(step)
    def takes_both(
        schedule: Any,
        *args: Any,
        arg_mbs: list[Any] | None = None,
        kwarg_mbs: list[Any] | None = None,
        target_mbs: list[Any] | None = None,
        losses: list[Any] | None = None,
        return_outputs: bool = True,
        loss_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        if kwarg_mbs is None:
            more = {"losses": losses, "return_outputs": return_outputs, "loss_kwargs": loss_kwargs}
            return step(schedule, *args, **more, **kwargs)
        schedule._stage.has_backward = schedule._has_backward
        schedule._stage.clear_runtime_states()
        schedule._step_microbatches(arg_mbs, kwarg_mbs, target_mbs, losses, return_outputs, loss_kwargs=loss_kwargs)
        return None

    return takes_both


def choose_device(device: str) -> str:
    """Return ``cpu`` or ``cuda`` for a setting of ``auto``, ``cpu`` or ``cuda``."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def use_device(device: str) -> str:
    """Make TorchTitan run on ``device`` (``auto``, ``cpu`` or ``cuda``) and return the one chosen.

    Raises:
        core.errors.UserError: when CUDA is asked for and not there.
    """
    chosen = choose_device(device)
    if chosen == "cuda" and not torch.cuda.is_available():
        from core.errors import UserError

        raise UserError("pretrain.device=cuda: this machine has no usable GPU. Set pretrain.device=auto or cpu.")
    for shim in SHIMS:
        if not hasattr(shim.module, shim.name):
            setattr(shim.module, shim.name, shim.replacement)
    if "arg_mbs" not in inspect.signature(PipelineScheduleSingle.step, follow_wrapped=False).parameters:
        PipelineScheduleSingle.step = step_of_microbatches(PipelineScheduleSingle.step)  # type: ignore[method-assign]
    if chosen == "cpu":
        import torchtitan.tools.utils as titan_utils

        # TorchTitan takes "cuda" when it finds no accelerator, and the accelerator when there is one.
        titan_utils.device_type, titan_utils.device_module = "cpu", torch.cpu
        # torch.cpu answers the string "cpu" here, and a barrier takes integer device ids.
        torch.cpu.current_device = lambda: 0  # type: ignore[assignment, return-value]
    return chosen
