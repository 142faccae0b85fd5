"""Text with choices in it: ``[a|b]`` becomes a or b, ``<name>`` a value."""

import random
import re
import zlib
from collections.abc import Mapping, Sequence

NAMES = [
    "Lena",
    "Omar",
    "Priya",
    "Tomas",
    "Grace",
    "Hugo",
    "Amara",
    "Felix",
    "Nadia",
    "Ivan",
    "Clara",
    "Jonas",
    "Meera",
    "Paul",
    "Sofia",
    "Karim",
    "Ruth",
    "Diego",
    "Anya",
    "Noah",
]
THINGS = [
    "apples",
    "pencils",
    "marbles",
    "stickers",
    "tickets",
    "bottles",
    "coins",
    "books",
    "shells",
    "buttons",
    "cards",
    "lemons",
    "tiles",
    "stamps",
    "beads",
    "plums",
]
PLACES = [
    "market",
    "library",
    "garden",
    "workshop",
    "station",
    "bakery",
    "school hall",
    "harbour",
    "museum",
    "farm",
    "sports club",
    "village shop",
]


def fill(template: str, rng: random.Random, values: Mapping[str, object] | None = None) -> str:
    """Resolve the choices of ``template`` with ``rng``, then put in ``values``."""
    while "[" in template:
        template = re.sub(r"\[([^\[\]]*)\]", lambda match: rng.choice(match.group(1).split("|")), template)
    return re.sub(r"<(\w+)>", lambda match: str((values or {})[match.group(1)]), template)


def held_out(*values: object) -> bool:
    """Whether this combination of numbers belongs to the evaluation items; no page of the crawl uses it."""
    return zlib.crc32(",".join(map(str, values)).encode()) % 5 == 0


class Pool:
    """Draw from a list without repeating until it is used up."""

    def __init__(self, options: Sequence[str], rng: random.Random) -> None:
        self._options, self._rng, self._left = list(options), rng, list[str]()

    def draw(self) -> str:
        """Return an option not drawn since the last refill."""
        if not self._left:
            self._left = self._rng.sample(self._options, len(self._options))
        return self._left.pop()
