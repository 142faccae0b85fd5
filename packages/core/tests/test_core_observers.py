"""Observers: all are told, and none can end the run."""

import sys

import pytest
from core import discovery, observers

NAMES = ("first_observer", "middle_observer", "last_observer")
LOUD = """
import sys
from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def run_started(run):
    {harm}


@hookimpl
def run_finished(run):
    with open("told.txt", "a") as file:
        file.write("{name} ")
"""


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Load a plugin that does harm between two others, all observers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")

    def load(harm):
        files = []
        for name in NAMES:
            files.append(tmp_path / f"{name}.py")
            text = harm if name.startswith("middle") else f'open("{name}.txt", "w").close()'
            files[-1].write_text(LOUD.format(harm=text, name=name))
        return discovery.load(files)

    yield load
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("raise KeyError('a')", "KeyError: 'a'"),
        ("sys.exit(0)", "SystemExit: 0"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("assert False", "AssertionError"),
        ("run.nothing", "AttributeError: 'NoneType' object has no attribute 'nothing'"),
    ],
)
def test_one_that_raises_is_a_warning_with_its_name(loaded, tmp_path, capsys, harm, said):
    registry = loaded(harm)
    observers.notify(registry, tmp_path / "run", "run_started", run=None)
    observers.notify(registry, tmp_path / "run", "run_finished", run=None)
    assert (tmp_path / "first_observer.txt").exists()
    assert (tmp_path / "last_observer.txt").exists()
    assert (tmp_path / "told.txt").read_text() == "last_observer middle_observer first_observer "
    warned = capsys.readouterr().err
    assert warned.startswith("warning: middle_observer.py local file ")
    assert f"failed in run_started: {said}. The run goes on; see {tmp_path}/run/logs/observers.log." in warned
    assert warned.count("\n") == 1
    assert "Traceback" in (tmp_path / "run" / "logs" / "observers.log").read_text()


def test_ctrl_c_in_an_observer_ends_the_run(loaded, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        observers.notify(loaded("raise KeyboardInterrupt"), tmp_path, "run_started", run=None)
