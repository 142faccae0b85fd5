"""What an evaluation leaves for readers of a report: items that the model got right or wrong, and what it says."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

EACH = 5
"""Right and wrong items shown of each task."""


def of_stage(artifact: Path, items: Callable[[str], Path | None]) -> list[dict[str, Any]]:
    """Return ``task``, ``right`` and ``wrong`` of each task, from the ``samples.jsonl`` of an evaluation.

    The first items of each kind are taken, so that two reports can be laid beside each other. An item has ``id`` and,
    where they are known, ``question``, ``choices``, ``label`` (place of the right choice), ``chosen`` (place of the
    model's) and ``answers`` (what it wrote).

    Args:
        artifact: Folder of the evaluation.
        items: Returns the file of a task's items, JSON lines with ``id``, ``context``, ``choices`` and ``label``;
            None where only the task knows them.
    """
    tasks: dict[str, dict[str, Any]] = {}
    for sample in _lines(artifact / "samples.jsonl"):
        if sample.get("correct") is None:  # a document of held-out text, or an answer that is neither
            continue
        task = tasks.setdefault(str(sample.get("task")), {"right": [], "wrong": []})
        side = task["right" if sample.get("correct") else "wrong"]
        if len(side) < EACH:
            side.append(sample)
    return [{"task": name, **_with_texts(sides, items(name))} for name, sides in tasks.items()]


def said(artifact: Path) -> list[dict[str, Any]]:
    """Return what a model wrote to prompts, from the ``answers.jsonl`` of an evaluation; nothing where there is none.

    Each has ``prompt``, ``form`` (``chat`` where it was a user's turn, else ``text``), ``decoding`` (``greedy`` or
    ``sampled``), ``text`` as it is, and ``ended``, False where it was cut.
    """
    found = []
    for line in _lines(artifact / "answers.jsonl"):
        prompt, decoding, text = (line.get(key) for key in ("prompt", "decoding", "text"))
        if isinstance(prompt, str) and isinstance(decoding, str) and isinstance(text, str):
            form = "chat" if line.get("form") == "chat" else "text"
            answer = {"prompt": prompt, "form": form, "decoding": decoding, "text": text}
            found.append({**answer, "ended": line.get("ended") is not False})
    return found


def _with_texts(sides: Mapping[str, list[dict[str, Any]]], file: Path | None) -> dict[str, list[dict[str, Any]]]:
    wanted = {sample.get("id") for side in sides.values() for sample in side}
    texts = {} if file is None else {item["id"]: item for item in _lines(file) if item.get("id") in wanted}
    return {name: [_item(sample, texts.get(sample.get("id"), {})) for sample in side] for name, side in sides.items()}


def _item(sample: Mapping[str, Any], text: Mapping[str, Any]) -> dict[str, Any]:
    item = {"id": sample.get("id")}
    item |= {ours: text[theirs] for ours, theirs in _TEXTS.items() if theirs in text}
    chances = sample.get("loglikelihoods")
    if chances:
        item |= {"chosen": max(range(len(chances)), key=chances.__getitem__), "loglikelihoods": chances}
    if sample.get("answers"):
        item["answers"] = [str(answer)[:1000] for answer in sample["answers"][:2]]
    return item


_TEXTS = {"question": "context", "choices": "choices", "label": "label"}
"""Key of an item in the report to its key in a task's file."""


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    value = json.loads(line)
                except ValueError:  # a damaged line costs its item, not the report
                    continue
                if isinstance(value, dict):
                    yield value
    except OSError:
        return
