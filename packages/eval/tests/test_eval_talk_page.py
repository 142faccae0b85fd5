"""The page in front of a served model: which requests it hands on."""

import asyncio
import json

import pytest
from smallwright_eval.talk import page
from smallwright_eval.talk.page import Page


def answered(monkeypatch, *, about=None, key="", path="/v1/completions", kind="http", pieces=(b"{}",), **headers):
    """Return what was sent for a request, and how many bytes of it the server behind the page got."""
    monkeypatch.setenv(page.ABOUT, json.dumps({"local": True} if about is None else about))
    monkeypatch.setenv(page.KEY, key)
    waiting, sent, got = list(pieces), [], []

    async def app(scope, receive, send):
        more = kind == "http"
        while more:
            message = await receive()
            got.append(len(message["body"]))
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    given = [
        (name.replace("_", "-").encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()
    ]
    asyncio.run(Page(app)({"type": kind, "path": path, "method": "POST", "headers": given}, receive, send))
    return sent[0].get("status", sent[0]["type"]), sum(got)


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "127.0.0.1:8000", "127.0.0.1", "[::1]:8000", "[::1]"])
def test_a_server_for_this_machine_answers_to_its_names(monkeypatch, host):
    assert answered(monkeypatch, host=host) == (200, 2)


@pytest.mark.parametrize("path", ["/", "/v1/models", "/health"])
@pytest.mark.parametrize(
    "host", ["evil.example:8000", "localhost.evil.example", "[::1].evil.example", "", "127.0.0.1@evil"]
)
def test_a_name_that_leads_here_for_a_moment_is_refused(monkeypatch, host, path):
    assert answered(monkeypatch, host=host, path=path) == (421, 0)


def test_other_names_are_answered_where_all_can_ask_or_a_key_is_wanted(monkeypatch):
    assert answered(monkeypatch, about={"local": False}, host="gpu7")[0] == 200
    assert answered(monkeypatch, key="k", host="gpu7", authorization="Bearer k")[0] == 200
    assert answered(monkeypatch, key="k", host="gpu7")[0] == 401
    assert answered(monkeypatch, key="k", host="gpu7", kind="websocket")[0] == "websocket.close"


@pytest.mark.parametrize("length", ["16777217", "9" * 400, "-1", "x"])
def test_a_request_that_says_it_is_too_long_is_not_read(monkeypatch, length):
    assert answered(monkeypatch, content_length=length) == (413, 0)


def test_a_request_that_does_not_say_how_long_it_is_is_cut(monkeypatch):
    monkeypatch.setattr(page, "LONGEST_BODY", 100)
    assert answered(monkeypatch, pieces=[b"x" * 60] * 99) == (413, 60)
    assert answered(monkeypatch, pieces=[b"x" * 50] * 2, content_length="100") == (200, 100)
