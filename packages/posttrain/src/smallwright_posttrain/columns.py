"""The columns of published sets: what they are called, how a set's own are named, and turns inside of a text."""

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from smallwright_posttrain.rows import BadRow, Message

CONVERSATIONS = (
    "messages", "conversations", "conversation", "dialog", "dialogue", "chat", "turns", "contents", "items", "data",
)  # fmt: skip
PROMPTS = ("instruction", "prompt", "question", "query", "problem", "inputs", "user", "human", "input")
PROMPT_OF_COMPARED = "history"
"""The prompt of SHP. Alpaca has earlier turns under this name, so that it is one only there."""
ANSWERS = ("completion", "output", "response", "answer", "solution", "targets", "assistant", "gpt")
MATERIALS = ("input", "context")
"""What an instruction is about, as Alpaca and Dolly have it."""
SYSTEMS = ("system", "system_prompt", "system_message", "systemInstruction")
PAIRS = (
    ("chosen", "rejected"), ("preferred_output", "non_preferred_output"), ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"), ("response_j", "response_k"), ("preferred", "dispreferred"),
)  # fmt: skip


class Compared(NamedTuple):
    """A form with two answers, and a column that says which of them people took for the better one."""

    name: str
    answers: tuple[str, str]
    better: tuple[str, ...]
    """Columns that say it; the first one that there is counts."""
    values: tuple[str, str]
    """What they say for the first answer and for the second."""


COMPARED = (
    Compared("PKU-SafeRLHF", ("response_0", "response_1"), ("better_response_id", "safer_response_id"), ("0", "1")),
    Compared("SHP", ("human_ref_A", "human_ref_B"), ("labels",), ("1", "0")),
    Compared("Arena", ("conversation_a", "conversation_b"), ("winner",), ("model_a", "model_b")),
)
BETTER = "better"
"""What ``columns`` calls the column that says which of two answers is the better one."""
TOOLS = ("tools", "functions")
LABELS = ("label", "kto_tag")
MEDIA = ("image", "images", "video", "videos", "audio", "audios")
KEYS_OF_MESSAGES = ("role", "content")
NAMED = (
    "messages", "prompt", "completion", "input", "system", "tools", "label", "chosen", "rejected", BETTER,
    *KEYS_OF_MESSAGES,
)  # fmt: skip
"""What ``columns`` can name: columns, and the keys of messages."""
NO_MATERIAL = ("<noinput>", "nan")

TURN = re.compile(r"(?:^|###\s*|\n)(Human|Assistant|User|System)\s*:[ \t]?", re.IGNORECASE)
HH = re.compile(r"(?:^|\n\n)(Human|Assistant):[ \t]?")
"""Marks of turns in a text, of any kind; and those of HH-RLHF."""


def renamed(given: Mapping[str, Any], columns: Mapping[str, str], ignored: set[str]) -> dict[str, Any]:
    """Return the row with the names that forms know for a set's own columns and keys of messages.

    What is named goes before other columns of the same meaning: those are left out.
    """
    named = {name: column for name, column in columns.items() if name not in KEYS_OF_MESSAGES}
    sources = {column if column in given else column.split(".")[0] for column in named.values()}
    others = {other for names in (PROMPTS, ANSWERS) if set(names) & set(named) for other in names} - set(named)
    others = {other for other in others if other in given and other not in sources}
    ignored |= others
    row = {column: value for column, value in given.items() if column not in sources | others}
    for name, column in named.items():
        value: Any = given
        for part in [column] if column in given else column.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            row[name] = value
    keys = {columns[name]: name for name in KEYS_OF_MESSAGES if name in columns}
    if keys:
        row = {column: _with_keys(value, keys) for column, value in row.items()}
    return row


def _with_keys(value: Any, keys: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_keys(item, keys) for item in value]
    return {keys.get(key, key): item for key, item in value.items()} if isinstance(value, Mapping) else value


def with_sides(row: dict[str, Any]) -> tuple[str, set[str]] | None:
    """Put the better answer of a row of two under ``chosen`` and the other one under ``rejected``.

    Returns:
        The form, and the columns that were used; None where the row is of no such form.

    Raises:
        BadRow: nothing says which answer is the better one.
    """
    form = next((form for form in COMPARED if all(name in row for name in form.answers)), None)
    if form is None:
        return None
    column = next((name for name in (BETTER, *form.better) if row.get(name) is not None), None)
    if column is None:
        raise BadRow(f"{form.better[0]}: missing, so nothing says which answer is better")
    said = f"{row[column]:g}" if isinstance(row[column], (int, float)) else str(row[column]).strip().lower()
    if said not in form.values:
        raise BadRow(f"{column}: neither {form.values[0]} nor {form.values[1]}, so no answer is better")
    better = form.values.index(said)
    row["chosen"], row["rejected"] = row[form.answers[better]], row[form.answers[1 - better]]
    used = {*form.answers, column}
    if not set(PROMPTS) & set(row) and isinstance(row.get(PROMPT_OF_COMPARED), str):
        row["prompt"] = row[PROMPT_OF_COMPARED]
        used.add(PROMPT_OF_COMPARED)
    shown = ", ".join(name for name in ("prompt", PROMPT_OF_COMPARED, *form.answers, column) if name in row)
    return f"{form.name} ({shown.replace('prompt, history', 'history')})", used


def conversation_column(row: dict[str, Any]) -> str | None:
    """Return the column with the turns; where they are JSON text, as tables without lists have them, it is parsed."""
    for name in CONVERSATIONS:
        value = row.get(name)
        if isinstance(value, str) and value.lstrip().startswith("["):
            with contextlib.suppress(ValueError, RecursionError):
                row[name] = value = json.loads(value)
        if isinstance(value, list) and value:
            return name
    return None


def transcript(text: str, turn: re.Pattern[str]) -> list[Message]:
    """Return the turns of a text such as ``Human: ... Assistant: ...``; empty where it does not begin with one."""
    marks = list(turn.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    turns = [(mark[1].lower(), text[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]
    return [{"role": role, "content": said} for role, said in turns]
