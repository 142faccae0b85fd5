"""The prompts of a file; what is none of them is kept aside with its reason."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import InputError

from smallwright_eval.talk.wording import Message

ROLES = ("system", "user", "assistant", "tool")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """One prompt."""

    line: int
    """Of the file, from 1."""
    given: Mapping[str, Any]
    """What stands there, which comes out again beside the answers: ``prompt`` or ``messages``, and the keys beside."""
    messages: Sequence[Message] | None
    """A conversation that waits for the model's turn; None: a prompt."""

    @property
    def prompt(self) -> str:
        """The text of a prompt that is no conversation."""
        return str(self.given.get("prompt", ""))


def read(path: Path, owner: str) -> tuple[list[Asked], list[dict[str, Any]]]:
    """Return the prompts of a file, and the lines that are none, each with ``line``, ``reason`` and ``text``.

    Args:
        path: A ``.jsonl``, or text with a prompt a line; empty lines count for nothing.
        owner: Begins messages, as ``prompts=<path>``.

    Raises:
        InputError: the file cannot be read, or has no prompt.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{owner}: cannot be read ({error.strerror or error}). Give a text file, one a line."
        ) from error
    found: list[Asked] = []
    rejected: list[dict[str, Any]] = []
    # Split as bytes: other signs that end lines may stand in a JSON string.
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            text = raw.decode("utf-8").rstrip("\r")
            found.append(_of_json(number, text) if path.suffix == ".jsonl" else _of_text(number, text))
        except ValueError as error:
            reason = "no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            rejected.append({"line": number, "reason": reason, "text": raw.decode("utf-8", "replace")[:1000]})
    if not found:
        why = f": {rejected[0]['reason']} in line {rejected[0]['line']}" if rejected else ""
        raise InputError(f"{owner}: has no prompts{why}. Write one a line.")
    return found, rejected


def _of_text(number: int, text: str) -> Asked:
    return Asked(line=number, given={"prompt": text}, messages=None)


def _of_json(number: int, text: str) -> Asked:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON") from error
    given = {"prompt": row} if isinstance(row, str) else row
    if not isinstance(given, dict):
        raise ValueError("neither a string nor an object")
    if "messages" in given:
        messages = given["messages"]
        right = isinstance(messages, list) and bool(messages) and all(map(_is_message, messages))
        if not right or messages[-1]["role"] == "assistant":
            raise ValueError("messages are no turns of role and content that wait for an answer")
        return Asked(line=number, given=given, messages=messages)
    if not isinstance(given.get("prompt"), str) or not given["prompt"].strip():
        raise ValueError("has no prompt")
    return Asked(line=number, given=given, messages=None)


def _is_message(one: Any) -> bool:
    return isinstance(one, dict) and one.get("role") in ROLES and isinstance(one.get("content"), str)
