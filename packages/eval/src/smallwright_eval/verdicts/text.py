"""Answers compared as text."""

import string
from collections.abc import Mapping, Sequence
from typing import Any


def exactly_matched(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return ``exact_match`` of an answer with ``target``, white space at their ends left out (BIG-Bench Hard)."""
    return {"exact_match": float(results[0].strip() == str(doc["target"]).strip())}


def plain(text: str) -> str:
    """Return text in lower case without punctuation and white space at its ends, as TriviaQA's aliases are compared."""
    return text.lower().translate(str.maketrans("", "", string.punctuation)).strip()


def any_alias(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return ``exact_match`` of an answer with any alias, without case and punctuation (TriviaQA)."""
    aliases = {plain(alias) for alias in doc["answer"]["aliases"]}
    return {"exact_match": float(plain(results[0]) in aliases)}
