"""What the rules of all domains do alike: look for words, and give points one after another."""

import re
from collections.abc import Sequence


def any_of(words: str) -> re.Pattern[str]:
    """Return a pattern of whole words. ``words`` are patterns too, with blanks between them."""
    return re.compile(r"\b(?:" + "|".join(words.split()) + r")\b")


def count_points(points: Sequence[bool]) -> int:
    """Return how many points are given: each counts only when all before it do."""
    return next((score for score, point in enumerate(points) if not point), len(points))
