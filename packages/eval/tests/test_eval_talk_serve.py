"""One real server, asked by the ``openai`` client and by a person in a browser, and ended by a signal."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
from core import discovery, named_model
from core.errors import ConfigError
from smallwright_eval.talk.config import ServeConfig
from smallwright_eval.talk.serve import Serve
from smallwright_testing.models import tiny_model

KEY = "a-key-of-the-tests"
START_SECONDS = 600
"""On a busy machine vLLM needs minutes to start."""
STOP_AT_ONCE = """
(number) => {
    const watch = new MutationObserver(() => {
        const answer = document.querySelectorAll(".said.assistant")[number];
        if (answer && answer.textContent) { watch.disconnect(); document.getElementById("stop").click(); }
    });
    watch.observe(document.getElementById("talk"), { childList: true, subtree: true, characterData: true });
}
"""
"""A hand that is quicker than a model of 100,000 parameters."""
MARKUP = "<img src=x onerror=\"document.title='hit'\"><b>bold</b>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("served") / "tiny")


class Served:
    """A process of ``core.serve``, and what it said."""

    def __init__(self, folder, log, **environment):
        pytest.importorskip("vllm", reason="the server is an extra")
        self.log = log
        self.mark = f"SERVED_HERE={uuid.uuid4()}".encode()
        name, _, value = self.mark.decode().partition("=")
        # No forks of a process that has imported vLLM: what is left behind is looked for.
        given = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ENGINE_FORKS": "", name: value, **environment}
        command = [sys.executable, "-m", "core.serve", str(folder / "hf"), "port=0", "name=tiny"]
        with open(log, "w") as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                env={**os.environ, **given},
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as a shell does behind &
            )

    def said(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern):
        end = time.monotonic() + START_SECONDS
        while (found := re.search(pattern, self.said(), re.MULTILINE)) is None:
            assert self.process.poll() is None, self.said()[-3000:]
            assert time.monotonic() < end, self.said()[-3000:]
            time.sleep(0.2)
        return found

    def end(self, number):
        """Send a signal, and return the exit code and the processes that are left, of all that were started."""
        self.process.send_signal(number)
        try:
            code = self.process.wait(60)
            end = time.monotonic() + 300
            while (left := self.left()) and time.monotonic() < end:
                time.sleep(0.1)
            return code, left
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def left(self):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes())
        return found


@pytest.fixture(scope="module")
def served(folder, tmp_path_factory):
    served = Served(folder, tmp_path_factory.mktemp("log") / "log", VLLM_API_KEY=KEY)
    try:
        served.wait_for(r"^ready: ")
        yield served
    finally:
        if served.process.poll() is None:
            served.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def url(served):
    return served.wait_for(r"talk to it at (http://127\.0\.0\.1:\d+)/, programs at \1/v1$")[1]


@pytest.fixture(scope="module")
def client(url):
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


def get(url, key=None):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


@pytest.mark.slow
def test_programs_get_what_openais_api_has(client):
    import openai

    (model,) = client.models.list().data
    assert (model.id, model.max_model_len) == ("tiny", 512)
    text = client.completions.create(model="tiny", prompt="One and two", max_tokens=5, temperature=0)
    assert text.usage.completion_tokens == 5
    turns = [{"role": "user", "content": "Hello"}]
    asked = {"model": "tiny", "messages": turns, "max_tokens": 8, "temperature": 0}
    answer = client.chat.completions.create(**asked)
    assert answer.choices[0].finish_reason == "length"
    longer = {**asked, "max_tokens": 64}  # a server that is late sends several tokens at once
    pieces = [
        event.choices[0].delta.content or ""
        for event in client.chat.completions.create(**longer, stream=True)
        if event.choices
    ]
    assert "".join(pieces) == client.chat.completions.create(**longer).choices[0].message.content
    assert len(pieces) > 4
    with pytest.raises(openai.BadRequestError, match="512"):
        client.completions.create(model="tiny", prompt="word " * 2000, max_tokens=5)
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="other", prompt="One")


@pytest.mark.slow
def test_an_answer_that_nobody_waits_for_is_ended(client, url):
    with client.completions.create(
        model="tiny", prompt="One", max_tokens=500, stream=True, extra_body={"ignore_eos": True}
    ) as stream:
        next(iter(stream))
    end = time.monotonic() + 300
    while float(re.search(r"^vllm:num_requests_running\{.*?\} (\S+)$", get(f"{url}/metrics", KEY)[2], re.M)[1]):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert client.completions.create(model="tiny", prompt="One", max_tokens=2).usage.completion_tokens == 2


@pytest.mark.slow
def test_the_key_is_asked_for_everywhere_but_at_the_page(url):
    for path in ("/v1/models", "/metrics", "/tokenize", "/version"):
        assert get(f"{url}{path}")[0] == 401, path
        assert get(f"{url}{path}", "wrong")[0] == 401, path
    assert get(f"{url}/v1/models", KEY)[0] == 200
    assert get(f"{url}/health")[0] == 200
    status, headers, page = get(f"{url}/")
    assert status == 200
    assert KEY not in page
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert not re.search(r"(src|href)=\"?(https?:)?//", page)
    other = urllib.request.Request(f"{url}/health", headers={"Origin": "http://elsewhere.example"})
    with urllib.request.urlopen(other, timeout=300) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.fixture(scope="module")
def tab(url):
    """A browser at the page, and all addresses that it asked."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    from shutil import which

    with sync_api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = own if os.path.exists(own) else which("chromium-headless-shell") or which("chromium")
        if path is None:
            pytest.skip("no Chromium: apt-get install chromium-headless-shell, or playwright install chromium")
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab = opened.new_page(viewport={"width": 390, "height": 844})
        asked, errors = [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: errors.append(error))
        tab.on("console", lambda line: errors.append(line.text) if "Security" in line.text else None)
        tab.goto(url)
        yield tab
        assert errors == []
        assert {found for found in asked if not found.startswith((f"{url}/", "data:"))} == set()
        opened.close()


@pytest.mark.slow
def test_a_person_talks_to_it_in_a_browser(tab):
    from playwright.sync_api import expect

    sent = []
    tab.on("request", lambda request: sent.append(request.post_data_json) if "/v1/chat" in request.url else None)
    assert tab.locator("h1").inner_text() == "tiny"
    tab.get_by_label("Message").fill(MARKUP)
    tab.get_by_label("Message").press("Enter")
    expect(tab.locator(".said.error")).to_contain_text("wants its API key", timeout=300_000)
    assert tab.get_by_label("Message").input_value() == MARKUP
    tab.get_by_label("API key").fill(KEY)
    tab.get_by_label("System prompt").fill("Be brief.")
    for label, value in (("Temperature", "0"), ("Longest answer", "12"), ("Seed", "3")):
        tab.get_by_label(label).fill(value)
    tab.get_by_role("button", name="Send").click()
    answer = tab.locator(".said.assistant")
    expect(answer.locator(".note")).to_contain_text("cut off at the longest answer, 12 tokens", timeout=300_000)
    # What was written is there as text, on both sides.
    assert tab.locator(".said.user").last.inner_text() == MARKUP
    assert tab.locator(".said img, .said b").count() == 0
    assert tab.title() == "Talk to tiny"
    asked = sent[-1]
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": MARKUP},
    ]
    assert (asked["temperature"], asked["max_tokens"], asked["seed"], asked["stream"]) == (0, 12, 3, True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_a_person_stops_an_answer_and_begins_anew(tab):
    from playwright.sync_api import expect

    tab.get_by_label("API key").fill(KEY)
    tab.get_by_label("Longest answer").fill("380")
    before = tab.locator(".said.assistant").count()
    tab.evaluate(STOP_AT_ONCE, before)
    tab.get_by_label("Message").fill("Go on and on.")
    tab.get_by_role("button", name="Send").click()
    answer = tab.locator(".said.assistant").nth(before)
    expect(answer.locator(".note")).to_contain_text("stopped", timeout=300_000)
    assert answer.evaluate("(box) => [...box.childNodes].some((part) => part.nodeType === 3 && part.length > 0)")
    tab.get_by_role("button", name="Reset").click()
    assert tab.locator(".said").count() == 0
    sent = []
    tab.on("request", lambda request: sent.append(request.post_data_json) if "/v1/chat" in request.url else None)
    tab.get_by_label("Longest answer").fill("2")
    tab.get_by_label("Message").fill("Again")
    tab.get_by_role("button", name="Send").click()
    expect(tab.locator(".said.assistant .note")).to_contain_text("2 tokens", timeout=300_000)
    assert [turn["role"] for turn in sent[0]["messages"]] == ["system", "user"]


@pytest.mark.slow
def test_ctrl_c_ends_it_and_nothing_is_left(served, client):
    """Behind the others: it ends their server."""
    assert "curl http://127.0.0.1" in served.said()
    assert KEY not in served.said()
    assert served.end(signal.SIGINT) == (0, [])
    assert served.said().rstrip().endswith("ended.")
    assert "Traceback" not in served.said()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_nothing_is_left_when_it_ends_while_it_starts(folder, tmp_path, number, code):
    served = Served(folder, tmp_path / "log")
    served.wait_for("^starting vLLM")
    end = time.monotonic() + 300
    while len(served.left()) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(2)  # it has begun to import
    assert served.end(number) == (code, [])


def test_an_address_that_is_taken_or_not_this_machines_is_told_at_once(folder):
    pytest.importorskip("torch")
    model = named_model.resolve(str(folder / "hf"), discovery.load())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port={port}: cannot be listened on at 127\.0\.0\.1: .*in use"):
            Serve(ServeConfig(port=port)).check(model)
    with pytest.raises(ConfigError, match=r"host=203\.0\.113\.1|port=8000: cannot be listened on at 203\.0\.113\.1"):
        Serve(ServeConfig(host="203.0.113.1")).check(model)
    with pytest.raises(ConfigError, match=r"max_model_len=513: above the model's 512 positions"):
        Serve(ServeConfig(port=0, max_model_len=513)).check(model)


def test_what_the_page_is_told_of_a_model_cannot_end_its_attribute():
    from smallwright_eval.talk import page

    found = page.render({"name": "\"><script>alert('x')</script>&"}, "n0nce")
    (attribute,) = re.findall(r'data-about="([^"]*)"', found)
    import html

    assert json.loads(html.unescape(attribute))["name"] == "\"><script>alert('x')</script>&"
    assert "<script>alert" not in found


@pytest.mark.parametrize("host", ["\ud800", "a" * 5000, "\0", "no.such.host.invalid"])
def test_a_host_that_is_no_name_is_told(host):
    with pytest.raises(ConfigError, match=r"^host=.*: no address of this machine"):
        Serve(ServeConfig(host=host, port=0))._free_port()


@pytest.mark.parametrize("name", ["", " ", "\0", "\x1b[2J"])
def test_a_name_that_cannot_be_seen_is_refused(name):
    with pytest.raises(ConfigError, match=r"^name=.*Give another"):
        ServeConfig(name=name)
