"""What a judge is asked."""

import functools
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

WITH_REFERENCE = ("math", "reasoning", "coding")
"""Categories of MT-Bench whose answers are compared with a reference."""


def mt_bench(
    category: str, questions: list[str], answers: list[str], references: list[str]
) -> list[list[dict[str, str]]]:
    """Return the conversation with the judge about each turn of an item of MT-Bench.

    Args:
        category: Of the item.
        questions: One a turn, two at most.
        answers: The model's, one a turn.
        references: Of those categories that have some; where they are missing, the answers are rated without.
    """
    compared = category in WITH_REFERENCE and len(references) >= len(questions)
    prompts = _read("mt_bench.yaml")["with_reference" if compared else "plain"]
    values: dict[str, str] = {}
    found = []
    for place, turn in enumerate(("first", "second")[: len(questions)], 1):
        values |= {f"question_{place}": questions[place - 1], f"answer_{place}": answers[place - 1]}
        # MT-Bench gives both references to the second turn alone.
        values |= {f"reference_{place}": references[place - 1]} if compared else {}
        found.append(_filled(prompts[turn], values))
    return found


def rewrite(instruction: str, source: str, answer: str) -> list[dict[str, str]]:
    """Return the conversation with the judge about a rewritten text."""
    return _filled(_read("rewrite.yaml"), {"instruction": instruction, "source": source, "answer": answer})


def _filled(prompt: Mapping[str, str], values: Mapping[str, str]) -> list[dict[str, str]]:
    """Fill the places of a prompt; braces in answers stay as they are."""
    pieces, rest = [], prompt["user"]
    while rest:
        places = {name: rest.find("{" + name + "}") for name in values}
        there = {name: place for name, place in places.items() if place >= 0}
        if not there:
            break
        name = min(there, key=lambda one: there[one])
        pieces += [rest[: there[name]], values[name]]
        rest = rest[there[name] + len(name) + 2 :]
    return [
        {"role": "system", "content": prompt["system"]},
        {"role": "user", "content": "".join([*pieces, rest])},
    ]


@functools.cache
def _read(name: str) -> Any:
    return yaml.safe_load((files("smallwright_eval") / "judge" / name).read_text(encoding="utf-8"))
