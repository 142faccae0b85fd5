"""Observers: all are told, and none can end the run."""

import sys

import pytest
from core import discovery, observers
from core.errors import ConfigError

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
        ("raise GeneratorExit('skipped')", "GeneratorExit: skipped"),
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


WATCH = """
import dataclasses
from core.hooks import hookimpl

PLUGIN_API_VERSION = 1
OBSERVER_SETTINGS = "{module}:WatchConfig"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WatchConfig:
    url: str = "here"
    every: int = 5


@hookimpl
def run_started(run): ...
"""


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """The registry of an observer with settings, one without, and a plugin that observes nothing."""
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    files = {"watch_a": WATCH.format(module="watch_a"), "quiet_a": WATCH.replace("OBSERVER_SETTINGS", "OTHER")}
    files["dumb_a"] = "PLUGIN_API_VERSION = 1"
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    yield discovery.load([tmp_path / f"{name}.py" for name in files])
    for name in files:
        sys.modules.pop(name, None)


def test_settings_of_an_observer_are_its_dataclass(watched):
    built = observers.settings({"watch_a": {"url": "http://x"}}, watched)
    assert list(built) == ["watch_a"]
    assert (built["watch_a"].url, built["watch_a"].every) == ("http://x", 5)
    assert observers.settings(None, watched)["watch_a"].url == "here"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"watch_a": {"ulr": "x"}}, "observers.watch_a.ulr: unknown key. Did you mean 'url'?"),
        ({"watch_a": {"every": "x"}}, "observers.watch_a.every='x': expected int"),
        ({"watch_a": 5}, "observers.watch_a=5: expected settings"),
        ({"watch_b": {}}, "observers.watch_b: no plugin of this name observes. Did you mean 'watch_a'?"),
        ({"quiet_a": {}}, "observers.quiet_a: quiet_a.py local file"),
        ({"dumb_a": {}}, "observers.dumb_a: no plugin of this name observes."),
    ],
)
def test_wrong_settings_of_an_observer_are_refused(watched, given, message):
    with pytest.raises(ConfigError) as refused:
        observers.settings(given, watched)
    assert message in str(refused.value)


def test_ctrl_c_in_an_observer_ends_the_run(loaded, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        observers.notify(loaded("raise KeyboardInterrupt"), tmp_path, "run_started", run=None)
