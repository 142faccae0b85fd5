"""MATH: answers compared as expressions by math_verify, and as text after the normalisation of MATH's own checker."""

from collections.abc import Mapping, Sequence
from typing import Any

from smallwright_eval.verdicts.limited import LONGEST_TEXT, Checker, OutOfBounds

CHECKER = Checker("smallwright_eval.verdicts.maths_checker")


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return ``math_verify`` and ``exact_match`` of an answer to a problem of MATH.

    Args:
        doc: An item with ``solution``, whose last box has the gold answer.
        results: The answer, whose last box counts.
    """
    equal, same = compare(doc["solution"], results[0])
    return {"math_verify": float(equal), "exact_match": float(same)}


def compare(solution: str, answer: str) -> tuple[bool, bool]:
    """Return whether an answer's expression equals the solution's, and whether both are the same text.

    What cannot be decided in time is unequal.
    """
    try:
        equal, same = CHECKER.call("compare", solution, answer[-LONGEST_TEXT:])
    except OutOfBounds as error:
        print(f"math: {error}: counted as wrong", flush=True)
        return False, False
    return equal, same
