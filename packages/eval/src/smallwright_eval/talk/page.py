"""The page to talk to a served model, in front of vLLM's own server."""

import html
import json
import os
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
OPEN = ("/", "/health", "/favicon.ico")
"""What is answered without the key: nothing of it comes from the model."""


class Page:
    """Answer ``/`` with the page and hand everything else on.

    vLLM asks for the key below ``/v1`` only. Where there is one, it is asked for everywhere but at :data:`OPEN`.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app
        self.about = json.loads(os.environ.get(ABOUT, "{}"))
        self.key = os.environ.get(KEY, "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] in ("GET", "HEAD"):
            await self._page(scope["method"], send)
        elif scope["type"] in ("http", "websocket") and not self._may(scope):
            await _answer(send, 401, "application/json", b'{"error": "Unauthorized"}', [])
        else:
            await self.app(scope, receive, send)

    def _may(self, scope: Scope) -> bool:
        if not self.key or scope["path"] in OPEN or scope.get("method") == "OPTIONS":
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        return secrets.compare_digest(given, f"Bearer {self.key}".encode())

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


async def _answer(send: Send, status: int, kind: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
