"""Read a chat or preference set, set bad rows aside, hold a part out, and hand the rest to TRL as token ids."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.interfaces import Job

from smallwright_posttrain import dataset, forms
from smallwright_posttrain.config import TrainConfig
from smallwright_posttrain.encode import Encoded
from smallwright_posttrain.rows import BadRow, Row, refuse_special_tokens

if TYPE_CHECKING:
    from datasets import Dataset

SHOWN_CHARACTERS = 300
ROWS_PER_BATCH = 1000
MOST_REASONS = 200
OTHER_REASONS = "other reasons"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """A set that is ready to train on."""

    train: "Dataset"
    heldout: "Dataset | None"
    source: str
    read: int
    forms: dict[str, int]
    """Rows that are used, by the form that they were recognised as."""
    rejected: dict[str, int]
    """Rows set aside, by reason."""
    not_used: dict[str, int]
    """Rows that are used without one of their columns or keys, by its name; and what was written otherwise."""
    truncated: int
    """Rows longer than the limit."""
    learned: int
    """Tokens to learn from in ``train``."""

    def summary(self) -> dict[str, Any]:
        return {
            "dataset": self.source,
            "dataset_forms": self.forms,
            "examples": len(self.train),
            "heldout_examples": 0 if self.heldout is None else len(self.heldout),
            "read_examples": self.read,
            "rejected_examples": sum(self.rejected.values()),
            "rejected_reasons": self.rejected,
            "not_used": self.not_used,
            "truncated_examples": self.truncated,
        }


def prepare(
    config: TrainConfig, job: Job, *, shipped: str, reader: forms.Reader, columns: tuple[str, ...],
    special_tokens: list[str], encode: Callable[[Row], Encoded],
) -> Prepared:  # fmt: skip
    """Return the checked set of ``config.dataset``, split by prompt.

    Rows that cannot be used are written to ``rejected.jsonl`` in the artifact. The same prompt is never both trained
    on and held out. Which prompts are held out depends on their text and the seed, not on the order of the rows.

    Args:
        columns: Of token ids that ``encode`` returns.

    Raises:
        InputError: nothing can be read, or nothing is left to train on.
    """
    import pyarrow as pa
    from datasets import Dataset

    check = refuse_special_tokens(special_tokens)
    schema = pa.schema([(column, pa.list_(pa.int32())) for column in columns])
    path = job.scratch("data") / "rows.arrow"
    rejected, recognised, not_used = Counter[str](), Counter[str](), Counter[str]()
    found: list[str] = []
    read = truncated = 0
    places: list[float] = []
    learned: list[int] = []
    batch: list[dict[str, list[int]]] = []
    source, rows = dataset.open_rows(config, f"posttrain.{job.name}", shipped)
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
                found = found or list(map(str, raw))
                known = reader(raw, config.columns or {})
                encoded = encode(check(known.row))
            except BadRow as error:
                reason = str(error) if str(error) in rejected or len(rejected) < MOST_REASONS else OTHER_REASONS
                rejected[reason] += 1
                shown = "" if isinstance(raw, BadRow) else repr(raw)[:SHOWN_CHARACTERS]
                aside.write(json.dumps({"row": number, "reason": str(error), "start": shown}) + "\n")
                continue
            recognised[known.form] += 1
            not_used.update(key for key in known.ignored | encoded.noted if len(not_used) < MOST_REASONS)
            truncated += encoded.truncated
            places.append(_place(known.row, job.seed))
            learned.append(encoded.learned)
            batch.append(encoded.ids)
            if len(batch) == ROWS_PER_BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    if not places:
        line = dataset.nothing_usable(f"posttrain.{job.name}: {source}", read, rejected, found, reader)
        raise InputError(f"{line} See rejected.jsonl." if read else line)
    train, heldout = _split(places, config.eval_fraction, source)
    every = Dataset.from_file(str(path))
    return Prepared(
        train=every.select(train),
        heldout=every.select(heldout) if heldout else None,
        source=source,
        read=read,
        forms=dict(sorted(recognised.items())),
        rejected=dict(sorted(rejected.items())),
        not_used=dict(sorted(not_used.items())),
        truncated=truncated,
        learned=sum(learned[index] for index in train),
    )


def _place(row: Row, seed: int) -> float:
    """Return where in [0, 1) the prompt of ``row`` falls, by its text up to the first user message."""
    prompt: list[str] = []
    for message in row["prompt"] if "prompt" in row else row["messages"]:
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
