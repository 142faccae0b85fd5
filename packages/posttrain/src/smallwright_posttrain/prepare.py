"""Read a chat or preference set, set bad rows aside, hold a part out, and hand the rest to TRL as Arrow data."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.interfaces import Job

from smallwright_posttrain.config import TrainConfig
from smallwright_posttrain.rows import BadRow, Row, read_jsonl, refuse_special_tokens

if TYPE_CHECKING:
    from datasets import Dataset

SHOWN_CHARACTERS = 300
ROWS_PER_BATCH = 1000

Measure = Callable[[Row], tuple[int, int]]
"""Returns tokens before the first one learned from, and tokens in all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """A set that is ready to train on."""

    train: "Dataset"
    heldout: "Dataset | None"
    source: str
    read: int
    rejected: dict[str, int]
    """Rows set aside, by reason."""
    truncated: int
    """Rows longer than ``max_length``."""

    def summary(self) -> dict[str, Any]:
        return {
            "dataset": self.source,
            "examples": len(self.train),
            "heldout_examples": 0 if self.heldout is None else len(self.heldout),
            "read_examples": self.read,
            "rejected_examples": sum(self.rejected.values()),
            "rejected_reasons": self.rejected,
            "truncated_examples": self.truncated,
        }


def prepare(
    config: TrainConfig, job: Job, *, shipped: str, normalise: Callable[[dict[str, Any]], Row],
    columns: tuple[str, ...], special_tokens: list[str], measure: Measure,
) -> Prepared:  # fmt: skip
    """Return the checked set of ``config.dataset``, split by prompt.

    Rows that cannot be used are written to ``rejected.jsonl`` in the artifact. The same prompt is never both trained
    on and held out. Which prompts are held out depends on their text and the seed, not on the order of the rows.

    Raises:
        InputError: nothing can be read, or nothing is left to train on.
    """
    import pyarrow as pa
    from datasets import Dataset

    check = refuse_special_tokens(special_tokens)
    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    schema = pa.schema([(column, messages) for column in columns])
    path = job.scratch("data") / "rows.arrow"
    rejected: Counter[str] = Counter()
    read = truncated = 0
    places: list[float] = []
    batch: list[Row] = []
    source, rows = _open(config, job, shipped)
    with (
        (job.output / "rejected.jsonl").open("w", encoding="utf-8") as aside,
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as writer,
    ):
        for number, raw in rows:
            if config.max_examples is not None and len(places) >= config.max_examples:
                break
            read += 1
            try:
                if isinstance(raw, BadRow):
                    raise raw
                row = check(normalise(raw))
                before, tokens = measure(row)
                if config.max_length is not None and before >= config.max_length:
                    raise BadRow(f"nothing to learn from within max_length={config.max_length} tokens")
            except BadRow as error:
                rejected[str(error)] += 1
                shown = "" if isinstance(raw, BadRow) else repr(raw)[:SHOWN_CHARACTERS]
                aside.write(json.dumps({"row": number, "reason": str(error), "start": shown}) + "\n")
                continue
            truncated += config.max_length is not None and tokens > config.max_length
            places.append(_place(row, columns[0], job.seed))
            batch.append(row)
            if len(batch) == ROWS_PER_BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    if not places:
        raise InputError(_nothing_left(source, read, rejected))
    train, heldout = _split(places, config.eval_fraction, source)
    every = Dataset.from_file(str(path))
    return Prepared(
        train=every.select(train),
        heldout=every.select(heldout) if heldout else None,
        source=source,
        read=read,
        rejected=dict(sorted(rejected.items())),
        truncated=truncated,
    )


def _open(config: TrainConfig, job: Job, shipped: str) -> tuple[str, Iterator[tuple[int, Any]]]:
    if config.dataset is None:
        with resources.as_file(resources.files("smallwright_posttrain.datasets") / shipped) as path:
            return f"smallwright_posttrain/{shipped}", iter(list(read_jsonl(path)))
    if not config.on_hub():
        path = Path(config.dataset).expanduser()
        if not path.is_file():
            raise InputError(f"posttrain.{job.name}.dataset={config.dataset}: there is no such file.")
        return config.dataset, read_jsonl(path)
    from datasets import load_dataset

    # The hub fails in many ways (network, name, access, configuration), and its message says which it was.
    try:
        found = load_dataset(
            config.dataset, config.dataset_config, split=config.dataset_split, revision=config.dataset_revision
        )
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"posttrain.{job.name}.dataset={config.dataset}: not loaded from the hub: {first}") from error
    return config.dataset, ((number, row) for number, row in enumerate(found, start=1))


def _place(row: Row, column: str, seed: int) -> float:
    """Return where in [0, 1) the prompt of ``row`` falls, by its text up to the first user message."""
    prompt: list[str] = []
    for message in row[column]:
        prompt.append(message["role"] + "\0" + message["content"])
        if message["role"] == "user":
            break
    digest = hashlib.blake2b("\0".join([str(seed), *prompt]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _split(places: list[float], fraction: float, source: str) -> tuple[list[int], list[int]]:
    """Return the rows to train on and the rows to hold out: at least one prompt each, where ``fraction`` is not 0."""
    if fraction == 0:
        return list(range(len(places))), []
    distinct = sorted(set(places))
    if len(distinct) < 2:
        raise InputError(f"{source}: one prompt only, none to hold out; add examples or set eval_fraction=0.")
    limit = min(max(fraction, distinct[1]), distinct[-1])
    train = [index for index, place in enumerate(places) if place >= limit]
    return train, [index for index, place in enumerate(places) if place < limit]


def _nothing_left(source: str, read: int, rejected: Counter[str]) -> str:
    if not read:
        return f"{source}: the set is empty."
    reason, count = rejected.most_common(1)[0]
    return f"{source}: none of {read} rows can be used; {count} of them: {reason}. See rejected.jsonl."
