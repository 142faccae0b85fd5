"""Check rows of chat and preference data and bring them into one form. A bad row is set aside with its reason."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import InputError

ROLES = ("system", "user", "assistant", "tool")
# Far above any real example: they bound what a hostile or broken file can make us hold.
MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_MESSAGES = 1000

Message = dict[str, str]
Row = dict[str, list[Message]]


class BadRow(ValueError):
    """A row that cannot be used; the message is the reason, the same text for the same kind of fault."""


def read_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value); a line that holds no JSON object yields a :class:`BadRow` as its value.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"dataset={path}: cannot be read ({error.strerror}).") from None
    with file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                yield number, BadRow(f"line longer than {MAX_LINE_BYTES} bytes")
            elif line.strip():
                yield number, _parse(line)


def _parse(line: bytes) -> Any:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        return BadRow("not valid JSON")
    return value if isinstance(value, dict) else BadRow("not a JSON object")


def chat_row(row: Mapping[str, Any]) -> Row:
    """Return ``{"messages": [...]}`` of a conversation.

    ``row`` has ``messages``, a list of {role, content}, or the strings ``prompt`` and ``completion``.

    Raises:
        BadRow: why it cannot be used.
    """
    if row.get("messages") is None and isinstance(row.get("prompt"), str) and isinstance(row.get("completion"), str):
        turns: Any = [("user", row["prompt"]), ("assistant", row["completion"])]
        messages = _messages([{"role": role, "content": content} for role, content in turns], "messages")
    else:
        messages = _messages(row.get("messages"), "messages")
    if messages[-1]["role"] != "assistant":
        raise BadRow("messages: the last one is not the assistant's")
    if len(messages) < 2:
        raise BadRow("messages: nothing comes before the assistant's answer")
    return {"messages": messages}


def preference_row(row: Mapping[str, Any]) -> Row:
    """Return ``{"prompt": [...], "chosen": [...], "rejected": [...]}`` of a pair, all as messages.

    Strings become messages. ``chosen`` and ``rejected`` may repeat the conversation before the answer, as
    ultrafeedback_binarized does; then ``prompt`` may be missing.

    Raises:
        BadRow: why it cannot be used.
    """
    sides = {side: _messages(_as_messages(row.get(side), "assistant"), side) for side in ("chosen", "rejected")}
    shared = 0
    for ours, theirs in zip(sides["chosen"], sides["rejected"], strict=False):
        last = shared + 1 == min(map(len, sides.values()))
        if ours != theirs or (last and ours["role"] == "assistant"):
            break
        shared += 1
    prefix = sides["chosen"][:shared]
    given = _as_messages(row.get("prompt"), "user")
    prompt = prefix if given is None or prefix else _messages(given, "prompt")
    if not prompt:
        raise BadRow("prompt: missing")
    answers = {side: messages[shared:] for side, messages in sides.items()}
    for side, messages in answers.items():
        if not messages or messages[0]["role"] != "assistant" or messages[-1]["role"] != "assistant":
            raise BadRow(f"{side}: not an answer of the assistant")
    if prompt[-1]["role"] == "assistant":
        raise BadRow("prompt: the last message is the assistant's")
    if answers["chosen"] == answers["rejected"]:
        raise BadRow("chosen and rejected are the same")
    return {"prompt": prompt, **answers}


def refuse_special_tokens(special: Sequence[str]) -> Callable[[Row], Row]:
    """Return a check that raises BadRow for text holding a special token: it could end or forge a turn."""

    def check(row: Row) -> Row:
        for messages in row.values():
            for message in messages:
                for token in special:
                    if token in message["content"]:
                        raise BadRow(f"text holds the special token {token}")
        return row

    return check


def _as_messages(value: Any, role: str) -> Any:
    return [{"role": role, "content": value}] if isinstance(value, str) else value


def _messages(value: Any, where: str) -> list[Message]:
    if value is None:
        raise BadRow(f"{where}: missing")
    if not isinstance(value, list) or not value:
        raise BadRow(f"{where}: not a list of messages")
    if len(value) > MAX_MESSAGES:
        raise BadRow(f"{where}: more than {MAX_MESSAGES} messages")
    return [_message(item, where, first=index == 0) for index, item in enumerate(value)]


def _message(item: Any, where: str, *, first: bool) -> Message:
    if not isinstance(item, Mapping) or not isinstance(item.get("role"), str):
        raise BadRow(f"{where}: a message without a role")
    role, content = item["role"], item.get("content")
    if role not in ROLES:
        raise BadRow(f"{where}: a role that is none of {', '.join(ROLES)}")
    if role == "system" and not first:
        raise BadRow(f"{where}: a system message that is not the first")
    if not isinstance(content, str) or not content.strip():
        raise BadRow(f"{where}: a message without text")
    try:
        content.encode("utf-8")
    except UnicodeEncodeError:
        raise BadRow(f"{where}: text that is not valid Unicode") from None
    return {"role": role, "content": content}
