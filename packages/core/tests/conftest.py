"""Fixtures of core's tests: a working directory with the toy plugin's configs, and the commands."""

import importlib
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from core import compose, discovery, store, worker, workers

WORK = "vocab_size: 10\nsteps: 5\nworkers: 1\nkill_at: -1\nfail: ''\n"
CONFIGS = {
    "data/toy.yaml": (
        "name: toy\npaths: null\nsource: {name: lines, files: 3, lines: 20}\nsteps:\n"
        "  read_lines: {}\n  drop: {word: number 3, fail_on: 'line 5 ', against: []}\n  keep_first: {}\n"
    ),
    "data/other.yaml": "name: other\nsource: {name: lines, files: 2, lines: 9}\nsteps:\n  read_lines: {}\n",
    "arch/tiny.yaml": "name: tiny\nsize: nano\n",
    "tokenizer/count.yaml": "name: count\n" + WORK,
    "tokens/count.yaml": "name: count\n" + WORK,
    "pretrain/count.yaml": "name: count\n" + WORK,
    "posttrain/polish.yaml": "polish:\n  name: polish\n" + "".join(f"  {line}\n" for line in WORK.splitlines()),
    "eval/judge.yaml": "name: judge\n" + WORK,
}
TOY = ["+data=toy", "+arch=tiny", "tokenizer=count", "tokens=count", "pretrain=count", "eval=judge"]


@pytest.fixture
def toy():
    """Overrides of a whole run of the toy plugin."""
    return list(TOY)


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A directory with ``hydra_conf`` and ``toy_plugin.py``, as the working directory; no other plugin is loaded."""
    shutil.copy(Path(__file__).parent / "toy_plugin.py", tmp_path)
    for name, text in CONFIGS.items():
        path = tmp_path / "hydra_conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_plugin", raising=False)
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def command(workdir):
    """Call ``python -m core.<name>`` with the toy plugin and return the finished process."""

    def call(name, *arguments, plugin=True, **environment):
        flags = ["--plugin", "toy_plugin.py"] if plugin else []
        return subprocess.run(
            [sys.executable, "-m", f"core.{name}", *flags, *arguments],
            cwd=workdir,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return call


@pytest.fixture
def call(workdir, capsys):
    """Call ``python -m core.<name>`` with the toy plugin as a function, which takes no time to start Python."""

    def call(name, *arguments, plugin=True):
        flags = ["--plugin", "toy_plugin.py"] if plugin else []
        capsys.readouterr()
        code = importlib.import_module(f"core.{name}").main([*flags, *arguments])
        printed = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=printed.out, stderr=printed.err)

    return call


@pytest.fixture
def registry(workdir):
    """The registry of the toy plugin alone."""
    return discovery.load(["toy_plugin.py"])


@pytest.fixture
def composed(registry, toy):
    """Return the configuration of a whole toy run with these overrides."""
    return lambda *overrides: compose.compose([*toy, *overrides], registry)


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that were done, each in this process: none of the toy stages needs one of its own."""
    done = []

    def do(self, job, logs, *_):
        done.append((job.name, job.output.name))
        if job.name in ("crawl", "data"):  # a pass of DataTrove takes a second
            store.finish(job.output, {**job.record, "stage": job.name, "inputs": {}, "summary": {}})
            return
        try:
            worker._run(job)
        except Exception as error:
            raise workers.StageFailed(str(error)) from error

    monkeypatch.setattr(workers.Workers, "do", do)
    return done


@pytest.fixture
def sweep(call, toy, jobs, workdir):
    """Call ``core.run -m`` for toy runs in the folder ``s``; return the finished command."""
    return lambda *overrides: call("run", "-m", *toy, "run_dir=s", *overrides)


@pytest.fixture
def serve_hub(monkeypatch, tmp_path):
    """A function that serves a stand-in of the hub until the test ends, and leads the hub's client there.

    It is given what answers a request: a function of the request's handler, which has its ``path`` and
    ``answer(status, body, **headers)``. It returns the list of the requests so far, each its verb and path.
    """
    constants = pytest.importorskip("huggingface_hub.constants", reason="the extra 'hub'")
    servers = []

    def serve(respond):
        asked = []

        class Hub(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                asked.append((self.command, self.path.partition("?")[0]))
                respond(self)

            def answer(self, status, body, **headers):
                self.send_response(status)
                for name, value in {"Content_Type": "application/json", **headers, "Content_Length": len(body)}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        servers.append((server, thread))
        address = f"http://127.0.0.1:{server.server_port}"
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        for name, value in (
            ("ENDPOINT", address),
            ("HUGGINGFACE_CO_URL_TEMPLATE", template),
            ("HF_HUB_OFFLINE", False),
            ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ):
            monkeypatch.setattr(constants, name, value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        return asked

    yield serve
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()
