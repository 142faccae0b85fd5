"""The labelled documents of a corpus: found shard by shard, split by the hashes of their ids, read from disk."""

import dataclasses
import hashlib
import json
import mmap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from core.data.by_hash import id_hash
from core.data.labels import scale_key, scorer_key
from core.data.steps import CorpusPass
from core.errors import UserError
from core.writing import replacing

from smallwright_classifiers.config import CommonConfig

LABELLED_FOLDER = "labelled"
DEFAULT_SCALE = 5
AT_ONCE = 1000
SCHEMA = pa.schema(
    [
        ("order", pa.string()),
        ("label", pa.int32()),
        ("scale", pa.string()),
        ("scorer", pa.string()),
        ("group", pa.string()),
        ("text", pa.string()),
    ]
)


class CollectLabelled(CorpusPass):
    """Write the labelled documents of each shard, cut to what a classifier reads, to ``<work>/labelled``.

    Most documents of a large corpus have no label; only their metadata is read.
    """

    type = "classifier"

    def __init__(self, config: CommonConfig, corpus: Path, work: Path) -> None:
        super().__init__()
        self.config, self.corpus, self.work = config, corpus, work

    def run_rank(self, rank: int, world_size: int) -> None:
        for path in sorted(self.corpus.glob("*.parquet"))[rank::world_size]:
            with (
                replacing(self.work / LABELLED_FOLDER / path.name) as partial,
                pq.ParquetFile(path) as file,
                pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer,
            ):
                for group in range(file.num_row_groups):
                    rows = self._rows(file, group)
                    writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                    self.stat_update("labels", value=len(rows))

    def _rows(self, file: pq.ParquetFile, group: int) -> list[dict[str, Any]]:
        config = self.config
        metadata = file.read_row_group(group, columns=["metadata"]).column("metadata")
        candidates = pc.indices_nonzero(pc.match_substring(metadata, f"{json.dumps(config.labels)}:"))
        if not len(candidates):
            return []
        rows = []
        table = file.read_row_group(group, columns=["id", "text", "metadata"]).take(candidates)
        for row in table.to_pylist():
            known = json.loads(row["metadata"])
            label = known.get(config.labels)
            if label is None:
                continue
            text = row["text"][: config.max_chars]
            rows.append(
                {
                    "order": place_in_order(row["id"], text),
                    "label": _whole(label),
                    "scale": _text(known.get(scale_key(config.labels))),
                    "scorer": _text(known.get(scorer_key(config.labels))) or "unknown",
                    "group": _text(known.get(config.by)) if config.by else None,
                    "text": text,
                }
            )
        return rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """Labelled documents in the order of their hashes, whatever the shards they came from."""

    labels: np.ndarray
    """Shape (examples,), int64."""
    groups: list[str | None]
    held_out: np.ndarray
    """Shape (examples,), bool: those that measure the classifier."""
    texts: "Texts"
    places: np.ndarray
    """Shape (examples, 2), int64: number of the shard among ``labelled/*.parquet``, and row in it."""
    scale: int
    """Highest label."""
    scorers: dict[str, int]
    """Number of examples by who labelled them."""
    unusable: int
    """Labels that are no whole number, and records of files without a text; left out."""

    def __len__(self) -> int:
        return len(self.labels)


def read_examples(config: CommonConfig, work: Path, label: str) -> Examples:
    """Read what was collected in ``<work>/labelled``, and split it.

    Args:
        label: Name of the step, for messages.

    Raises:
        UserError: labels beyond the scale, or of two scales.
    """
    paths = sorted((work / LABELLED_FOLDER).glob("*.parquet"))
    columns: dict[str, list[Any]] = {"order": [], "label": [], "scale": [], "scorer": [], "group": [], "place": []}
    for shard, path in enumerate(paths):
        table = pq.read_table(path, columns=list(columns)[:-1])
        for name in table.column_names:
            columns[name] += table.column(name).to_pylist()
        columns["place"] += [(shard, row) for row in range(table.num_rows)]
    usable = [i for i, value in enumerate(columns["label"]) if value is not None]
    unusable = len(columns["label"]) - len(usable)
    # the label decides between copies of a document with different labels
    usable.sort(key=lambda i: (columns["order"][i], columns["label"][i], columns["group"][i] or ""))
    labels = np.array([columns["label"][i] for i in usable], dtype=np.int64)
    scale = 1
    if config.good_files is None:
        scale = _scale(config, {columns["scale"][i] for i in usable}, labels, label)
        if config.target == "good":
            labels, scale = (labels >= config.binary_threshold).astype(np.int64), 1
    groups = [columns["group"][i] for i in usable]
    places = np.array([columns["place"][i] for i in usable], dtype=np.int64).reshape(-1, 2)
    return Examples(
        labels=labels,
        groups=groups,
        held_out=_hold_out(labels, groups, config.validation_fraction),
        texts=Texts(paths, places, work / "texts.bin"),
        places=places,
        scale=scale,
        scorers=dict(sorted(Counter(columns["scorer"][i] for i in usable).items())),
        unusable=unusable,
    )


class Texts(Sequence[str]):
    """The texts of examples, read from one file when asked for, so that a million of them need no memory."""

    def __init__(self, paths: Sequence[Path], places: np.ndarray, store: Path) -> None:
        starts: list[np.ndarray] = []
        with open(store, "wb") as file:
            file.write(b"\0")  # an empty file cannot be mapped
            for path in paths:
                ends = [file.tell()]
                with pq.ParquetFile(path) as shard:
                    for batch in shard.iter_batches(batch_size=1000, columns=["text"]):
                        for text in batch.column("text").to_pylist():
                            file.write(text.encode("utf-8"))
                            ends.append(file.tell())
                starts.append(np.array(ends, dtype=np.int64))
        self._spans = np.array(
            [(starts[shard][row], starts[shard][row + 1]) for shard, row in places], dtype=np.int64
        ).reshape(-1, 2)
        with open(store, "rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        start, end = self._spans[index]
        return self._bytes[start:end].decode("utf-8")

    def select(self, rows: np.ndarray) -> Iterator[str]:
        """Yield the texts of some rows."""
        return (self[int(row)] for row in rows)

    def score(self, rows: np.ndarray, score: Callable[[list[str]], np.ndarray]) -> np.ndarray:
        """Score the texts of some rows, a thousand in memory at once. Returns shape (rows,), float64."""
        parts = [score(list(self.select(rows[i : i + AT_ONCE]))) for i in range(0, len(rows), AT_ONCE)]
        return np.concatenate([np.empty(0), *parts])


def _hold_out(labels: np.ndarray, groups: list[str | None], fraction: float) -> np.ndarray:
    """Choose the first share of each label value of each group; a value with one or two labels is all for training."""
    held_out = np.zeros(len(labels), dtype=bool)
    members: dict[tuple[str, int], list[int]] = {}
    for row, (label, group) in enumerate(zip(labels.tolist(), groups, strict=True)):
        members.setdefault((group or "", label), []).append(row)
    for rows in members.values():
        # so few labels are worth more in training than in the report
        wanted = max(1, round(len(rows) * fraction)) if len(rows) > 2 else 0
        held_out[rows[:wanted]] = True
    return held_out


def _scale(config: CommonConfig, said: set[str | None], labels: np.ndarray, step: str) -> int:
    scales = {value for value in said if value is not None}
    if config.scale is not None:
        scale = config.scale
    elif len(scales) > 1:
        raise UserError(
            f"{step}: labels of different scales ({', '.join(sorted(scales))}) under one key, {config.labels!r}. Let "
            f"each labelling step write its own key, or set data.steps.{step}.scale."
        )
    else:
        value = next(iter(scales), str(DEFAULT_SCALE))
        scale = int(value) if value.isdecimal() and 1 <= int(value[:4]) <= 100 else DEFAULT_SCALE
    if len(labels) and (labels.max() > scale or labels.min() < 0):
        wrong = labels.max() if labels.max() > scale else labels.min()
        raise UserError(
            f"{step}: a label {config.labels}={wrong} lies outside 0 to {scale}; set data.steps.{step}.scale."
        )
    if config.binary_threshold > scale:
        raise UserError(
            f"data.steps.{step}.binary_threshold={config.binary_threshold}: the labels go to {scale} only; lower it."
        )
    return scale


def _whole(label: Any) -> int | None:
    """The label as a whole number of at most four digits, or None."""
    try:
        value = float(label)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(value) if value.is_integer() and abs(value) < 10_000 else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:200]


def place_in_order(name: str, text: str) -> str:
    """Return what examples are sorted by: a hash of the id, then of the text, for ids that occur more than once."""
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{id_hash(name, 'split'):016x}{digest}"
