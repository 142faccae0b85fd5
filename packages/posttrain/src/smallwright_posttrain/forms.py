"""Recognise by its columns in which of the published forms a row is, and bring it into one.

``chat_row`` and ``preference_row`` are what ``sft`` and ``dpo`` read; ``columns`` renames a set's own columns first.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from smallwright_posttrain.columns import (
    ANSWERS,
    COMPARED,
    HH,
    LABELS,
    MATERIALS,
    MEDIA,
    NO_MATERIAL,
    PAIRS,
    PROMPTS,
    SYSTEMS,
    TOOLS,
    TURN,
    conversation_column,
    renamed,
    transcript,
    with_sides,
)
from smallwright_posttrain.rows import (
    SECOND_SYSTEM,
    BadRow,
    Message,
    Row,
    as_messages,
    check_text,
    read_messages,
    read_tools,
)

CHAT_FORMS = (
    "messages (OpenAI, TRL), conversations (ShareGPT), instruction and output (Alpaca), instruction and response "
    "(Dolly), prompt and completion (TRL), prompt, completion and label (KTO), question and answer, text with turns "
    "(### Human:)"
)
PREFERENCE_FORMS = (
    "prompt, chosen and rejected (TRL, HH-RLHF), input, preferred_output and non_preferred_output (OpenAI), "
    "conversations, chosen and rejected (ShareGPT), question, chosen and rejected (Orca), prompt, response_0, "
    "response_1 and better_response_id (PKU-SafeRLHF), history, human_ref_A, human_ref_B and labels (SHP), "
    "conversation_a, conversation_b and winner (Arena)"
)


class UnknownForm(BadRow):
    """The columns of the row fit no form."""

    def __init__(self, reason: str, row: Mapping[str, Any]) -> None:
        super().__init__(reason)
        self.columns = sorted(map(str, row))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Read:
    """A row in the one form that is trained on."""

    row: Row
    form: str
    """Which form it was recognised as, such as ``Alpaca (instruction, input, output)``."""
    ignored: frozenset[str] = frozenset()
    """Columns, and keys of messages, that were not used."""


Reader = Callable[[Mapping[str, Any], Mapping[str, str]], Read]


def chat_row(given: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> Read:
    """Return a conversation: ``messages``, and ``tools`` where there are some.

    Raises:
        UnknownForm: the columns fit no form.
        BadRow: why it cannot be used.
    """
    ignored = set[str]()
    row = renamed(given, columns or {}, ignored)
    _refuse_media(row)
    column, single = conversation_column(row), _prompt_and_answer(row)
    if column is not None and not (single is not None and "prompt" in (columns or {})):
        form, messages, used = _conversation(row, column, ignored)
    elif single is not None:
        form, messages, used = _single(row, *single, ignored)
    elif isinstance(row.get("text"), str) and len(turns := transcript(row["text"], TURN)) > 1:
        form, messages, used = "text with turns (text)", read_messages(turns, "text", ignored), {"text"}
    elif any(row.get(name) is not None for names in (*PAIRS, *(form.answers for form in COMPARED)) for name in names):
        raise UnknownForm("pairs of answers, which dpo learns from, and no conversation", row)
    elif row.get("messages") is not None:
        raise BadRow("messages: not a list of messages")
    else:
        raise UnknownForm("no form that is known: neither messages nor a prompt and an answer", row)
    used |= _refuse_disliked(row)
    messages = _with_system(row, messages, used)
    if messages[-1]["role"] != "assistant":
        raise BadRow(f"{column or 'messages'}: the last one is not the assistant's")
    if len(messages) < 2:
        raise BadRow(f"{column or 'messages'}: nothing comes before the assistant's answer")
    return _read({"messages": messages}, form, row, used, ignored)


def preference_row(given: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> Read:
    """Return a pair: ``prompt``, ``chosen`` and ``rejected``, all as messages, and ``tools`` where there are some.

    ``chosen`` and ``rejected`` may repeat the conversation before the answer, as ultrafeedback_binarized does; then the
    prompt may be missing.

    Raises:
        UnknownForm: the columns fit no form.
        BadRow: why it cannot be used.
    """
    ignored = set[str]()
    row = renamed(given, columns or {}, ignored)
    _refuse_media(row)
    names = next((names for names in PAIRS if any(row.get(name) is not None for name in names)), None)
    answers, compared = row.get("output"), None
    if names is None and (compared := with_sides(row)) is not None:
        names = PAIRS[0]
    elif names is None and isinstance(answers, list) and len(answers) == 2:  # LLaMA-Factory's older form: better, worse
        row["chosen"], row["rejected"] = row.pop("output")
        names = PAIRS[0]
    if names is None:
        labelled = " (sft learns from the liked ones of labelled answers)" if set(LABELS) & set(row) else ""
        raise UnknownForm(f"no form that is known: not two answers, chosen and rejected{labelled}", row)
    used = {*names, *(compared[1] if compared else ())}
    texts = [row.get(name) for name in names]
    if all(isinstance(text, str) and len(transcript(text, HH)) > 1 for text in texts):
        sides = [
            read_messages(transcript(str(text), HH), name, ignored) for name, text in zip(names, texts, strict=True)
        ]
        form, prompt = f"HH-RLHF ({', '.join(names)})", list[Message]()
    else:
        sides = [read_messages(as_messages(row.get(name), "assistant"), name, ignored) for name in names]
        form, prompt = _prompt_of_a_pair(row, names, used, ignored)
    form = compared[0] if compared else form
    shared = _shared(*sides)
    # Answers that repeat the conversation bring it along; a set's own prompt may be its last question only.
    prompt = sides[0][:shared] or prompt
    if not prompt:
        raise BadRow("prompt: missing")
    prompt = _with_system(row, prompt, used)
    chosen, rejected = (messages[shared:] for messages in sides)
    for name, messages in zip(names, (chosen, rejected), strict=True):
        if not messages or messages[0]["role"] != "assistant" or messages[-1]["role"] != "assistant":
            raise BadRow(f"{name}: not an answer of the assistant")
    if prompt[-1]["role"] == "assistant":
        raise BadRow("prompt: the last message is the assistant's")
    if chosen == rejected:
        raise BadRow("chosen and rejected are the same")
    return _read({"prompt": prompt, "chosen": chosen, "rejected": rejected}, form, row, used, ignored)


def _refuse_media(row: Mapping[str, Any]) -> None:
    for key in MEDIA:
        if row.get(key):
            raise BadRow(f"{key}: a model of text cannot read it")


def _refuse_disliked(row: Mapping[str, Any]) -> set[str]:
    """Refuse a row of weight 0, and an answer that people disliked, as KTO's sets label some.

    Returns:
        The columns that say what people thought.
    """
    if row.get("weight") in (0, "0"):
        raise BadRow("weight: 0, a row that is not to be learned from")
    for key in LABELS:
        liked = str(row.get(key)).lower()
        if liked in ("false", "0"):
            raise BadRow(f"{key}: false, an answer that was disliked")
        if liked in ("true", "1"):
            return {key}
    return set()


def _conversation(row: Mapping[str, Any], column: str, ignored: set[str]) -> tuple[str, list[Message], set[str]]:
    value = row[column]
    first = value[0] if value and isinstance(value[0], Mapping) else {}
    if not {"role", "from", "speaker"} & set(first) and "input" in first and "output" in first:  # XTuner
        turns = []
        for turn in value:
            if isinstance(turn, Mapping):
                turns += [{"role": "system", "content": turn["system"]}] if turn.get("system") else []
                turns += [
                    {"role": "user", "content": turn.get("input")},
                    {"role": "assistant", "content": turn.get("output")},
                ]
        return f"XTuner ({column}: input, output)", read_messages(turns, column, ignored), {column}
    if all(isinstance(item, str) for item in value) and value:  # turns that alternate, the user's first
        turns = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(value)]
        return f"alternating turns ({column})", read_messages(turns, column, ignored), {column}
    name = "ShareGPT" if "from" in first else "messages"
    keys = ", ".join(key for key in ("role", "from", "speaker", "content", "value", "text", "parts") if key in first)
    return f"{name} ({column}: {keys})", read_messages(value, column, ignored), {column}


def _prompt_and_answer(row: Mapping[str, Any]) -> tuple[str, str] | None:
    answer = next((name for name in ANSWERS if isinstance(row.get(name), (str, list, Mapping))), None)
    prompt = next((name for name in PROMPTS if isinstance(row.get(name), (str, list)) and row[name]), None)
    return (prompt, answer) if prompt is not None and answer is not None else None


def _single(row: Mapping[str, Any], prompt: str, answer: str, ignored: set[str]) -> tuple[str, list[Message], set[str]]:
    asked, used = _asked(row, prompt)
    messages = read_messages(_as_prompt(asked), prompt, ignored)
    said = read_messages(as_messages(row[answer], "assistant"), answer, ignored)
    if said[: len(messages)] == messages:  # a completion that repeats the prompt
        messages = []
    used |= {answer}
    return _name_of_single(row, prompt, answer, used), _history(row, used) + messages + said, used


def _asked(row: Mapping[str, Any], prompt: str) -> tuple[Any, set[str]]:
    """Return what the user says, with the material that the instruction is about; and the columns it is in."""
    asked, used = row[prompt], {prompt}
    for name in MATERIALS if isinstance(asked, str) and prompt != "input" else ():
        if name in row:
            used.add(name)
            material = row[name]
            if isinstance(material, str) and material.strip() and material.strip().lower() not in NO_MATERIAL:
                asked = f"{asked}\n\n{material}"
    return asked, used


def _as_prompt(asked: Any) -> Any:
    """Return a prompt as messages: a text may have the turns of a conversation, the last one the answer's beginning."""
    turns = transcript(asked, HH) if isinstance(asked, str) else []
    if turns and turns[-1]["role"] == "assistant" and not turns[-1]["content"]:
        return turns[:-1]
    return as_messages(asked, "user")


def _name_of_single(row: Mapping[str, Any], prompt: str, answer: str, used: set[str]) -> str:
    names = {("instruction", "output"): "Alpaca", ("instruction", "response"): "Dolly"}
    name = names.get((prompt, answer), f"{prompt} and {answer}")
    if any(str(row.get(key)).lower() in ("true", "false", "0", "1") for key in LABELS):
        name = "KTO"
    elif isinstance(row[prompt], list):
        name = f"{prompt} and {answer} of messages"
    shown = [key for key in row if key in used or key in (*LABELS, *SYSTEMS)]
    return f"{name} ({', '.join(shown)})"


def _history(row: Mapping[str, Any], used: set[str]) -> list[Message]:
    """Return earlier turns, pairs of question and answer, as Alpaca's ``history`` has them."""
    history = row.get("history")
    if not isinstance(history, list) or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in history):
        return []
    used.add("history")
    turns = [
        {"role": role, "content": text}
        for pair in history
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return read_messages(turns, "history", set()) if turns else []


def _prompt_of_a_pair(
    row: dict[str, Any], names: tuple[str, str], used: set[str], ignored: set[str]
) -> tuple[str, list[Message]]:
    """Return the form of a pair and its prompt, empty where the row has none of its own."""
    style = "OpenAI preference" if names[0] == "preferred_output" else "preference"
    given = row.get("input")
    if isinstance(given, Mapping) and isinstance(given.get("messages"), list):
        used.add("input")
        ignored.update(f"input.{key}" for key in given if key not in ("messages", *TOOLS))
        return f"{style} (input.messages, {', '.join(names)})", read_messages(given["messages"], "input", ignored)
    prompt = next((name for name in PROMPTS if isinstance(row.get(name), (str, list)) and row[name]), None)
    if prompt is not None:
        asked, more = _asked(row, prompt)
        used |= more
        messages = _history(row, used) + read_messages(_as_prompt(asked), prompt, ignored)
        return f"{style} ({', '.join([*sorted(more), *names])})", messages
    column = conversation_column(row)
    if column is not None:
        form, messages, more = _conversation(row, column, ignored)
        used |= more
        # One that ends with an answer is the chosen one again, which repeats the conversation itself.
        return f"{form} with {' and '.join(names)}", [] if messages[-1]["role"] == "assistant" else messages
    value = next((row[name] for name in PROMPTS if row.get(name) is not None), None)
    if value is not None:
        raise BadRow("prompt: not a list of messages")
    return f"{style} ({', '.join(names)})", []


def _shared(ours: list[Message], theirs: list[Message]) -> int:
    """Return how many messages two answers share before they part: the conversation that both repeat."""
    shared = 0
    for one, other in zip(ours, theirs, strict=False):
        last = shared + 1 == min(len(ours), len(theirs))
        if one != other or (last and one["role"] == "assistant"):
            break
        shared += 1
    return shared


def _with_system(row: Mapping[str, Any], messages: list[Message], used: set[str]) -> list[Message]:
    """Put a row's own system column before its messages."""
    column = next((name for name in SYSTEMS if name in row), None)
    if column is None:
        return messages
    used.add(column)
    value = row[column]
    if isinstance(value, Mapping):  # Gemini's {"parts": [{"text": ...}]}
        value = "\n".join(str(part.get("text", "")) for part in value.get("parts") or () if isinstance(part, Mapping))
    if not isinstance(value, str) or not value.strip() or value.strip().lower() == "nan":
        return messages
    if messages[0]["role"] == "system":
        if messages[0]["content"].strip() == value.strip():
            return messages
        raise BadRow(f"{column}: {SECOND_SYSTEM}")
    return [{"role": "system", "content": check_text(value, column)}, *messages]


def _read(row: Row, form: str, given: Mapping[str, Any], used: set[str], ignored: set[str]) -> Read:
    inner = given.get("input")
    places = (given, inner) if isinstance(inner, Mapping) else (given,)
    tools = next((read_tools(place[key]) for place in places for key in TOOLS if place.get(key)), None)
    if tools is not None:
        row["tools"] = tools
    left = {key for key, value in given.items() if key not in {*used, *TOOLS} and value not in (None, "", [], {})}
    return Read(row=row, form=form, ignored=frozenset(left | ignored))
