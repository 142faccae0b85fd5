"""Evaluation items in the language of the lessons, on combinations of numbers that no page uses.

``python -m smallwright_demo_crawl.items <folder>`` writes the files that smallwright-eval ships.
"""

import json
import random
import re
import sys
from pathlib import Path
from typing import Any

from smallwright_demo_crawl.lessons import statement
from smallwright_demo_crawl.topics import TOPICS

ITEMS_PER_TASK = 208
SHUFFLED_WORDS = 7


def lesson_completion() -> list[dict[str, Any]]:
    """A lesson's statement with its own ending and those of three other topics."""
    rng = random.Random("lesson completion")
    names, items, seen = sorted(TOPICS), list[dict[str, Any]](), set[str]()
    while len(items) < ITEMS_PER_TASK:
        name = names[len(items) % len(names)]
        context, right, _ = statement(TOPICS[name], rng, for_items=True)
        wrong = [
            statement(TOPICS[other], rng, for_items=True)[1] for other in rng.sample(sorted(set(names) - {name}), 3)
        ]
        if context not in seen:
            seen.add(context)
            items.append(_item(f"lesson-{len(items):03d}", context, right, wrong, rng))
    return items


def arithmetic_cloze() -> list[dict[str, Any]]:
    """A lesson's statement with its own ending, and the same ending with three other sets of numbers."""
    rng = random.Random("arithmetic cloze")
    names, items, seen = sorted(TOPICS), list[dict[str, Any]](), set[str]()
    while len(items) < ITEMS_PER_TASK:
        name = names[len(items) % len(names)]
        context, right, _ = statement(TOPICS[name], rng, for_items=True)
        wrong: list[str] = []
        while len(wrong) < 3:
            changed = re.sub(r"\d+", lambda match: _other_number(int(match.group()), rng), right)
            if changed not in (right, *wrong):
                wrong.append(changed)
        if context not in seen:
            seen.add(context)
            items.append(_item(f"arithmetic-{len(items):03d}", context, right, wrong, rng))
    return items


def word_order() -> list[dict[str, Any]]:
    """A lesson's statement, its last words in their own order and with two neighbours changed over, in three places."""
    rng = random.Random("word order")
    names, items, seen = sorted(TOPICS), list[dict[str, Any]](), set[str]()
    while len(items) < ITEMS_PER_TASK:
        words = " ".join(statement(TOPICS[names[len(items) % len(names)]], rng, for_items=True)[:2]).split()
        context, ending = words[:-SHUFFLED_WORDS], words[-SHUFFLED_WORDS:]
        orders = [ending]
        for i in rng.sample(range(len(ending) - 1), 3):
            orders.append([*ending[:i], ending[i + 1], ending[i], *ending[i + 2 :]])
        right, *wrong = (" ".join(order) for order in orders)
        if " ".join(words) not in seen:
            seen.add(" ".join(words))
            items.append(_item(f"order-{len(items):03d}", " ".join(context), right, wrong, rng))
    return items


def _other_number(number: int, rng: random.Random) -> str:
    changes = (number + 10, number + 1, number * 2, number * 10, number // 2, max(0, number - 10), number + 100)
    return str(rng.choice([change for change in changes if change != number]))


def _item(name: str, context: str, right: str, wrong: list[str], rng: random.Random) -> dict[str, Any]:
    label = rng.randrange(4)
    return {"id": name, "context": context, "choices": [*wrong[:label], right, *wrong[label:]], "label": label}


def write(folder: Path) -> None:
    """Write the file of each task."""
    tasks = {
        "smallwright_lesson_completion": lesson_completion(),
        "smallwright_word_order": word_order(),
        "smallwright_arithmetic_cloze": arithmetic_cloze(),
    }
    for task, items in tasks.items():
        lines = (json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        (folder / f"{task}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
