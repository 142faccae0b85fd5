"""Fixtures of core's tests: a working directory with the toy plugin's configs, and the commands as processes."""

import contextlib
import importlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WORK = "vocab_size: 10\nsteps: 5\nworkers: 1\nkill_at: -1\nfail: ''\n"
CONFIGS = {
    "data/toy.yaml": (
        "name: toy\npaths: null\nsource: {name: lines, files: 3, lines: 20}\nsteps:\n"
        "  read_lines: {}\n  drop: {word: number 3, fail_on: 'line 5 ', against: []}\n  keep_first: {}\n"
    ),
    "data/other.yaml": "name: other\nsource: {name: lines, files: 2, lines: 9}\nsteps:\n  read_lines: {}\n",
    "arch/tiny.yaml": "name: tiny\nsize: nano\nhidden_size: null\nvocab_size: null\n",
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
    """Call ``python -m core.<name>`` with the toy plugin and return the finished process.

    Only ``core.run`` is one, for it starts others: the commands that look are called here, twenty times as fast.
    """

    def call(name, *arguments, plugin=True, **environment):
        flags = ["--plugin", "toy_plugin.py"] if plugin else []
        if name != "run":
            return _called_here(importlib.import_module(f"core.{name}"), [*flags, *arguments])
        return subprocess.run(
            [sys.executable, "-m", f"core.{name}", *flags, *arguments],
            cwd=workdir,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return call


def _called_here(module, arguments):
    """Call a command's ``main`` as a new process would: with the local plugin as it is now."""
    sys.modules.pop("toy_plugin", None)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            code = module.main(arguments)
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), errors.getvalue())
