"""The items of each task: a long text with something in it, and a question about that."""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from smallwright_eval.long_context import words

Count = Callable[[str], int]
"""Number of tokens of a text."""
NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
"""RULER's."""
NEEDLE = "One of the special magic {kind} for {key} is: {value}."
MAGIC = (
    "{some} special magic {kind} {be} hidden within the following text. Make sure to memorize it. I will quiz you "
    "about the {kind} afterwards.\n{context}\nWhat {what} special magic {kind} for {query} mentioned in the provided "
    "text? The special magic {kind} for {query} mentioned in the provided text {be}"
)
DISTRACTORS = 10


def fill(length: int, count: Count, made: Callable[[int], str], at_most: int) -> int:
    """Return the largest number of pieces whose text has at most ``length`` tokens, found by halving.

    Args:
        length: In tokens.
        count: Of a text's tokens.
        made: The whole text with so many pieces.
        at_most: More pieces than ever fit.
    """
    low, high = 0, at_most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(made(middle)) <= length else (low, middle - 1)
    return low


def needle(length: int, depth: int, count: Count, draw: random.Random) -> dict[str, Any]:
    """Return a haystack with one needle at a depth and ten that are not asked for (SmolLM2's appendix G).

    Args:
        length: Of the prompt in tokens, at most.
        depth: Percent of the text before the needle.
        count: Of a text's tokens.
        draw: Random numbers.
    """
    cities = draw.sample(words.CITIES, DISTRACTORS + 1)
    said = [f"The special magic number for {city} is {words.number(draw)}." for city in cities]
    hay = [words.sentence(draw) for _ in range(length // 6 + 2)]
    others = sorted(draw.random() for _ in said[1:])

    def made(pieces: int) -> str:
        text = hay[:pieces]
        for place, other in zip(reversed(others), said[1:], strict=True):
            text.insert(int(place * pieces), other)
        text.insert(round(depth / 100 * len(text)), said[0])
        return (
            f"Remember the numbers in the following text.\n\n{' '.join(text)}\n\n"
            f"Question: What is the special magic number for {cities[0]}?\n"
            f"Answer: The special magic number for {cities[0]} is"
        )

    pieces = fill(length, count, made, len(hay))
    return {"input": made(pieces), "outputs": [said[0].split()[-1].rstrip(".")]}


def _magic(kind: str, context: str, queries: Sequence[str], several: bool) -> str:
    one = {"some": "A", "be": "is", "what": "is the", "kind": kind}
    many = {"some": "Some", "be": "are", "what": "are all the", "kind": f"{kind}s"}
    query = queries[0] if len(queries) == 1 else f"{', '.join(queries[:-1])}, and {queries[-1]}"
    return MAGIC.format(context=context, query=query, **(many if several else one))


def magic(
    length: int,
    count: Count,
    draw: random.Random,
    *,
    keys: int = 1,
    values: int = 1,
    asked: int = 1,
    identifiers: bool = False,
    hay_of_needles: bool = False,
) -> dict[str, Any]:
    """Return RULER's needles in its repeated noise, or among other needles.

    Args:
        length: Of the prompt in tokens, at most.
        count: Of a text's tokens.
        draw: Random numbers.
        keys: Words with a value in the text.
        values: Of each key.
        asked: Keys that are asked for.
        identifiers: UUIDs as keys and values, instead of words and numbers.
        hay_of_needles: Needles of other keys instead of noise.
    """
    kind = "uuid" if identifiers else "number"
    make_key = words.identifier if identifiers else words.word
    make_value = words.identifier if identifiers else words.number
    known = [(make_key(draw), [make_value(draw) for _ in range(values)]) for _ in range(keys)]
    needles = [NEEDLE.format(kind=f"{kind}s", key=key, value=value) for key, found in known for value in found]
    draw.shuffle(needles)
    hay: list[str] = []
    places = [draw.random() for _ in needles]
    queries = draw.sample(known, asked)

    def made(pieces: int) -> str:
        while len(hay) < pieces:
            other = NEEDLE.format(kind=f"{kind}s", key=make_key(draw), value=make_value(draw))
            hay.append(other if hay_of_needles else NOISE)
        text = hay[:pieces]
        for place, one in sorted(zip(places, needles, strict=True), reverse=True):
            text.insert(int(place * pieces), one)
        return _magic(kind, "\n".join(text), [key for key, _ in queries], asked * values > 1)

    pieces = fill(length, count, made, length // 8 + 2)
    return {"input": made(pieces), "outputs": [value for _, found in queries for value in found]}


def variables(length: int, count: Count, draw: random.Random, hops: int = 4) -> dict[str, Any]:
    """Return RULER's variable tracking: one chain of assignments in noise, whose variables are asked for."""
    names = [words.letters(draw, 5, upper=True) for _ in range(hops + 1)]
    value = draw.randint(10_000, 99_999)
    chain = [f"VAR {names[0]} = {value}", *(f"VAR {b} = VAR {a} " for a, b in pairwise(names))]
    places = sorted(draw.random() for _ in chain)

    def made(pieces: int) -> str:
        text = [NOISE + "\n"] * pieces
        for place, link in reversed(list(zip(places, chain, strict=True))):
            text.insert(int(place * pieces), link)
        return (
            "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n"
            f"{' '.join(text)}\nQuestion: Find all variables that are assigned the value {value} in the text above. "
            f"Answer: According to the chain(s) of variable assignment in the text above, {hops + 1} variables are "
            f"assigned the value {value}, they are:"
        )

    pieces = fill(length, count, made, length // 8 + 2)
    return {"input": made(pieces), "outputs": names}


def frequent_words(length: int, count: Count, draw: random.Random, alpha: float = 2.0) -> dict[str, Any]:
    """Return RULER's frequent words: made up, with counts that fall as a power; the first three are asked for."""
    known = ["...", *(words.letters(draw, 6) for _ in range(max(8, length // 50)))]
    shares = [rank**-alpha for rank in range(1, len(known) + 1)]
    order: list[float] = []

    def made(pieces: int) -> str:
        text = [word for word, share in zip(known, shares, strict=True) for _ in range(int(pieces * share / 1.645))]
        while len(order) < len(text):
            order.append(draw.random())
        mixed = [word for _, word in sorted(zip(order, text, strict=False))]
        return (
            "Read the following coded text and track the frequency of each coded word. Find the three most frequently "
            f"appeared coded words. {' '.join(mixed)}\nQuestion: Do not provide any explanation. Please ignore the "
            "dots '....'. What are the three most frequently appeared words in the above coded text? Answer: According "
            "to the coded text above, the three most frequently appeared words are:"
        )

    pieces = fill(length, count, made, length)
    return {"input": made(pieces), "outputs": known[1:4]}
