"""What a recipe did against the truth about a planted crawl.

A source that knows what its records are leaves ``truth.jsonl``, one object a record: ``record_id`` (the document's id)
and ``removed_by`` (names of registered steps, any of which should remove it; ``<recipe>:<step>`` for a step of that
recipe alone). A recipe is right to keep a record when it has none of these steps: news are to be kept by a recipe
without a classifier for lessons.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

IN_THE_END = "kept in the end"


def against_truth(
    truth: Path, recipe: str, steps: Mapping[str, str], rejected: Path, documents: Path
) -> list[dict[str, float | int | str | None]]:
    """Return a row for each step that removed, or should have removed, a record, and one for the corpus.

    Args:
        truth: The ``truth.jsonl`` of the source.
        recipe: Name of the recipe.
        steps: Label to registered name of each step, in order.
        rejected: Folder of documents set aside.
        documents: Folder of documents kept.

    Returns:
        Rows with ``step``, ``removed``, ``rightly`` (of them, those that should not be kept), ``precision``, ``wanted``
        (records that met the step and that it may remove), ``recall`` (the share of them that it removed). The last
        row is the corpus's: ``removed`` counts the kept documents, ``rightly`` those that should be kept.
    """
    with open(truth, encoding="utf-8") as file:
        records = {record["record_id"]: _steps(record["removed_by"], recipe) for record in map(json.loads, file)}
    removed_at = {name: step for name, step in _ids(sorted(rejected.glob("*.parquet")), ("id", "step"))}  # noqa: C416
    bad = {name for name, wanted_by in records.items() if wanted_by & set(steps.values())}
    alive = set(records)
    rows = []
    for label, use in steps.items():
        removed = {name for name in alive if removed_at.get(name) == label}
        wanted = {name for name in alive if use in records[name]}
        if removed or wanted:
            rows.append(_row(label, len(removed), len(removed & bad), len(wanted), len(removed & wanted)))
        alive -= removed
    kept = {name for name, in _ids(sorted(documents.glob("*.parquet")), ("id",))} & set(records)  # fmt: skip
    good = set(records) - bad
    return [*rows, _row(IN_THE_END, len(kept), len(kept & good), len(good), len(kept & good))]


def _steps(removed_by: Sequence[str], recipe: str) -> set[str]:
    return {step for owner, _, step in (name.rpartition(":") for name in removed_by) if owner in ("", recipe)}


def _ids(files: Sequence[Path], columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    rows = []
    for path in files:
        table = pq.read_table(path, columns=list(columns))
        rows += list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
    return rows


def _row(step: str, removed: int, rightly: int, wanted: int, found: int) -> dict[str, Any]:
    return {
        "step": step,
        "removed": removed,
        "rightly": rightly,
        "precision": round(rightly / removed, 4) if removed else None,
        "wanted": wanted,
        "recall": round(found / wanted, 4) if wanted else None,
    }
