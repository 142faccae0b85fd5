"""Turn conversations and pairs into token ids by the model's chat template, cut to the longest length.

A row that the template refuses, or that has nothing to learn from, is a :class:`BadRow`.
"""

import dataclasses
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from smallwright_posttrain.rows import BadRow, Message, Row

IGNORED_LABEL = -100
"""What torch's cross-entropy leaves out."""

TOOLS_TEXT = "Tools:\n<tools>\n{tools}\n</tools>"
"""How tools are told of where the chat template shows none: in the marks of Hermes; a call is in <tool_call>."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoded:
    """A row as token ids, by the columns that TRL's collators want."""

    ids: dict[str, list[int]]
    truncated: bool
    """Whether it was longer than the limit."""
    learned: int
    """Tokens that are learned from."""
    noted: frozenset[str] = frozenset()
    """What was done otherwise than the row says: keys that the template does not show, tools written as text."""


class Template:
    """A tokenizer's chat template, and what it can show."""

    def __init__(self, tokenizer: Any, text: str | None = None) -> None:
        """Take the tokenizer's own template, or another for the same tokenizer."""
        self.tokenizer, self._text = tokenizer, text
        shown = text or tokenizer.chat_template
        shown = "\n".join(shown.values()) if isinstance(shown, dict) else shown
        self._shows_tools = re.search(r"\btools\b", shown) is not None
        self._shows_calls = "tool_calls" in shown
        self._shows_reasoning = "reasoning_content" in shown

    def prepare(self, row: Row) -> tuple[Row, frozenset[str]]:
        """Return the row as the template can show it, and what had to be changed for that.

        Tools and their calls, where the template knows none, become text; reasoning is left out.
        """
        noted: set[str] = set()
        tools, columns = row.get("tools"), {key: value for key, value in row.items() if key != "tools"}
        columns = {key: [self._prepared(message, noted) for message in value] for key, value in columns.items()}
        if tools and not self._shows_tools:
            noted.add("tools written as text")
            first = next(iter(columns))
            columns[first] = _with_tools(columns[first], tools)
        elif tools:
            columns["tools"] = tools
        return columns, frozenset(noted)

    def _prepared(self, message: Message, noted: set[str]) -> Message:
        message = dict(message)
        if "reasoning_content" in message and not self._shows_reasoning:
            noted.add("reasoning_content left out: the chat template shows none")
            del message["reasoning_content"]
        if "tool_calls" in message and not self._shows_calls:
            noted.add("tool_calls written as text")
            calls = [_short(call["function"]) for call in message.pop("tool_calls")]
            texts = [message["content"], *(f"<tool_call>\n{call}\n</tool_call>" for call in calls)]
            message["content"] = "\n".join(text for text in texts if text)
        return message

    def ids(self, messages: Sequence[Message], tools: Any = None, *, mask: bool = False, prompt: bool = False) -> Any:
        """Return the token ids of messages; with ``mask`` also a 1 for each token of the assistant's.

        Raises:
            BadRow: the template refuses them.
        """
        try:
            encoded = self.tokenizer.apply_chat_template(
                list(messages), tools=tools, chat_template=self._text, tokenize=True, return_dict=True,
                add_generation_prompt=prompt, return_assistant_tokens_mask=mask,
            )  # fmt: skip
        except Exception as error:  # a template is a program of its own: it raises what it likes
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BadRow(f"the chat template refuses it: {reason[:200]}") from error
        return (encoded["input_ids"], encoded["assistant_masks"]) if mask else encoded["input_ids"]


def encode_chat(
    template: Template, row: Row, limit: int, *, assistant_only: bool, marked: Template | None = None
) -> Encoded:
    """Return ``input_ids`` and ``labels``, in which what is not learned from is -100.

    Args:
        template: What writes the row.
        row: A conversation.
        limit: Most tokens.
        assistant_only: Learn from the assistant's turns alone.
        marked: Tells these, where ``template`` has no marks: it must write the same.

    Raises:
        BadRow: the template refuses it, or nothing within ``limit`` tokens is learned from.
    """
    prepared, noted = template.prepare(row)
    messages, tools = prepared["messages"], prepared.get("tools")
    unlearned = [message.get("weight") == 0 for message in messages if message["role"] == "assistant"]
    if assistant_only:
        ids, mask = (marked or template).ids(messages, tools, mask=True)
        if marked is not None and ids != template.ids(messages, tools):
            raise BadRow("the chat template has no marks of answers, and those put around them do not fit this row")
        mask = _without(mask, unlearned) if any(unlearned) else mask
    elif any(unlearned):
        raise BadRow("messages: a weight of 0 needs assistant_only_loss=true")
    else:
        ids = template.ids(messages, tools)
        mask = [1] * len(ids)
    labels = [token if learned else IGNORED_LABEL for token, learned in zip(ids, mask, strict=True)]
    if all(label == IGNORED_LABEL for label in labels[1:limit]):
        within = f" within max_length={limit} tokens" if len(ids) > limit and any(mask) else ""
        tools_too = ", with its tools written as text" if "tools written as text" in noted else ""
        raise BadRow(f"nothing to learn from{within}{tools_too}")
    return Encoded(
        ids={"input_ids": ids[:limit], "labels": labels[:limit]},
        truncated=len(ids) > limit,
        learned=sum(label != IGNORED_LABEL for label in labels[1:limit]),
        noted=noted,
    )


def encode_pair(template: Template, row: Row, limit: int) -> Encoded:
    """Return ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``.

    The answers begin where the three part, as TRL has it: a template may show a prompt alone otherwise.

    Raises:
        BadRow: the template refuses it, the prompt fills ``limit`` tokens, or the answers are the same within them.
    """
    prepared, noted = template.prepare(row)
    tools = prepared.get("tools")
    prompt = template.ids(prepared["prompt"], tools, prompt=True)
    sides = [template.ids(prepared["prompt"] + prepared[side], tools) for side in ("chosen", "rejected")]
    begin = min(_common(prompt, side) for side in sides)
    if begin >= limit:
        raise BadRow(f"nothing to learn from within max_length={limit} tokens")
    chosen, rejected = (side[begin:limit] for side in sides)
    if chosen == rejected:
        raise BadRow(f"chosen and rejected are the same within max_length={limit} tokens")
    if not chosen or not rejected:
        raise BadRow("an answer that the chat template does not show")
    return Encoded(
        ids={"prompt_ids": prompt[:begin], "chosen_ids": chosen, "rejected_ids": rejected},
        truncated=max(map(len, sides)) > limit,
        learned=len(chosen) + len(rejected),
        noted=noted,
    )


def end_of_turn(tokenizer: Any) -> int | None:
    """Return the last special token of a rendered assistant's turn; None where the template ends it with none."""
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    try:
        ids = Template(tokenizer).ids(messages)
    except BadRow:
        return None
    special = set(tokenizer.all_special_ids)
    return next((token for token in reversed(ids) if token in special), None)


def _short(value: Any) -> str:
    """Return JSON without spaces: each token counts."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _with_tools(messages: list[Message], tools: list[dict[str, Any]]) -> list[Message]:
    functions = [_short(tool.get("function", tool)) for tool in tools]
    text = TOOLS_TEXT.format(tools="\n".join(functions))
    if messages[0]["role"] == "system":
        return [{**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _without(mask: Sequence[int], unlearned: Sequence[bool]) -> list[int]:
    """Return the mask without the turns that are not to be learned from: each turn is one run of ones.

    Raises:
        BadRow: the template marks more or fewer turns than there are.
    """
    runs = [(learned, len(list(run))) for learned, run in itertools.groupby(mask)]
    if sum(learned for learned, _ in runs) != len(unlearned):
        raise BadRow("messages: a weight of 0, and the chat template does not mark each turn")
    turns = iter(unlearned)
    kept: list[int] = []
    for learned, count in runs:
        kept += [int(bool(learned) and not next(turns))] * count
    return kept


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many ids two sequences begin with alike."""
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
