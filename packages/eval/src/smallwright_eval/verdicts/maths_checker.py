"""Compares answers to problems of MATH; runs in a process that can be ended (:mod:`smallwright_eval.verdicts.limited`).

math_verify runs on antlr 4.9.3 here, which Hydra needs; lm-eval's ``minerva_math`` demands 4.11 and cannot be installed
beside Hydra.
"""

import logging
from typing import Any

from lm_eval.tasks.hendrycks_math import utils as hendrycks
from math_verify import parse, verify

# Time is kept by the parent: math_verify's own alarm reaches no C code. It warns that it is off.
logging.getLogger("math_verify").setLevel(logging.ERROR)

LONGEST_BOX = 1000
"""Characters: a model that repeats itself writes more, and the parser's time grows with their square."""
LONGEST_TEXT = 4000
"""Characters of the end of an answer without a box."""


def compare(solution: str, answer: str) -> tuple[bool, bool]:
    """Return whether the expressions are equal, and whether the boxed texts are the same once normalised.

    Of a text the last box counts, as in MATH's own checker. An answer without one can be equal still: math_verify looks
    for an expression in it.
    """
    gold, given = boxed(solution), boxed(answer)
    if given is not None and len(given) > LONGEST_BOX:
        return False, False
    equal = verify(gold=_parsed(gold, solution), target=_parsed(given, answer), timeout_seconds=None)
    return bool(equal), gold is not None and given is not None and bool(hendrycks.is_equiv(gold, given))


def _parsed(box: str | None, text: str) -> Any:
    return parse(text[-LONGEST_TEXT:] if box is None else f"$\\boxed{{{box}}}$", parsing_timeout=None)


def boxed(text: str) -> str | None:
    """Return what stands in the last ``\\boxed{}`` of a text; None where none does."""
    try:
        last = hendrycks.last_boxed_only_string(text)
        return None if last is None else hendrycks.remove_boxed(last)
    except AssertionError:  # how it refuses a box that is not closed
        return None
