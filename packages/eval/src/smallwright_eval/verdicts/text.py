"""Answers compared as text."""

from collections.abc import Mapping, Sequence
from typing import Any


def exactly_matched(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return ``exact_match`` of an answer with ``target``, white space at their ends left out (BIG-Bench Hard)."""
    return {"exact_match": float(results[0].strip() == str(doc["target"]).strip())}
