"""Texts of benchmark items."""

import dataclasses
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from core.errors import InputError

QUESTION_FIELDS = ("context", "question", "problem", "prompt", "instruction", "query", "text")
"""Where an item's question is looked for, in this order."""
ANSWER_FIELDS = ("label", "answer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """One benchmark item: ``texts`` are the question alone, and with its answer where there is one."""

    benchmark: str
    id: str
    texts: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.benchmark}:{self.id}"


def read_items(path: Path, benchmark: str, fields: tuple[str, ...] | None = None) -> Iterator[Item]:
    """Yield the items of a file: JSONL (also gzipped), Parquet, or plain text with an item a line.

    Args:
        fields: Fields whose texts are an item's, ``a.b`` for one inside another. None: the question (the first of
            :data:`QUESTION_FIELDS`), and question and answer; with ``choices``, ``label`` or ``answer`` is the place
            of the right one. The id is the record's ``id``, else its number from 0.

    Raises:
        InputError: a record is no object, or has none of the fields.
    """
    for number, record in _records(path):
        try:
            texts = _texts(record) if fields is None else _field_texts(record, fields)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise InputError(f"{path}, line {number + 1}: not a benchmark item ({error}).") from None
        yield Item(benchmark=benchmark, id=str(record.get("id", number)), texts=texts)


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    if path.suffix == ".parquet":
        try:
            with pq.ParquetFile(path) as file:
                yield from enumerate(row for batch in file.iter_batches(1000) for row in batch.to_pylist())
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: no Parquet file ({error}).") from None
        return
    number = -1
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines):
                if line.strip():
                    yield number, {"text": line.strip()} if path.suffix == ".txt" else json.loads(line)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"{path}, after line {number + 1}: cannot be read ({error}).") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, line {number + 1}: not a benchmark item ({error}).") from None


def _texts(record: dict[str, Any]) -> tuple[str, ...]:
    question = next((record[key] for key in QUESTION_FIELDS if record.get(key)), None)
    if not isinstance(question, str):
        raise KeyError(f"needs one of {', '.join(QUESTION_FIELDS)}, or the setting fields; has {', '.join(record)}")
    answer = next((record[key] for key in ANSWER_FIELDS if key in record), None)
    choices = record.get("choices")
    if choices is not None and isinstance(answer, int):
        answer = choices[answer]
    return (question, f"{question} {answer}") if answer not in (None, "") else (question,)


def _field_texts(record: dict[str, Any], fields: tuple[str, ...]) -> tuple[str, ...]:
    texts: list[str] = []
    for field in fields:
        value: Any = record
        for key in field.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        texts += [str(part) for part in (value if isinstance(value, list) else [value]) if part not in (None, "")]
    if not texts:
        raise KeyError(f"has none of the fields {', '.join(fields)}, but {', '.join(record)}")
    return tuple(texts)
