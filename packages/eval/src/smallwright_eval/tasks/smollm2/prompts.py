"""Questions and answers as SmolLM2's evaluation puts them (huggingface/smollm, text/evaluation/tasks.py; LightEval)."""

import re
import string
from collections.abc import Mapping
from typing import Any

Item = Mapping[str, Any]
LETTERS = string.ascii_uppercase


def hellaswag(item: Item) -> str:
    return _cleaned(f"{item['activity_label']}: {item['ctx_a']} {item['ctx_b'].capitalize()} ")


def hellaswag_choices(item: Item) -> list[str]:
    return [_cleaned(ending) for ending in item["endings"]]


def _cleaned(text: str) -> str:
    """Remove the marks that pages of WikiHow left in brackets."""
    return re.sub(r"\[.*?\]", "", text.replace(" [title]", ". ")).replace("  ", " ")


def winogrande(item: Item) -> str:
    return item["sentence"].split("_")[0]


def winogrande_choices(item: Item) -> list[str]:
    rest = item["sentence"].split("_")[1].strip()
    return [f"{item['option1']} {rest}", f"{item['option2']} {rest}"]


def mmlu_letters(item: Item) -> str:
    return _letters(item["subject"], item["question"], item["choices"])


def mmlu_pro(item: Item) -> str:
    return _letters(item["category"], item["question"], item["options"])


def mmlu_pro_choices(item: Item) -> list[str]:
    return list(LETTERS[: len(item["options"])])


def _letters(topic: str, question: str, options: list[str]) -> str:
    about = f"The following are multiple choice questions (with answers) about {topic.replace('_', ' ')}.\n\n"
    listed = "".join(f"{letter}. {option}\n" for letter, option in zip(LETTERS, options, strict=False))
    return f"{about}{question}\n{listed}Answer:"


def trivia_answers(item: Item) -> list[str]:
    """Return the aliases, but for those that begin with another one, in lower case and without punctuation."""
    kept: list[str] = []
    for alias in sorted(item["answer"]["aliases"]):
        if not kept or not alias.startswith(kept[-1]):
            kept.append(alias)
    return [_plain(alias) for alias in kept]


def trivia_score(item: Item, results: list[str]) -> dict[str, float]:
    return {"exact_match": float(_plain(results[0].strip()) in [answer.strip() for answer in trivia_answers(item)])}


def _plain(text: str) -> str:
    return text.lower().translate(str.maketrans("", "", string.punctuation))
