"""Labels from an OpenAI-compatible server: many requests at a time, each with its own retries."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

from core.errors import InputError

from smallwright_labels.asking import DETAIL_CHARS, Asker, Completion, Failure
from smallwright_labels.label_files import Item, Record
from smallwright_labels.prompting import Prompts
from smallwright_labels.replies import NO_PROMPT


class Connection:
    """HTTP requests to an OpenAI-compatible server.

    Args:
        base_url: Address up to and with ``/v1``.
        model: The model's name on the server.
        key: Sent as a bearer token.
        timeout: Seconds for a whole request.
        chat: The chat endpoint, or the completion endpoint.
        connections: Requests at the same time.
    """

    def __init__(
        self, *, base_url: str, model: str, key: str | None, timeout: float, chat: bool, connections: int
    ) -> None:
        import httpx  # an extra: only servers need it

        self._httpx = httpx
        self._model, self._key, self._timeout, self._chat = model, key, timeout, chat
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout, connect=min(30.0, timeout), pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def models(self) -> list[dict[str, Any]]:
        """Return what the server says about its models; nothing where it does not say.

        Raises:
            Failure: nobody answers.
        """
        try:
            response = await asyncio.wait_for(self._client.get("models"), min(30.0, self._timeout))
            listed = response.json()["data"]
            return [model for model in listed if isinstance(model, dict)]
        except (self._httpx.TransportError, TimeoutError) as error:
            raise Failure("connection", detail=self._without_key(f"{type(error).__name__} {error}")) from None
        except (ValueError, KeyError, TypeError):
            return []

    async def send(self, payload: dict[str, Any]) -> Completion:
        """Send one request.

        Raises:
            Failure: no completion came back.
        """
        payload["model"] = self._model
        try:
            # httpx's own limit is for each piece of a response: a server that trickles would never reach it
            response = await asyncio.wait_for(
                self._client.post("chat/completions" if self._chat else "completions", json=payload), self._timeout
            )
        except (self._httpx.TimeoutException, TimeoutError) as error:
            raise Failure("timeout") from error
        except (self._httpx.TransportError, self._httpx.DecodingError) as error:
            raise Failure("connection", detail=self._without_key(f"{type(error).__name__} {error}")) from None
        if response.status_code != 200:
            detail = self._without_key(response.text)
            wait = _seconds(response.headers.get("retry-after"))
            raise Failure(f"HTTP {response.status_code}", status=response.status_code, detail=detail, retry_after=wait)
        try:
            return read_completion(response.content, self._chat)
        except Failure as failure:
            raise Failure(failure.kind, detail=self._without_key(failure.detail)) from None

    def _without_key(self, said: str) -> str:
        """Take the key out of what a server said: it is shown and kept, and some servers repeat the key."""
        return (said.replace(self._key, "***") if self._key else said).strip()[:DETAIL_CHARS]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def read_completion(body: bytes, chat: bool) -> Completion:
    """Return the completion in a response of the chat or the completion endpoint.

    Raises:
        Failure: the body is no such response, for instance cut off.
    """
    try:
        choice = json.loads(body)["choices"][0]
        if chat:
            message = choice["message"]
            text, refusal = message.get("content") or "", message.get("refusal")
        else:
            text, refusal = choice["text"] or "", None
        return Completion(text=str(text), finish=choice.get("finish_reason"), refusal=refusal)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise Failure("malformed response", detail=body[:200].decode("utf-8", "replace")) from error


class ServerBackend:
    """Labels documents on a server. Answers come in the order in which they are ready."""

    def __init__(self, config: Any, prompts: Prompts) -> None:
        self._config, self._prompts = config, prompts
        self.served: dict[str, Any] = {}
        """What the server says about the model."""

    def label(self, items: Iterator[Item]) -> Iterator[tuple[Item, Record]]:
        """Yield each item with its record.

        Raises:
            InputError: nobody answers at the address.
            UserError: the server refuses every request, or stops answering.
        """
        config = self._config
        first = next(items, None)
        if first is None:
            return  # no label is missing, so nobody needs the server
        config.check_libraries("data.scorer")
        connection = Connection(
            base_url=config.base_url,
            model=config.model,
            key=config.api_key(),
            timeout=config.timeout,
            chat=config.chat,
            connections=config.concurrency,
        )
        asker = Asker(config)
        loop = asyncio.new_event_loop()
        pending: set[asyncio.Task] = set()

        async def one(item: Item) -> tuple[Item, Record]:
            prompt = self._prompts.of(item.metadata)
            if prompt is None:
                return item, {"label": None, "outcome": NO_PROMPT}
            return item, await asker.ask(item.text, prompt, connection.send)

        try:
            self._look(loop, connection)
            for item in itertools.chain([first], items):
                pending.add(loop.create_task(one(item)))
                if len(pending) >= config.concurrency:
                    done, pending = loop.run_until_complete(asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED))
                    yield from _results(done)
            while pending:
                done, pending = loop.run_until_complete(asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED))
                yield from _results(done)
        finally:
            loop.run_until_complete(_end(pending, connection))
            loop.close()

    def _look(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        for attempt in range(self._config.retries + 1):
            try:
                models = loop.run_until_complete(connection.models())
                break
            except Failure as failure:
                if attempt == self._config.retries:
                    raise InputError(
                        f"data.scorer.base_url={self._config.base_url}: no server answers there ({failure.detail})."
                    ) from failure
                loop.run_until_complete(asyncio.sleep(self._config.backoff * 2**attempt))
        own = next((model for model in models if model.get("id") == self._config.model), {})
        self.served = {key: own[key] for key in ("id", "root", "owned_by", "max_model_len") if own.get(key)}


async def _end(pending: set[asyncio.Task], connection: Connection) -> None:
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    await connection.close()


def _results(done: set[asyncio.Task]) -> Iterator[tuple[Item, Record]]:
    """Yield what came of the tasks, all answers before the first error."""
    failed = [task for task in done if task.exception() is not None]
    yield from (task.result() for task in done - set(failed))
    for task in failed:
        task.result()


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or 0))
    except ValueError:  # a date: our own waiting will do
        return 0.0
