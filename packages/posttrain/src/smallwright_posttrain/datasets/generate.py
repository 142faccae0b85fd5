"""Write the two small sets of this package: ``python -m smallwright_posttrain.datasets.generate``.

Every sentence is a template of our own and every answer is computed, so the sets are right by construction and may
be used freely. The same seed writes the same bytes.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

SEED = 20240
CONVERSATIONS = 360
PAIRS = 220

SYSTEM = "You are a patient maths tutor. Show the steps and name the answer."
NAMES = ("Ana", "Ben", "Chen", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Juna")
THINGS = ("apples", "pens", "stamps", "marbles", "books", "coins", "shells", "cards")
DEFINITIONS = (
    ("a prime number", "a whole number above 1 that only 1 and itself divide", "7, because only 1 and 7 divide it"),
    ("an even number", "a whole number that 2 divides without a rest", "8, because 8 = 2 * 4"),
    ("an odd number", "a whole number that leaves the rest 1 when divided by 2", "9, because 9 = 2 * 4 + 1"),
    ("a fraction", "a number written as one whole number over another that is not 0", "3/4, three parts of four"),
    ("a square number", "the product of a whole number with itself", "25, because 25 = 5 * 5"),
    ("the perimeter", "the length of the way around a shape", "16 for a square with sides of 4"),
    ("the area of a rectangle", "its length times its width", "12 for the sides 3 and 4"),
    ("the mean", "the sum of numbers divided by how many they are", "4 for the numbers 2, 4 and 6"),
    ("the median", "the middle number once the numbers are in order", "5 for the numbers 1, 5 and 9"),
    ("a divisor", "a whole number that divides another without a rest", "3 for 12, because 12 = 3 * 4"),
    ("a multiple", "what a whole number times another gives", "15 for 5, because 15 = 5 * 3"),
    ("an equation", "a statement that two expressions are equal", "x + 2 = 5, which holds for x = 3"),
    ("a right angle", "an angle of 90 degrees", "the corner of a square"),
    ("a triangle", "a shape with three straight sides", "one with the sides 3, 4 and 5"),
    ("a percentage", "a part of one hundred", "25 percent, which is one quarter"),
    ("a remainder", "what is left when a division does not come out even", "1 for 7 divided by 3"),
)  # fmt: skip
DEFINITION_QUESTIONS = ("What is {}?", "Explain {} in one sentence.", "Can you tell me what {} is, with an example?")

Exercise = tuple[str, str, str]
"""Question, answer with its steps, and a wrong or unhelpful answer to the same question."""


def _wrong(random_: random.Random, right: int) -> int:
    return right + random_.choice([-10, -2, -1, 1, 2, 10])


def _arithmetic(r: random.Random) -> Exercise:
    kind = r.choice("+-*/")
    if kind == "+":
        a, b = r.randint(11, 89), r.randint(11, 89)
        tens, right = a + b // 10 * 10, a + b
        steps = f"{a} + {b // 10 * 10} = {tens}, and {tens} + {b % 10} = {right}."
    elif kind == "-":
        b, right = r.randint(11, 59), r.randint(11, 59)
        a = b + right
        steps = f"{a} - {b // 10 * 10} = {a - b // 10 * 10}, and {a - b // 10 * 10} - {b % 10} = {right}."
    elif kind == "*":
        a, b = r.randint(11, 29), r.randint(3, 9)
        right = a * b
        steps = f"{a // 10 * 10} * {b} = {a // 10 * 10 * b}, {a % 10} * {b} = {a % 10 * b}, and together {right}."
    else:
        b, right = r.randint(3, 9), r.randint(4, 12)
        a = b * right
        steps = f"{b} * {right} = {a}, so {a} / {b} = {right}."
    question = r.choice(["What is {} {} {}?", "Work out {} {} {}.", "Please compute {} {} {}."]).format(a, kind, b)
    return question, f"{steps} The answer is {right}.", f"The answer is {_wrong(r, right)}."


def _word_problem(r: random.Random) -> Exercise:
    name, things = r.choice(NAMES), r.choice(THINGS)
    a, b = r.randint(6, 40), r.randint(2, 5)
    kind = r.randrange(3)
    if kind == 0:
        more = r.randint(3, 20)
        question = f"{name} has {a} {things} and gets {more} more. How many {things} does {name} have now?"
        right, steps = a + more, f"We add what comes: {a} + {more} = {a + more}."
    elif kind == 1:
        question = f"{name} has {b} bags with {a} {things} in each. How many {things} is that?"
        right, steps = a * b, f"We multiply bags by {things}: {b} * {a} = {a * b}."
    else:
        question = f"{name} shares {a * b} {things} among {b} friends. How many does each friend get?"
        right, steps = a, f"We divide: {a * b} / {b} = {a}."
    return question, f"{steps} The answer is {right}.", f"The answer is {_wrong(r, right)}."


def _equation(r: random.Random) -> Exercise:
    a, x, b = r.randint(2, 9), r.randint(2, 12), r.randint(1, 20)
    question = r.choice(["Solve {}x + {} = {}.", "Find x when {}x + {} = {}."]).format(a, b, a * x + b)
    answer = f"Take {b} from both sides: {a}x = {a * x}. Divide by {a}: x = {x}. The answer is {x}."
    return question, answer, f"The answer is {_wrong(r, x)}."


def _definition(r: random.Random) -> Exercise:
    name, meaning, example = r.choice(DEFINITIONS)
    other = r.choice([entry for entry in DEFINITIONS if entry[0] != name])
    subject = name[0].upper() + name[1:]
    question = r.choice(DEFINITION_QUESTIONS).format(name)
    return question, f"{subject} is {meaning}. An example is {example}.", f"{subject} is {other[1]}."


def _unknowable(r: random.Random) -> Exercise:
    name, things, count = r.choice(NAMES), r.choice(THINGS), r.randint(3, 30)
    question, missing = r.choice(
        [
            (f"{name} buys some {things} and pays {count} coins. What does one cost?", f"how many {things} there are"),
            (f"{name} is {count} years old. How old is the teacher?", "anything about the teacher's age"),
            (f"{name} has {count} {things} and gives some away. How many are left?", "how many were given away"),
            (f"A rectangle has a side of {count}. What is its area?", "the other side"),
        ]
    )
    answer = f"I cannot say: the question does not tell us {missing}. I would be guessing. Can you look that up?"
    return question, answer, f"The answer is {count + r.randint(1, 9)}."


KINDS: tuple[Callable[[random.Random], Exercise], ...] = (
    _arithmetic, _arithmetic, _word_problem, _word_problem, _equation, _definition, _unknowable,
)  # fmt: skip


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _exercises(random_: random.Random, count: int) -> list[Exercise]:
    """Return ``count`` exercises with different questions."""
    found: dict[str, Exercise] = {}
    while len(found) < count:
        exercise = random_.choice(KINDS)(random_)
        found.setdefault(exercise[0], exercise)
    return list(found.values())


def conversations() -> list[dict]:
    """Return the chat set: one exercise each, some with a system message, some with a second turn."""
    r = random.Random(SEED)
    rows = []
    for question, answer, _ in _exercises(r, CONVERSATIONS):
        messages = [_message("user", question), _message("assistant", answer)]
        if r.random() < 0.25:
            messages.insert(0, _message("system", SYSTEM))
        if r.random() < 0.25:
            follow_up, its_answer, _ = _arithmetic(r)
            messages += [_message("user", "Thank you. " + follow_up), _message("assistant", its_answer)]
        rows.append({"messages": messages})
    return rows


def preferences() -> list[dict]:
    """Return the pairs: worked and right against bare and wrong, an honest "cannot say" against a guess."""
    r = random.Random(SEED + 1)
    return [
        {
            "prompt": [_message("user", question)],
            "chosen": [_message("assistant", good)],
            "rejected": [_message("assistant", bad)],
        }
        for question, good, bad in _exercises(r, PAIRS)
    ]


def main(directory: Path = Path(__file__).parent) -> None:
    """Write ``chat.jsonl`` and ``preferences.jsonl``."""
    for name, rows in (("chat.jsonl", conversations()), ("preferences.jsonl", preferences())):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
