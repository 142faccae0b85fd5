"""Single items, as :mod:`core.samples` describes them: made of what lm-eval logs, and written as Parquet.

pyarrow is imported inside functions: planning imports this module.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.samples import PARQUET
from core.writing import replacing

from smallwright_eval import cuts

HASH = 16
"""Hex digits that tell items apart."""
LONGEST_PROMPT = 4000
"""Characters that are kept of a prompt: its end, where the question is. The hash is of all of it."""
LONGEST_TEXT = 2000
"""Characters that are kept of each choice, answer and gold answer: its beginning."""
ROWS_OF_A_GROUP = 1000
SUBJECTS = ("subject", "category", "subset", "topic")
"""Fields of an item that say what it is about; the first that it has."""


def of_task(
    name: str, task: Any, logged: Sequence[Mapping[str, Any]], shots: int, seen: cuts.Seen, group: str | None = None
) -> Iterator[dict[str, Any]]:
    """Yield a row for each item and filter of a task, by their places in the task.

    Args:
        name: Of the task.
        task: lm-eval's.
        logged: What lm-eval logged of its items.
        shots: Examples in each prompt.
        seen: What the engine noted of what it was asked.
        group: Name by which a task of a group was asked.
    """
    for sample in sorted(logged, key=lambda sample: sample["doc_id"]):
        doc = sample["doc"] if isinstance(sample["doc"], Mapping) else {}
        arguments = [tuple(argument) for argument in sample["arguments"]]
        scores = {key: sample[key] for key in sample["metrics"] if isinstance(sample[key], (bool, int, float))}
        first = sample[sample["metrics"][0]] if sample["metrics"] else None
        lost = seen.lost_shots([one[0] for one in arguments], shots, task.config.fewshot_delimiter)
        prompt = str(arguments[0][0]) if len(arguments[0]) > 1 else ""  # of a rolling task the text is the answer
        yield {
            "task": name,
            "group": group if group != name else None,
            "subject": _subject(doc, name, group),
            "id": str(doc.get("id", sample["doc_id"])),
            "hash": sample["doc_hash"][:HASH],
            "filter": sample["filter"] if sample.get("filter") not in (None, "none") else None,
            "correct": bool(first) if isinstance(first, (bool, int, float)) else None,
            "metrics": {key: float(value) for key, value in scores.items()},
            "prompt": prompt[-LONGEST_PROMPT:],
            "prompt_characters": len(prompt),
            "prompt_hash": hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:HASH],
            "prompt_tokens": seen.tokens(arguments[0][0]) if prompt else 0,
            "cut": lost is not None,
            "lost_fewshots": lost or 0,
            **(_generated(sample, seen) if task.OUTPUT_TYPE == "generate_until" else _chosen(sample, task, seen)),
        }


def _chosen(sample: Mapping[str, Any], task: Any, seen: cuts.Seen) -> dict[str, Any]:
    """Return what is known of an item whose log-likelihoods were asked for."""
    arguments = [tuple(argument) for argument in sample["arguments"]]
    answers = [answer[0] for answer in sample["resps"]]
    chances = [float(value[0] if isinstance(value, (list, tuple)) else value) for value in answers]
    several = task.OUTPUT_TYPE == "multiple_choice"
    asked = len(task.doc_to_choice(sample["doc"])) if several else len(arguments)
    contexts = {one[0] for one in arguments[:asked]}
    texts = ["".join(one) if len(contexts) > 1 else one[-1] for one in arguments[:asked]]
    label = _label(sample, task) if several else None
    gold = texts[label] if label is not None and label < asked else _text_of(sample["target"])
    return {
        "gold": gold[:LONGEST_TEXT],
        "choices": [text[:LONGEST_TEXT] for text in texts],
        "label": label,
        "chosen": max(range(asked), key=chances.__getitem__) if several else None,
        "loglikelihoods": chances[:asked],
        "unconditional": chances[asked:] or None,
        "answer_tokens": [seen.tokens(one) for one in arguments[:asked]],
    }


def _label(sample: Mapping[str, Any], task: Any) -> int | None:
    """Return the place of the right choice; None where there are several, or none."""
    choices = task.doc_to_choice(sample["doc"])
    target = task.doc_to_text(sample["doc"]) if task.multiple_input else sample["target"]
    if isinstance(target, str) and target in choices:
        return int(choices.index(target))
    return target if isinstance(target, int) and 0 <= target < len(choices) else None


def _generated(sample: Mapping[str, Any], seen: cuts.Seen) -> dict[str, Any]:
    """Return what is known of an item that the model wrote an answer to."""
    answers = [str(text) for texts in sample["resps"] for text in texts]
    taken = [
        one for found in sample["filtered_resps"] for one in (found if isinstance(found, (list, tuple)) else [found])
    ]
    return {
        "gold": _text_of(sample["target"])[:LONGEST_TEXT],
        "answers": [text[:LONGEST_TEXT] for text in answers],
        "extracted": [str(one)[:LONGEST_TEXT] for one in taken],
        "answer_tokens": [seen.count(text) for text in answers],
    }


def _text_of(target: Any) -> str:
    return "; ".join(map(str, target)) if isinstance(target, (list, tuple)) else str(target)


def _subject(doc: Mapping[str, Any], name: str, group: str | None) -> str | None:
    known = next((str(doc[key]) for key in SUBJECTS if isinstance(doc.get(key), (str, int))), None)
    return known if known is not None or group in (None, name) else name.removeprefix(f"{group}_")


@functools.cache
def schema() -> Any:
    """Return the columns of the file."""
    import pyarrow as pa

    return pa.schema(
        [
            *((name, pa.string()) for name in ("task", "group", "subject", "id", "hash", "filter")),
            ("correct", pa.bool_()),
            ("metrics", pa.map_(pa.string(), pa.float64())),
            ("prompt", pa.string()),
            ("prompt_characters", pa.int64()),
            ("prompt_hash", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("gold", pa.string()),
            ("choices", pa.list_(pa.string())),
            ("label", pa.int64()),
            ("chosen", pa.int64()),
            ("loglikelihoods", pa.list_(pa.float64())),
            ("unconditional", pa.list_(pa.float64())),
            ("answers", pa.list_(pa.string())),
            ("extracted", pa.list_(pa.string())),
            ("answer_tokens", pa.list_(pa.int64())),
            ("cut", pa.bool_()),
            ("lost_fewshots", pa.int64()),
        ]
    )


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as Parquet, whole or not at all, some at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(path) as partial, pq.ParquetWriter(partial, schema(), compression="zstd") as writer:
        waiting: list[dict[str, Any]] = []
        for row in rows:
            waiting.append({key: _storable(row.get(key)) for key in schema().names})
            if len(waiting) == ROWS_OF_A_GROUP:
                writer.write_table(pa.Table.from_pylist(waiting, schema=schema()))
                waiting = []
        writer.write_table(pa.Table.from_pylist(waiting, schema=schema()))


def join(target: Path, parts: Iterable[Path]) -> None:
    """Write the samples of all parts of an evaluation, in their order, as one file in a folder."""
    import pyarrow.parquet as pq

    with replacing(target / PARQUET) as partial, pq.ParquetWriter(partial, schema(), compression="zstd") as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(ROWS_OF_A_GROUP):
                    writer.write_batch(batch)


def _storable(value: Any) -> Any:
    """Return a value as Parquet takes it: texts of models can hold halves of characters, which UTF-8 cannot."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_storable(one) for one in value]
    return list(value.items()) if isinstance(value, Mapping) else value
