"""ROUGE-L of a rewritten text with the one that a human wrote."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from smallwright_eval.verdicts.limited import LONGEST_TEXT


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return ``rouge_l``, the F-measure of the longest common subsequence of words, without stemming."""
    return {"rouge_l": float(_scorer().score(doc["target"], results[0][:LONGEST_TEXT])["rougeL"].fmeasure)}


@functools.cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"])
