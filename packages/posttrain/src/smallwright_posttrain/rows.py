"""Check messages of chat and preference data and bring them into one form. A bad row is set aside with its reason."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "bard": "assistant", "bing": "assistant", "claude": "assistant", "ai": "assistant", "function_call": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "ipython": "tool", "tool_response": "tool",
}  # fmt: skip
"""What published sets call the four roles."""
ROLE_KEYS = ("role", "from", "speaker")
TEXT_KEYS = ("content", "value", "text", "parts")
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
WEIGHT_KEYS = ("weight", "train", "training")
NO_MEANING = ("tool_call_id", "id", "finish_reason", "index")
"""Keys that link messages to each other or to where they came from."""
MAX_MESSAGES = 1000
SECOND_SYSTEM = "a system message that is not the first"

Message = dict[str, Any]
"""``role`` and ``content``; where the set has them ``tool_calls``, ``reasoning_content``, ``weight`` (0: no lesson)."""
Row = dict[str, Any]
"""``messages``, or ``prompt``, ``chosen`` and ``rejected``: lists of messages; and ``tools`` where the set has some."""


class BadRow(ValueError):
    """A row that cannot be used; the message is the reason, the same text for the same kind of fault."""


def as_messages(value: Any, role: str) -> Any:
    """Return a text, or a message alone, as a list with one message; anything else as it is."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    return [value] if isinstance(value, Mapping) and set(ROLE_KEYS) & set(value) else value


def read_messages(value: Any, where: str, ignored: set[str]) -> list[Message]:
    """Return checked messages; system messages without text are left out.

    Args:
        value: A list of messages under any of the keys and roles that published sets use.
        where: The column, for reasons.
        ignored: Gets the keys that are not used, such as ``messages.name``.

    Raises:
        BadRow: why it cannot be used.
    """
    if value is None:
        raise BadRow(f"{where}: missing")
    if not isinstance(value, list) or not value:
        raise BadRow(f"{where}: not a list of messages")
    if len(value) > MAX_MESSAGES:
        raise BadRow(f"{where}: more than {MAX_MESSAGES} messages")
    messages = [_message(item, where, ignored) for item in value]
    messages = [message for message in messages if message["role"] != "system" or message["content"].strip()]
    if not messages:
        raise BadRow(f"{where}: a message without text")
    if any(message["role"] == "system" for message in messages[1:]):
        raise BadRow(f"{where}: {SECOND_SYSTEM}")
    return messages


def read_tools(value: Any) -> list[dict[str, Any]] | None:
    """Return the definitions of tools, a list or the JSON text of one; None where there are none.

    Raises:
        BadRow: they are something else.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except ValueError:
            raise BadRow("tools: not valid JSON") from None
    if not value:
        return None
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(tool, Mapping) for tool in value):
        raise BadRow("tools: not a list of definitions")
    return [dict(tool) for tool in value]


def check_text(text: str, where: str) -> str:
    """Return text that UTF-8 can hold.

    Raises:
        BadRow: it holds half of a surrogate pair.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadRow(f"{where}: text that is not valid Unicode") from None
    return text


def refuse_special_tokens(special: Sequence[str]) -> Callable[[Row], Row]:
    """Return a check that raises BadRow for text holding a special token: it could end or forge a turn."""

    def check(row: Row) -> Row:
        texts = [text for column in row.values() for text in _texts(column)]
        for token in special:
            if any(token in text for text in texts):
                raise BadRow(f"text holds the special token {token}")
        return row

    return check


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]


def _message(item: Any, where: str, ignored: set[str]) -> Message:
    if not isinstance(item, Mapping):
        raise BadRow(f"{where}: a message without a role")
    role_key = next((key for key in ROLE_KEYS if isinstance(item.get(key), str)), None)
    if role_key is None:
        raise BadRow(f"{where}: a message without a role")
    said = item[role_key].strip().lower()
    role = ROLES.get(said)
    if role is None:
        raise BadRow(f"{where}: a role that is none of system, user, assistant, tool")
    text_key = next((key for key in TEXT_KEYS if item.get(key) is not None), None)
    text = _text(item[text_key], where) if text_key is not None else ""
    if not text.strip() and isinstance(item.get("refusal"), str):
        text = item["refusal"]
    message: Message = {"role": role, "content": check_text(text, where)}
    calls = _tool_calls(item, text if said == "function_call" else None, where)
    if calls:
        if role != "assistant":
            raise BadRow(f"{where}: tool_calls in a message that is not the assistant's")
        message["tool_calls"] = calls
        if said == "function_call":
            message["content"] = ""
    elif not text.strip() and role != "system":
        raise BadRow(f"{where}: a message without text")
    reasoning = next(
        (item[key] for key in REASONING_KEYS if isinstance(item.get(key), str) and item[key].strip()), None
    )
    if reasoning is not None and role == "assistant":
        message["reasoning_content"] = check_text(reasoning, where)
    if role == "assistant" and not _learned(item, where):
        message["weight"] = 0
    used = {role_key, text_key, "refusal", "tool_calls", "function_call", *REASONING_KEYS, *WEIGHT_KEYS, *NO_MEANING}
    ignored.update(
        f"{where}.{key}" for key, value in item.items() if key not in used and value not in (None, "", [], {})
    )
    return message


def _text(value: Any, where: str) -> str:
    """Return the text of a message: a string, or parts of which each is text."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        value = value["parts"] if isinstance(value.get("parts"), list) else [value]
    if not isinstance(value, list):
        raise BadRow(f"{where}: a message without text")
    texts = []
    for part in value:
        if isinstance(part, Mapping):
            text = part.get("text") if part.get("text") is not None else part.get("refusal")
            kind = str(part.get("type", "text"))
        else:
            text, kind = part, "text"
        if isinstance(text, Mapping):  # the Assistants' {"text": {"value": ...}}
            text = text.get("value")
        if not isinstance(text, str):
            raise BadRow(f"{where}: a part of type {kind[:30]}, which a model of text cannot read")
        texts.append(text)
    return "\n".join(texts)


def _tool_calls(item: Mapping[str, Any], text: str | None, where: str) -> list[dict[str, Any]]:
    """Return calls as chat templates want them: ``function`` with ``name`` and ``arguments``, an object."""
    given = item.get("tool_calls") or ([item["function_call"]] if item.get("function_call") else None)
    if text is not None:
        try:
            given = json.loads(text)
        except ValueError:
            raise BadRow(f"{where}: a function_call that is not JSON") from None
        given = given if isinstance(given, list) else [given]
    calls = []
    if given is not None and not isinstance(given, list):
        raise BadRow(f"{where}: tool_calls that are no list")
    for call in given or ():
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRow(f"{where}: a tool call without a name")
        arguments = function.get("arguments", function.get("parameters"))
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments) if arguments.strip() else {}
            except ValueError:
                raise BadRow(f"{where}: a tool call with arguments that are not JSON") from None
        calls.append({"type": "function", "function": {"name": function["name"], "arguments": arguments or {}}})
    return calls


def _learned(item: Mapping[str, Any], where: str) -> bool:
    for key in WEIGHT_KEYS:
        value = item.get(key)
        if value is None:
            continue
        if value not in (0, 1):
            raise BadRow(f"{where}: a {key} that is neither 0 nor 1")
        return bool(value)
    return True
