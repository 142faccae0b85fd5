"""The page to talk to a served model, in front of vLLM's own server."""

import html
import json
import os
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.resources import files
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ABOUT = "SMALLWRIGHT_SERVED"
"""Variable with what the page says of the model, as JSON: ``name``, ``turns``, ``context``, ``engine``."""
KEY = "VLLM_API_KEY"
"""Variable with the key that vLLM asks for."""
LOCAL = ("127.0.0.1", "localhost", "::1")
LONGEST_BODY = 16 << 20
"""Bytes of a request; vLLM itself would read any number into memory before it looks at them."""
OPEN = ("/", "/health", "/favicon.ico")
"""What is answered without the key: nothing of it comes from the model."""


class Page:
    """Answer ``/`` with the page and hand everything else on.

    vLLM asks for the key below ``/v1`` only. Where there is one, it is asked for everywhere but at :data:`OPEN`. Where
    there is none, a server that listens on this machine alone answers to its names alone: a page of another site, whose
    name leads to this machine for a moment, could else talk to the model through the user's browser.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app
        self.about = json.loads(os.environ.get(ABOUT, "{}"))
        self.key = os.environ.get(KEY, "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif not self._is_meant(scope):
            await _refuse(
                scope, send, 421, f"this server answers to {', '.join(LOCAL)}; set {KEY} to reach it by other names"
            )
        elif scope["type"] == "http" and scope["path"] == "/" and scope["method"] in ("GET", "HEAD"):
            await self._page(scope["method"], send)
        elif not self._may(scope):
            await _refuse(scope, send, 401, "Unauthorized")
        else:
            await self._hand_on(scope, receive, send)

    def _is_meant(self, scope: Scope) -> bool:
        if self.key or not self.about.get("local"):
            return True
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        return re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", host) is not None

    def _may(self, scope: Scope) -> bool:
        if not self.key or scope["path"] in OPEN or scope.get("method") == "OPTIONS":
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        return secrets.compare_digest(given, f"Bearer {self.key}".encode())

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, unless it is too long, by what it says of itself or by what comes."""
        said = dict(scope["headers"]).get(b"content-length", b"0")
        read, begun, too_long = 0, False, not said.isdigit() or int(said[:20]) > LONGEST_BODY

        async def counted() -> MutableMapping[str, Any]:
            nonlocal read, too_long
            message = await receive()
            read += len(message.get("body", b""))
            if read > LONGEST_BODY:
                too_long = True
                raise ValueError("a request that is too long")
            return message

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if too_long and not begun:
                return  # what the server makes of a request that was cut
            begun = True
            await send(message)

        try:
            if not too_long:
                await self.app(scope, counted, noted)
        except ValueError:
            if not too_long:
                raise
        if too_long and not begun:
            await _refuse(scope, send, 413, f"a request can have {LONGEST_BODY >> 20} MiB")

    async def _page(self, method: str, send: Send) -> None:
        nonce = secrets.token_urlsafe(16)
        body = render(self.about, nonce).encode() if method == "GET" else b""
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-store"),
        ]
        await _answer(send, 200, "text/html; charset=utf-8", body, headers)


def render(about: dict[str, Any], nonce: str) -> str:
    """Return the page, which loads nothing from elsewhere.

    Args:
        about: See :data:`ABOUT`.
        nonce: What its own script and style have, and nothing that a model writes.
    """
    text = (files("smallwright_eval.talk") / "page.html").read_text(encoding="utf-8")
    described = html.escape(json.dumps(about), quote=True)
    return text.replace("{{nonce}}", nonce).replace("{{about}}", described)


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    # What is left of the request is not read.
    await _answer(send, status, "application/json", json.dumps({"error": why}).encode(), [(b"connection", b"close")])


async def _answer(send: Send, status: int, kind: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
