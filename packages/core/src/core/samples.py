"""Single items of an evaluation: ``samples.parquet``, or the ``samples.jsonl`` that plugins may write instead.

Rows are the same from either file; a key is missing where nothing is known. ``task``, ``id`` (text), ``hash`` (of the
question), ``filter``, ``correct`` and ``metrics`` name an item and its scores. ``group`` and ``subject`` say where it
belongs. ``prompt`` is the end of what was sent; ``prompt_characters``, ``prompt_hash`` and ``prompt_tokens`` are of all
of it. ``cut`` and ``lost_fewshots`` say that the model could not read all. ``gold`` is the right answer. A choice has
its place in ``choices``, ``loglikelihoods`` (nats) and ``unconditional`` (nats without the prompt); ``label`` is the
place of the right one, ``chosen`` of the likeliest. A text that was generated stands in ``answers``, what was taken
from it in ``extracted``; ``answer_tokens`` counts choices or answers.
"""

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.errors import InputError, MissingPluginError

PARQUET, LINES = "samples.parquet", "samples.jsonl"
BATCH = 1000
"""Rows that are read at a time."""
SCORES = ("task", "group", "id", "hash", "filter", "metrics")
"""Columns that tell items and their scores."""


def file_of(artifact: Path) -> Path | None:
    """Return the file with the samples of an evaluation; None where it left none."""
    return next((artifact / name for name in (PARQUET, LINES) if (artifact / name).is_file()), None)


def read(file: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the samples of a file, in its order.

    Args:
        file: Of :func:`file_of`.
        columns: Which keys are wanted; None: all. Others may come too.

    Raises:
        MissingPluginError: pyarrow is not installed.
        OSError, ValueError, LookupError, TypeError: the file is damaged.
    """
    if file.name == LINES:
        with open(file, encoding="utf-8") as lines:
            yield from (_row(json.loads(line)) for line in lines)
        return
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingPluginError(f"{file}: reading it needs pip install 'smallwright-core[data]' ({error}).") from error
    with pq.ParquetFile(file) as opened:
        known = None if columns is None else [name for name in opened.schema_arrow.names if name in columns]
        for batch in opened.iter_batches(BATCH, columns=known):
            yield from map(_row, batch.to_pylist())


def _row(sample: dict[str, Any]) -> dict[str, Any]:
    row = {key: value for key, value in sample.items() if value is not None}
    return row | {"id": str(sample["id"]), "metrics": dict(sample.get("metrics") or {})}


def key(row: dict[str, Any]) -> tuple[str, str, str | None, str]:
    """Return what names an item in two evaluations: task, id, hash of the question, and filter."""
    return str(row["task"]), row["id"], row.get("hash"), str(row.get("filter") or "")


@functools.lru_cache(maxsize=4)
def verdicts(artifact: Path) -> dict[tuple[str, str, str | None, str], bool]:
    """Return of each item of an evaluation whether it was right; items that are neither are left out.

    Raises:
        InputError: the evaluation left no samples.
    """
    file = file_of(artifact)
    if file is None:
        raise InputError(f"{artifact}: has no {PARQUET}. Give the folder of an evaluation: store/eval/<name>.")
    return {key(row): row["correct"] for row in read(file, (*SCORES, "correct")) if row.get("correct") is not None}
