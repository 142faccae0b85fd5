"""Ask a server about one document: retries with backoff, other ways to ask, and a record whatever comes back.

The backends that talk to a server share it: they send requests and raise :class:`Failure`; all else is decided here.
"""

import asyncio
import dataclasses
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from core.errors import UserError

from smallwright_labels.label_files import ON_THE_WAY, Record
from smallwright_labels.prompting import Prompt, shown_text
from smallwright_labels.replies import (
    ASK_AGAIN,
    BAD_REQUEST,
    CUT_OFF,
    NO_ANSWER,
    OUTSIDE,
    REFUSED,
    STRUCTURE_CHARS,
    UNPARSED,
    asking,
    read_reply,
    response_format,
)

LONGEST_WAIT = 120.0
SHORTEST_TEXT = 200
DETAIL_CHARS = 500
BAD_STATUSES = (400, 413, 422)
FATAL_STATUSES = (401, 403, 404)
NO_SCHEMA = re.compile(r"response_format|json.?schema|structured.?output|guided.?(?:json|decoding)", re.I)
"""What a server says that refuses every schema, whatever the document."""
TOO_LONG = re.compile(
    r"context|too long|too large|maximum.{0,40}(?:tokens|length)|max_model_len|prompt.{0,20}length", re.I
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completion:
    """What a server answered."""

    text: str
    finish: str | None = None
    refusal: str | None = None
    """The model's refusal, where the server sets it apart from the text."""


class Failure(Exception):
    """A request that brought no completion.

    Args:
        kind: A short, countable phrase: ``timeout``, ``connection``, ``HTTP 503``, ``malformed response``.
        status: The HTTP status, where there was a response.
        detail: What the server said.
        retry_after: Seconds that the server asked to wait.
    """

    def __init__(self, kind: str, *, status: int | None = None, detail: str = "", retry_after: float = 0.0) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind, self.status, self.detail, self.retry_after = kind, status, detail, retry_after

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status is None or self.status in (408, 409, 425, 429) or self.status >= 500


class Send(Protocol):
    """Sends a payload of the chat or the completion endpoint, without the model's name."""

    def __call__(self, payload: dict[str, Any], /) -> Awaitable[Completion]: ...


class Asker:
    """Asks about documents. It remembers when a server takes no schemas, so as not to send one with every request.

    Args:
        config: A :class:`smallwright_labels.config.ScoreLlmConfig`.
        sleep: Waits; a coroutine function of seconds.
    """

    def __init__(self, config: Any, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._config = config
        self._sleep = sleep
        self._structured = config.structured
        self._unanswered = 0

    async def ask(self, text: str, prompt: Prompt, send: Send) -> Record:
        """Return the record of one document. Retries and errors are under ``on_the_way`` in it.

        Raises:
            UserError: the server refuses every request (key, model, address), or has stopped answering.
        """
        retries: Counter[str] = Counter()
        shown, truncated = shown_text(text, self._config.max_chars)
        structured = self._structured
        takes_no_schema = False
        way: dict[str, Any] = {}
        record: Record
        while True:
            try:
                completion = await self._patiently(self._first(shown, prompt, structured), send, retries)
            except Failure as failure:
                if failure.status in FATAL_STATUSES:
                    raise UserError(self._fatal(failure)) from failure
                if failure.status in BAD_STATUSES and TOO_LONG.search(failure.detail) and len(shown) > SHORTEST_TEXT:
                    shown, truncated = shown[: len(shown) // 2], True
                    continue
                if failure.status in BAD_STATUSES and structured:
                    structured = False
                    takes_no_schema = NO_SCHEMA.search(failure.detail) is not None
                    continue
                self._count_unanswered(failure)
                outcome = BAD_REQUEST if failure.status in BAD_STATUSES else NO_ANSWER
                record = {"label": None, "outcome": outcome}
                way["detail"] = str(failure)[:DETAIL_CHARS]
                break
            self._unanswered = 0
            # Only a refusal that would meet every document is remembered: how a document is asked about must not
            # depend on which other one was answered first.
            self._structured = self._structured and not takes_no_schema
            record = await self._read(completion, shown, prompt, structured, send, retries)
            way = record.pop(ON_THE_WAY, {})
            break
        record["prompt"] = prompt.tag
        if truncated:
            record["truncated"] = True
        if retries:
            way["retries"] = dict(sorted(retries.items()))
        if way:
            record[ON_THE_WAY] = way
        return record

    async def _read(
        self, completion: Completion, shown: str, prompt: Prompt, structured: bool, send: Send, retries: Counter[str]
    ) -> Record:
        """Return the record of a reply, asking for the score alone where the reply has none that can be read."""
        if completion.refusal:
            return {"label": None, "outcome": REFUSED, "reply": completion.refusal[:2000]}
        record = read_reply(completion.text, prompt.scale, completion.finish)
        for _ in range(self._config.reask):
            if record["outcome"] not in (CUT_OFF, UNPARSED, OUTSIDE):
                break
            retries[record["outcome"]] += 1
            again = self._again(shown, prompt, structured, completion.text)
            try:
                second = await self._patiently(again, send, retries)
            except Failure as failure:
                if failure.passing:  # another time there would be an answer, and perhaps a label
                    return {"label": None, "outcome": NO_ANSWER, ON_THE_WAY: {"detail": str(failure)[:DETAIL_CHARS]}}
                break  # the first reply stays
            better = read_reply(second.text, prompt.scale, second.finish)
            if better["label"] is not None:
                return {"label": better["label"], "outcome": better["outcome"], "reason": _reason(record, completion)}
        return record

    async def _patiently(self, payload: dict[str, Any], send: Send, retries: Counter[str]) -> Completion:
        wait = self._config.backoff
        for attempt in range(self._config.retries + 1):
            try:
                return await send(dict(payload))
            except Failure as failure:
                if not failure.passing or attempt == self._config.retries:
                    raise
                retries[failure.kind] += 1
                # spread out, so that requests that failed together do not come back together
                await self._sleep(min(max(wait * random.uniform(0.5, 1.5), failure.retry_after), LONGEST_WAIT))
                wait *= 2
        raise AssertionError("the loop returns or raises")

    def _first(self, shown: str, prompt: Prompt, structured: bool) -> dict[str, Any]:
        config = self._config
        ask = asking(prompt.scale, config.justification, structured)
        return self._payload([prompt.filled(shown, ask)], prompt.scale, structured)

    def _again(self, shown: str, prompt: Prompt, structured: bool, reply: str) -> dict[str, Any]:
        ask = asking(prompt.scale, self._config.justification, structured)
        turns = [prompt.filled(shown, ask), reply[:2000] or "-", ASK_AGAIN.replace("{scale}", str(prompt.scale))]
        return self._payload(turns, prompt.scale, False)

    def _payload(self, turns: list[str], scale: int, structured: bool) -> dict[str, Any]:
        config = self._config
        payload: dict[str, Any] = {
            "temperature": config.temperature,
            "top_p": config.top_p,
            "seed": config.seed,
            "max_tokens": reply_tokens(config),
        }
        if config.chat:
            payload["messages"] = [
                {"role": "user" if place % 2 == 0 else "assistant", "content": turn} for place, turn in enumerate(turns)
            ]
        else:
            payload["prompt"] = "\n\n".join(turns) + "\n"
        if structured:
            payload["response_format"] = response_format(scale, config.justification, config.justification_chars)
        return payload

    def _count_unanswered(self, failure: Failure) -> None:
        self._unanswered += 1
        if self._unanswered >= self._config.give_up_after:
            raise UserError(
                f"data.scorer.base_url={self._config.base_url}: {self._unanswered} documents in a row got no answer "
                f"(last: {str(failure)[:200]}). Labels made so far are kept: start again when the server answers."
            ) from failure

    def _fatal(self, failure: Failure) -> str:
        config = self._config
        if failure.status == 404:
            return (
                f"data.scorer.model={config.model}: the server at {config.base_url} does not offer it, or the address "
                f"lacks its path, such as /v1 ({failure.detail[:200] or failure.kind})."
            )
        return (
            f"data.scorer.api_key_env={config.api_key_env}: the server at {config.base_url} refuses the key "
            f"({failure.kind}). Name the environment variable that holds a valid one."
        )


def reply_tokens(config: Any) -> int:
    """Return how many tokens a reply may have: one for each character, unless it is set."""
    if config.max_tokens is not None:
        return int(config.max_tokens)
    return (config.justification_chars if config.justification else 0) + STRUCTURE_CHARS + 1


def _reason(record: Record, completion: Completion) -> str:
    return str(record.get("reason") or completion.text)[:2000]
