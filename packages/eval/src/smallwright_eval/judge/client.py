"""Ratings from a server, asked for again where they fail, and given up where the server is down."""

import dataclasses
import json
import os
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from core.cli import printable
from core.errors import ConfigError

from smallwright_eval.judge.settings import JudgeConfig
from smallwright_eval.known import Known

RATING = re.compile(r"\[\[(\d{1,3}(?:\.\d{1,3})?)\]\]")
ALONE = re.compile(r"\[(\d{1,3}(?:\.\d{1,3})?)\]")
"""What MT-Bench takes where a judge forgets the second bracket."""
LOWEST, HIGHEST = 1.0, 10.0
FAILURES_IN_A_ROW = 5
"""Ratings that fail, with all their tries, before no more are asked for: the server is down."""
LONGEST_SAID = 20_000
"""Characters that are kept of a reply."""
WAITS = 0.5
"""Seconds before the second try; each further one waits twice as long, up to ``LONGEST_WAIT``."""
LONGEST_WAIT = 20.0
LONGEST_REPLY = 4 << 20
"""Bytes of a reply that are read; one that is longer is no rating."""
FINAL = (400, 401, 403, 404, 422)
"""Statuses that no second try changes."""

Messages = Sequence[dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Rating:
    """What a judge said of one answer."""

    value: float | None
    """1 to 10; None where it is not known."""
    said: str
    """The last reply, or why there is none."""
    asked: int
    """Requests that were made for it."""
    nonsense: int
    """Replies without a number from 1 to 10."""
    down: bool = False
    """The server did not answer."""

    def __str__(self) -> str:
        return f"{'no rating' if self.value is None else f'{self.value:g}'}: {self.said}"


class Judge:
    """A model behind a server.

    Args:
        config: Where it is and what it is called.
        known: Ratings that it gave before, which are not asked for again; None: none are kept.

    Raises:
        ConfigError: no server is named, or httpx is not installed.
    """

    def __init__(self, config: JudgeConfig, known: Known | None = None) -> None:
        if config.url is None:
            raise ConfigError("eval.judge.url: not set. Name a server: eval.judge.url=http://<host>:<port>/v1")
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise ConfigError(
                'eval.judge: httpx is not installed: pip install "smallwright-eval[generative]"'
            ) from error
        self.config, self.known = config, known
        self._key = key = key_of(config)
        self._client = httpx.Client(
            base_url=config.url.rstrip("/") + "/",
            # Compressed, a few bytes could become gigabytes.
            headers={"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})},
            timeout=httpx.Timeout(config.seconds, connect=min(10.0, config.seconds)),
        )
        self._errors = (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError, RecursionError)
        self._failed_in_a_row = 0
        self._lock = threading.Lock()
        self.waits = WAITS

    def rate_all(self, asked: Sequence[Messages]) -> list[Rating]:
        """Return a rating for each conversation, in their order, ``config.workers`` at a time."""
        with ThreadPoolExecutor(self.config.workers) as pool:
            return list(pool.map(self._rate_once, range(len(asked)), asked))

    def _rate_once(self, place: int, messages: Messages) -> Rating:
        """Return the rating that is known, or ask for it; one without an answer of the judge will be asked for again.

        Args:
            place: Among those of the task: two items may have the same words.
        """
        if self.known is None:
            return self.rate(messages)
        name = {"rated": place, "messages": list(messages)}
        if (known := self.known.get(**name)) is not None:
            return Rating(**known)
        rating = self.rate(messages)
        if not rating.down:
            self.known.add(dataclasses.asdict(rating), **name)
        return rating

    def rate(self, messages: Messages) -> Rating:
        """Return what the judge says; a failed request and a reply without a number are tried again."""
        said, nonsense, failures = "", 0, 0
        for tried in range(self.config.retries + 1):
            if self._is_down():
                return Rating(None, "not asked: the judge is down", tried, nonsense, down=True)
            if tried:
                time.sleep(min(self.waits * 2 ** (tried - 1), LONGEST_WAIT))
            try:
                said = self._ask(messages, tried)
            except _Refused as error:
                self._note(failed=True)
                return Rating(None, self._told(str(error))[:300], tried + 1, nonsense, down=True)
            except self._errors as error:
                said, failures = self._told(f"{type(error).__name__}: {error}")[:300], failures + 1
                continue
            self._note(failed=False)
            value, said = number(said), self._told(said)
            if value is not None:
                return Rating(value, said, tried + 1, nonsense)
            nonsense += 1
        failed = failures > self.config.retries
        if failed:
            self._note(failed=True)
        return Rating(None, said, self.config.retries + 1, nonsense, down=failed)

    def _ask(self, messages: Messages, tried: int) -> str:
        body: dict[str, Any] = {
            "model": self.config.model,
            "messages": list(messages),
            "temperature": self.config.temperature,
            "max_tokens": self.config.max_tokens,
            # The same question would get the same nonsense again.
            "seed": tried,
        }
        ends = time.monotonic() + self.config.seconds
        with self._client.stream("POST", "chat/completions", json=body) as response:
            reply = bytearray()
            for chunk in response.iter_raw():
                reply += chunk
                if len(reply) > LONGEST_REPLY:
                    raise ValueError(f"a reply of more than {LONGEST_REPLY >> 20} MiB")
                if time.monotonic() > ends:  # httpx counts its time anew with each piece
                    raise ValueError(f"no whole reply within {self.config.seconds:g} s")
            if response.status_code in FINAL:
                said = " ".join(reply.decode("utf-8", "replace").split())
                raise _Refused(f"the judge refuses with {response.status_code}: {said}")
            response.raise_for_status()
        content = json.loads(reply)["choices"][0]["message"]["content"]
        return content if isinstance(content, str) else ""

    def _told(self, said: str) -> str:
        """Return what is kept of a reply or an error: without the key, which a server may repeat, and no novel."""
        hidden = said.replace(self._key, "<the key>") if self._key else said
        return printable(hidden)[:LONGEST_SAID]

    def _is_down(self) -> bool:
        with self._lock:
            return self._failed_in_a_row >= FAILURES_IN_A_ROW

    def _note(self, *, failed: bool) -> None:
        with self._lock:
            self._failed_in_a_row = self._failed_in_a_row + 1 if failed else 0


class _Refused(Exception):
    """The server answers, and will not answer otherwise: a wrong key, model or request."""


def key_of(config: JudgeConfig) -> str:
    """Return the key to the server; empty: there is none.

    Raises:
        ConfigError: it cannot be sent. The error of whoever tried to would have it in its words.
    """
    key = os.environ.get(config.key_variable, "").strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(
            f"eval.judge.key_variable={config.key_variable}: the variable holds blanks, line ends or letters that no "
            "key has. Set it to the key alone."
        )
    return key


def number(said: str) -> float | None:
    """Return the rating in a reply, from 1 to 10; None where it has none."""
    match = RATING.search(said) or ALONE.search(said)
    value = float(match[1]) if match else None
    return value if value is not None and LOWEST <= value <= HIGHEST else None
