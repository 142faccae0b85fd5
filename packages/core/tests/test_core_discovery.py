"""Finding plugins: one broken plugin is reported and the others work."""

import faulthandler
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap

import pytest
from core import discovery, plugins
from core.errors import ConfigError, MissingPluginError


def install(folder, name, body, version="1.0"):
    """Lay down an installed distribution with one plugin module."""
    (folder / f"{name}.py").write_text(textwrap.dedent(body))
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[smallwright]\n{name} = {name}\n")


GOOD = """
    from core.hooks import hookimpl
    PLUGIN_API_VERSION = 1
    @hookimpl
    def register_steps(register):
        register("shout", "{name}:Shout")
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("SMALLWRIGHT_PLUGINS", raising=False)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("sw_")]:
        del sys.modules[name]


def record(registry, name):
    return next(plugin for plugin in registry.plugins if plugin.name == name)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1", "states no PLUGIN_API_VERSION"),
        ("class Skipped(BaseException): ...\nraise Skipped('no GPU')", "Skipped: no GPU"),
        ("PLUGIN_API_VERSION = 99", "upgrade smallwright-core"),
        ("PLUGIN_API_VERSION = 0", "upgrade the plugin"),
        (
            "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n@hookimpl\ndef register_stepz(register): ...",
            "unknown hook 'register_stepz'",
        ),
        (
            "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n@hookimpl\ndef register_steps(wrong): ...",
            "wrong",
        ),
        (
            "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n@hookimpl\n"
            "def register_steps(register): register('a', print)",
            "'module:attribute'",
        ),
        ("import sys\nsys.exit(0)", "calls sys.exit(0) while it is loaded"),
        ("import os\nos._exit(0)", "calls os._exit(0) while it is loaded"),
        ("try:\n    from os import _exit as end\n    end(3)\nexcept Exception: pass", "calls os._exit(3) while it is"),
        (
            "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n@hookimpl\n"
            "def register_steps(register): __import__('os')._exit(1)",
            "calls os._exit(1) while it is loaded",
        ),
        (
            "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n@hookimpl\n"
            "def register_steps(register): raise SystemExit",
            "calls sys.exit(None) while it is loaded",
        ),
    ],
)
def test_a_broken_plugin_is_reported_and_the_others_work(site, body, reason):
    install(site, "sw_good", GOOD.format(name="sw_good"))
    install(site, "sw_broken", body)
    registry = discovery.load()
    assert record(registry, "sw_broken").status == "failed"
    assert reason in record(registry, "sw_broken").reason + record(registry, "sw_broken").traceback
    assert registry.get("steps", "shout").origin == "sw_good 1.0"
    with pytest.raises(MissingPluginError, match="sw_broken"):
        registry.get("steps", "whisper")


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "import time\ntime.sleep(60)",
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        "while True:\n    try:\n        import time; time.sleep(60)\n    except Exception: pass",
        "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n@hookimpl\n"
        "def register_steps(register):\n    while True: pass",
    ],
)
def test_a_plugin_that_does_not_end_its_loading_is_named_and_the_others_work(site, monkeypatch, body):
    monkeypatch.setenv("SMALLWRIGHT_PLUGIN_SECONDS", "0.1")
    install(site, "sw_good", GOOD.format(name="sw_good"))
    install(site, "sw_endless", body)
    registry = discovery.load()
    assert record(registry, "sw_endless").reason == (
        "is not loaded after 0.1 seconds. SMALLWRIGHT_DISABLE_PLUGINS=sw_endless leaves it out, "
        "SMALLWRIGHT_PLUGIN_SECONDS=0.2 waits longer"
    )
    assert registry.get("steps", "shout").origin == "sw_good 1.0"


def in_a_fork(work):
    """Do work that ends the process in a fork of this one; return its exit code and what came out on stderr."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.dup2(writer, 2)
        os.close(writer)
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            faulthandler.disable()  # pytest's
            work()
        finally:
            os.kill(os.getpid(), signal.SIGABRT)
    os.close(writer)
    with open(reader) as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("import ctypes\nctypes.CDLL(None)._exit(0)", 0),
        ("import ctypes\nctypes.string_at(0)", -signal.SIGSEGV),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_a_plugin_that_ends_the_process_where_python_cannot_see_it_is_named(site, body, code):
    install(site, "sw_good", GOOD.format(name="sw_good"))
    install(site, "sw_fatal", body)
    assert in_a_fork(discovery.load) == (
        code,
        "error: the process ended while plugin sw_fatal 1.0 was loaded: by a crash or an exit in C code, or it was "
        "killed. SMALLWRIGHT_DISABLE_PLUGINS=sw_fatal leaves it out; PYTHONFAULTHANDLER=1 shows where it crashes.\n",
    )


def test_a_plugin_that_cannot_be_interrupted_is_named_and_ended(site, monkeypatch):
    monkeypatch.setenv("SMALLWRIGHT_PLUGIN_SECONDS", "0.1")
    install(site, "sw_deaf", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\nwhile 1: pass")
    assert in_a_fork(discovery.load) == (
        -signal.SIGKILL,
        "error: plugin sw_deaf 1.0 is not loaded after 0.3 seconds and does not let itself be interrupted: the command "
        "is ended. SMALLWRIGHT_DISABLE_PLUGINS=sw_deaf leaves it out.\n",
    )


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(site, monkeypatch, seconds):
    monkeypatch.setenv("SMALLWRIGHT_PLUGIN_SECONDS", seconds)
    with pytest.raises(ConfigError, match=f"SMALLWRIGHT_PLUGIN_SECONDS={seconds}: give seconds above 0"):
        discovery.load()


@pytest.mark.parametrize("body", ["import sys; sys.exit(0)", "import os; os._exit(0)", "1 / 0", "def f(:"])
def test_a_target_that_cannot_be_imported_is_named_with_the_cause(site, body):
    install(site, "sw_good", GOOD.format(name="sw_target"))
    (site / "sw_target.py").write_text(body)
    with pytest.raises(MissingPluginError, match=r"steps 'shout' of sw_good 1\.0 cannot be imported"):
        discovery.load().get("steps", "shout").load()


def test_a_name_of_two_plugins_is_refused_where_it_is_used_and_nowhere_else(site, monkeypatch, capsys):
    install(site, "sw_one", GOOD.format(name="sw_one"))
    install(site, "sw_two", GOOD.format(name="sw_two") + '        register("whisper", "sw_two:Whisper")\n')
    registry = discovery.load()
    line = (
        "steps 'shout' is registered by two plugins: sw_one 1.0 and sw_two 1.0. "
        "Uninstall one, or set SMALLWRIGHT_DISABLE_PLUGINS=sw_two."
    )
    with pytest.raises(ConfigError) as refused:
        registry.get("steps", "shout")
    assert str(refused.value) == line
    assert "shout" in registry.names("steps")
    assert registry.get("steps", "whisper").origin == "sw_two 1.0"
    assert [message for _, message in registry.clashes()] == [line]
    assert plugins.main(["--json"]) == 1
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name for name, row in rows.items() if row["status"] == "clash"} == {"sw_one", "sw_two"}
    assert rows["sw_one"]["reason"] == rows["sw_two"]["reason"] == line
    assert rows["sw_two"]["offers"] == {"steps": ["shout", "whisper"]}
    assert plugins.main([]) == 1
    assert f"{line} Offers steps: shout, whisper" in capsys.readouterr().out
    monkeypatch.setenv("SMALLWRIGHT_STRICT", "1")
    with pytest.raises(ConfigError, match=r"sw_one 1\.0 and sw_two 1\.0"):
        discovery.load()


@pytest.mark.slow
def test_a_run_that_uses_no_name_of_two_plugins_goes_on_with_a_warning(command, workdir):
    (workdir / "rival.py").write_text(
        "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n@hookimpl\n"
        "def register_trainers(register): register('count', 'rival:Count')\n"
    )
    unused = command("plan", "+data=toy", "--plugin", "rival.py")
    assert unused.returncode == 0, unused.stderr
    assert unused.stderr.startswith("warning: trainers 'count' is registered by two plugins: toy_plugin.py local file")
    used = command("plan", "+data=toy", "+arch=tiny", "--plugin", "rival.py", "tokenizer=count", "tokens=count",
                   "pretrain=count", "eval=judge")  # fmt: skip
    assert used.returncode == 2
    assert "error: trainers 'count' is registered by two plugins" in used.stderr
    assert used.stderr.rstrip().endswith("Choose another name in rival.py.")


def test_a_plugin_that_registers_a_name_twice_is_broken(site):
    install(site, "sw_one", GOOD.format(name="sw_one") + '        register("shout", "sw_one:Louder")\n')
    registry = discovery.load()
    assert record(registry, "sw_one").reason == "ValueError: register_steps is called twice with the name 'shout'"
    assert "shout" not in registry.names("steps")


def test_two_packages_of_one_name_are_both_left_out_and_named(site):
    install(site, "sw_one", GOOD.format(name="sw_one"))
    install(site, "sw_two", GOOD.format(name="sw_two"))
    (site / "sw_two-1.0.dist-info" / "entry_points.txt").write_text("[smallwright]\nsw_one = sw_two\n")
    registry = discovery.load()
    found = {plugin.distribution: (plugin.status, plugin.reason) for plugin in registry.plugins}
    reason = "sw_one is the name of several plugins: sw_one 1.0 and sw_two 1.0. Uninstall one."
    assert found["sw_one"] == found["sw_two"] == ("failed", reason)
    with pytest.raises(MissingPluginError, match=r"sw_one 1\.0 and sw_two 1\.0"):
        registry.get("steps", "shout")


def test_a_local_file_under_the_name_of_a_package_says_whose_it_is(site):
    install(site, "sw_one", GOOD.format(name="sw_one"))
    local = site / "local" / "sw_one.py"
    local.parent.mkdir()
    local.write_text(GOOD.format(name="sw_one"))
    with pytest.raises(ConfigError) as refused:
        discovery.load([local])
    line = f"--plugin {local}: sw_one is the name of sw_one 1.0 already: rename the file, or uninstall sw_one."
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.txt", "x.txt: not a Python file: give a .py."),
        ("folder", "folder: is a folder. Give a .py file"),
        ("none.py", "none.py: no such file."),
        ("json.py", "json.py: a module named 'json' is installed already: rename the file."),
    ],
)
def test_a_file_that_is_no_plugin_says_what_it_is(site, name, message):
    (site / "local" / "folder").mkdir(parents=True)
    for file in ("x.txt", "json.py"):
        (site / "local" / file).touch()
    with pytest.raises(ConfigError) as refused:
        discovery.load([site / "local" / name])
    assert f"--plugin {site}/local/{message}" in str(refused.value)


def test_a_file_given_twice_is_one_plugin(workdir):
    registry = discovery.load(["toy_plugin.py", "./toy_plugin.py"])
    assert [plugin.name for plugin in registry.plugins if plugin.local] == ["toy_plugin"]
    assert not registry.clashes()


def test_a_disabled_plugin_is_not_imported(site, monkeypatch):
    install(site, "sw_bomb", "raise SystemExit('imported')")
    monkeypatch.setenv("SMALLWRIGHT_DISABLE_PLUGINS", "sw_bomb")
    assert record(discovery.load(), "sw_bomb").status == "disabled"


def test_strict_mode_makes_a_broken_plugin_fatal(site, monkeypatch):
    install(site, "sw_broken", "import no_such_module")
    monkeypatch.setenv("SMALLWRIGHT_STRICT", "1")
    with pytest.raises(ConfigError, match="sw_broken"):
        discovery.load()


def test_an_allow_list_leaves_the_others_out(site, monkeypatch):
    install(site, "sw_one", GOOD.format(name="sw_one"))
    install(site, "sw_bomb", "raise SystemExit('imported')")
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "sw_one")
    registry = discovery.load()
    assert registry.names("steps") == ["shout"]


def test_hook_calls_can_be_traced(site):
    install(site, "sw_one", GOOD.format(name="sw_one"))
    script = "from core import discovery; discovery.load()"
    environment = {"PYTHONPATH": str(site), "SMALLWRIGHT_TRACE_HOOKS": "1", "SMALLWRIGHT_PLUGINS": "sw_one"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "register_steps" in done.stderr
