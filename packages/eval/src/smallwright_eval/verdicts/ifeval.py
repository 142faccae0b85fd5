"""IFEval: whether an answer follows the instructions of its prompt, by lm-eval's checkers, without a network."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from smallwright_eval.verdicts.limited import LONGEST_TEXT, Checker, OutOfBounds

CHECKER = Checker("smallwright_eval.verdicts.ifeval_checker")
UNDECIDED_KEYS = (1122,)
"""Items on which no two runs of the reference agree: this one asks for the letter "#", and the reference then draws a
letter at random. It is asked and counted like the others, and left out where verdicts are compared."""


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Return strict and loose verdicts: of the prompt (all its instructions), and of each instruction.

    Args:
        doc: ``key``, ``prompt``, ``instruction_id_list`` and ``kwargs``, one a instruction.
        results: The answer.
    """
    strict, loose = follow(doc, results[0])
    return {
        "prompt_level_strict_acc": all(strict),
        "inst_level_strict_acc": strict,
        "prompt_level_loose_acc": all(loose),
        "inst_level_loose_acc": loose,
    }


def follow(doc: Mapping[str, Any], answer: str) -> tuple[list[bool], list[bool]]:
    """Return whether an answer follows each instruction strictly, and loosely; what takes too long it does not."""
    try:
        # As plain values: a row of a data set may hold numbers of NumPy.
        asked = json.loads(json.dumps({key: doc[key] for key in ("key", "prompt", "instruction_id_list", "kwargs")}))
        strict, loose = CHECKER.call("follow", asked, answer[:LONGEST_TEXT])
    except OutOfBounds as error:
        print(f"ifeval: {error}: counted as not followed", flush=True)
        return [False] * len(doc["instruction_id_list"]), [False] * len(doc["instruction_id_list"])
    return strict, loose


def share_followed(items: Sequence[Sequence[bool]]) -> float:
    """Return the share of all instructions of all prompts that are followed."""
    followed = [verdict for verdicts in items for verdict in verdicts]
    return sum(followed) / len(followed)
