"""What the model says: prompts and its answers, before and after post-training beside each other."""

from collections.abc import Mapping, Sequence
from typing import Any

WAYS = {"greedy": "its likeliest answer", "sampled": "a sampled answer"}


def blocks(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the answers that the report has, by prompt and decoding; nothing where there are none."""
    answers = report["samples"]["answers"]
    if not answers:
        return []
    models = list(dict.fromkeys(answer["model"] for answer in answers))
    shown = []
    for prompt in dict.fromkeys(answer["prompt"] for answer in answers):
        rows: dict[str, list[dict[str, Any]]] = {}
        for answer in (one for one in answers if one["prompt"] == prompt):
            rows.setdefault(answer["decoding"], []).append(_answer(answer))
        for row in rows.values():
            row.sort(key=lambda answer: models.index(answer["model"]))
        ways = [{"name": WAYS.get(decoding, decoding), "answers": row} for decoding, row in rows.items()]
        shown.append({"prompt": prompt, "ways": ways})
    return [{"kind": "text", "text": _about(answers, models), "mood": "muted"}, {"kind": "answers", "prompts": shown}]


def _answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": answer["model"], "text": answer["text"], "ended": answer.get("ended", True)}


def _about(answers: Sequence[Mapping[str, Any]], models: Sequence[str]) -> str:
    """Return how the models got the prompts; the one before post-training may complete what the other answers."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for model in models:
        forms = sorted({answer.get("form", "text") for answer in answers if answer["model"] == model})
        alike.setdefault(tuple(forms), []).append(model)
    words = {"chat": "a prompt as a user's turn", "text": "a prompt to complete"}
    return " ".join(
        f"{' and '.join(named)} {'get' if len(named) > 1 else 'gets'} {' or '.join(words[form] for form in forms)}."
        for forms, named in alike.items()
    )
