# PYTHON_ARGCOMPLETE_OK
"""Measure a model: tokens per second, time to the first token, memory, energy; by engine, numbers, batch and length.

    python -m core.bench runs/<run>
    python -m core.bench <hub id> engine=transformers,vllm dtype=float32,bfloat16 batch=1,8 --out bench

Each combination is measured in a process of its own, several times. --out gets bench.json, bench.parquet and, where a
plugin makes pages, bench.html.
"""

from collections.abc import Sequence

from core import model_cli

OPTIONS = {"out": "folder for the table as JSON and Parquet, and for its page"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return model_cli.main("bench", __doc__, arguments, OPTIONS)


if __name__ == "__main__":
    model_cli.leave(main())
