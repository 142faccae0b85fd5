"""A few documents of each fate for a report, found without reading the corpus."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

EACH = 3
"""Documents of each step and reason."""
CHARACTERS = 800
"""Length to which a text is cut."""
FILES = 8
"""Files looked into for each step, spread evenly over all."""
GROUPS = 3
"""Row groups looked into in each of them."""
BYTES = 32 * 2**20
"""Of text read for each step at most; the first group is read whatever its size."""
REASONS = 40
"""Step and reason pairs told of at most."""


def pick(artifact: Path) -> list[dict[str, Any]]:
    """Return groups of documents with the same fate: the kept ones first, then by step.

    Each group is ``step``, ``outcome``, ``reason`` and ``documents``: objects with ``id``, ``url``, ``score``, ``text``
    and ``characters``, the length before it was cut. Files that cannot be read are left out: a report tells the rest.

    Args:
        artifact: Folder of a data artifact, finished or not.
    """
    steps: dict[str, list[Path]] = {}
    for path in sorted((artifact / "rejected").glob("*.parquet")):
        steps.setdefault(path.stem.rpartition("-")[0], []).append(path)
    groups = _groups(sorted((artifact / "documents").glob("*.parquet")), fates=False)
    for files in steps.values():
        if len(groups) >= REASONS:
            break
        groups += _groups(files, fates=True)
    return groups[:REASONS]


def _groups(files: Sequence[Path], *, fates: bool) -> list[dict[str, Any]]:
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    spent = 0
    for path in _spread(files, FILES):
        try:
            with pq.ParquetFile(path) as file:
                for number in _spread(range(file.num_row_groups), GROUPS):
                    size = file.metadata.row_group(number).total_byte_size
                    if spent and spent + size > BYTES:
                        continue
                    if _take(file, number, found, fates):
                        spent += size
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError):
            continue
    return list(found.values())


def _take(file: pq.ParquetFile, number: int, found: dict[tuple[str, str, str], dict[str, Any]], fates: bool) -> bool:
    """Add documents of a row group to the groups that lack some; say whether its texts were read."""
    columns = ["step", "outcome", "reason"]
    if fates:
        table = file.read_row_group(number, columns=columns)
        keys = list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
    else:
        keys = [("", "kept", "")] * file.metadata.row_group(number).num_rows
    wanted: list[int] = []
    for i in _spread(range(len(keys)), len(keys)):
        group = found.setdefault(
            keys[i], {"step": keys[i][0], "outcome": keys[i][1], "reason": keys[i][2], "documents": []}
        )
        taken = len(group["documents"]) + sum(keys[j] == keys[i] for j in wanted)
        if taken < EACH:
            wanted.append(i)
        if len(wanted) >= EACH * REASONS or (not fates and taken + 1 >= EACH):
            break
    if wanted:
        texts = file.read_row_group(number, columns=["id", "url", "text", "score"]).take(pa.array(wanted))
        for i, row in zip(wanted, texts.to_pylist(), strict=True):
            text = row["text"] or ""
            found[keys[i]]["documents"].append(
                {
                    "id": row["id"],
                    "url": row["url"] or "",
                    "score": row["score"],
                    "text": text[:CHARACTERS],
                    "characters": len(text),
                }
            )
    return bool(wanted)


def _spread(items: Sequence[Any], most: int) -> Iterator[Any]:
    """Yield at most so many items, evenly spread."""
    number = min(most, len(items))
    for i in range(number):
        yield items[i * len(items) // number]
