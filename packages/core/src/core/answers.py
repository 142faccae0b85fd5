"""What an evaluation leaves for readers of a report: items that the model got right or wrong, and what it says."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from core import samples
from core.errors import MissingPluginError

EACH = 5
"""Right and wrong items shown of each task."""
LONGEST = 1000
"""Characters shown of a prompt, from its end, and of an answer, from its beginning."""


def of_stage(artifact: Path, items: Callable[[str], Path | None]) -> list[dict[str, Any]]:
    """Return ``task``, ``right`` and ``wrong`` of each task, from the samples of an evaluation.

    The first items of each kind are taken, so that two reports can be laid beside each other. An item has ``id`` and,
    where they are known, ``question`` (the prompt as it was sent, its end), ``choices``, ``label`` (place of the right
    choice), ``chosen`` (place of the model's), ``loglikelihoods``, ``answers`` (what it wrote), ``extracted`` (what was
    taken from it), ``gold`` and ``cut``.

    Args:
        artifact: Folder of the evaluation.
        items: Returns the file of a task's items, JSON lines with ``id``, ``context``, ``choices`` and ``label``;
            None where there is none. It is read where the samples have no prompts.
    """
    file = samples.file_of(artifact)
    tasks: dict[str, dict[str, Any]] = {}
    for sample in _samples(file) if file is not None else ():
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
    wanted = {sample.get("id") for side in sides.values() for sample in side if not sample.get("prompt")}
    lines = _lines(file) if file is not None and wanted else ()
    texts = {str(item["id"]): item for item in lines if str(item.get("id")) in wanted}
    return {
        name: [_item(sample, texts.get(str(sample.get("id")), {})) for sample in side] for name, side in sides.items()
    }


def _item(sample: Mapping[str, Any], text: Mapping[str, Any]) -> dict[str, Any]:
    item = {"id": sample.get("id")}
    item |= {ours: text[theirs] for ours, theirs in _TEXTS.items() if theirs in text}
    item |= {name: sample[name] for name in _KNOWN if sample.get(name) is not None}
    if sample.get("prompt"):
        item["question"] = sample["prompt"][-LONGEST:]
    chances = sample.get("loglikelihoods")
    if chances and "chosen" not in item:
        item["chosen"] = max(range(len(chances)), key=chances.__getitem__)
    for name in ("answers", "extracted"):
        if sample.get(name):
            item[name] = [str(answer)[:LONGEST] for answer in sample[name][:2]]
    return item


_KNOWN = ("choices", "label", "chosen", "loglikelihoods", "gold", "cut")
_TEXTS = {"question": "context", "choices": "choices", "label": "label"}
"""Key of an item in the report to its key in a task's file."""


def _samples(file: Path) -> Iterator[dict[str, Any]]:
    """Yield what can be read of the samples: a report says at least the rest."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError, MissingPluginError):
        yield from samples.read(file)


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
