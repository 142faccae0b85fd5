"""Questions and examples as OLMES puts them (arXiv:2406.08446; allenai/olmes), and its five examples of each task."""

import functools
import json
import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Item = Mapping[str, Any]


@functools.cache
def _shots() -> dict[str, list[dict[str, Any]]]:
    lines = (Path(__file__).parent / "shots.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[str, list[dict[str, Any]]] = {}
    for line in filter(None, lines):
        row = json.loads(line)
        found.setdefault(row.pop("task"), []).append(row)
    return found


def arc_easy_shots() -> list[dict[str, Any]]:
    return _shots()["arc_easy"]


def arc_challenge_shots() -> list[dict[str, Any]]:
    return _shots()["arc_challenge"]


def boolq_shots() -> list[dict[str, Any]]:
    return _shots()["boolq"]


def commonsense_qa_shots() -> list[dict[str, Any]]:
    return _shots()["commonsense_qa"]


def hellaswag_shots() -> list[dict[str, Any]]:
    return _shots()["hellaswag"]


def openbookqa_shots() -> list[dict[str, Any]]:
    return _shots()["openbookqa"]


def piqa_shots() -> list[dict[str, Any]]:
    return _shots()["piqa"]


def social_iqa_shots() -> list[dict[str, Any]]:
    return _shots()["social_iqa"]


def winogrande_shots() -> list[dict[str, Any]]:
    return _shots()["winogrande"]


def _letters(question: str, options: Sequence[str], before: str = "Question: ", choose: str = "") -> str:
    """Return a question with its options; the space before each letter makes it the token that answers begin with."""
    listed = "\n".join(f" {letter}. {option}" for letter, option in zip(string.ascii_uppercase, options, strict=False))
    return f"{before}{question}\n{choose}{listed}\nAnswer:"


def letters_of_choices(item: Item) -> list[str]:
    return list(string.ascii_uppercase[: len(item["choices"]["text"])])


def arc_letters(item: Item) -> str:
    return _letters(item["question"], item["choices"]["text"])


def openbookqa_letters(item: Item) -> str:
    return _letters(item["question_stem"], item["choices"]["text"])


def piqa_letters(item: Item) -> str:
    return _letters(item["goal"], [item["sol1"], item["sol2"]], before="Goal: ")


def boolq_letters(item: Item) -> str:
    return _letters(f"{item['question']}?", ["yes", "no"], before=f"{item['passage']}\nQuestion: ")


def social_iqa_letters(item: Item) -> str:
    options = [item["answerA"], item["answerB"], item["answerC"]]
    return _letters(f"{item['context']} {item['question']}", options)


def winogrande_letters(item: Item) -> str:
    blank = item["sentence"].replace("_", "___")
    return _letters(blank, [item["option1"], item["option2"]], before="Fill in the blank: ")


def winogrande_contexts(item: Item) -> list[str]:
    before = item["sentence"].split("_")[0]
    return [before + item["option1"], before + item["option2"]]


def winogrande_rest(item: Item) -> str:
    return item["sentence"].split("_")[1].strip()


def winogrande_gold(item: Item) -> int:
    return int(item["answer"]) - 1


def hellaswag(item: Item) -> str:
    return _cleaned(f"{item['activity_label']}: {item['ctx_a']} {item['ctx_b'].capitalize()}")


def hellaswag_choices(item: Item) -> list[str]:
    return [_cleaned(ending) for ending in item["endings"]]


def hellaswag_letters(item: Item) -> str:
    return _letters(hellaswag(item), hellaswag_choices(item), before="", choose="Choose the best continuation:\n")


def _cleaned(text: str) -> str:
    """Remove the marks that pages of WikiHow left in brackets."""
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def mmlu_letters(item: Item) -> str:
    return _letters(item["question"], item["choices"])
