"""Finding plugins: one broken plugin is reported and the others work."""

import json
import subprocess
import sys
import textwrap

import pytest
from core import catalog, discovery
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


def test_two_plugins_with_one_name_are_an_error_that_names_both(site):
    install(site, "sw_one", GOOD.format(name="sw_one"))
    install(site, "sw_two", GOOD.format(name="sw_two"))
    with pytest.raises(ConfigError, match=r"sw_one 1\.0 and sw_two 1\.0"):
        discovery.load()


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


def test_a_target_that_cannot_be_imported_says_whose_it_is(site):
    body = GOOD.format(name="sw_lazy").replace("sw_lazy:Shout", "sw_lazy_missing:Shout")
    install(site, "sw_lazy", body)
    with pytest.raises(MissingPluginError, match=r"steps 'shout' of sw_lazy 1\.0 .*sw_lazy_missing"):
        discovery.load().get("steps", "shout").load()


def test_hook_calls_can_be_traced(site):
    install(site, "sw_one", GOOD.format(name="sw_one"))
    script = "from core import discovery; discovery.load()"
    environment = {"PYTHONPATH": str(site), "SMALLWRIGHT_TRACE_HOOKS": "1", "SMALLWRIGHT_PLUGINS": "sw_one"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "register_steps" in done.stderr


def test_commands_import_no_engine(command):
    """Planning, listing and a configuration error must answer quickly: none may import an engine."""
    script = (
        "import sys, json\n"
        "from core import plan, plugins, run\n"
        "plugins.main([]); run.main(['+data=toy', 'data.steps.drop.wrod=x', '--plugin', 'toy_plugin.py'])\n"
        "print(json.dumps([m for m in ('torch', 'transformers', 'vllm', 'datasets') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.strip().splitlines()[-1]) == []
    assert "data.steps.drop.wrod: unknown key. Did you mean 'word'?" in done.stderr


def test_the_install_hints_agree_with_what_first_party_plugins_register(monkeypatch):
    monkeypatch.delenv("SMALLWRIGHT_PLUGINS", raising=False)
    registry = discovery.load()
    installed = {entry.distribution for entry in registry.entries()}
    kinds = catalog._ALIASES
    registered = {(kinds.get(e.kind, e.kind), e.name): e.distribution for e in registry.entries()}
    for (kind, name), package in catalog.PACKAGES.items():
        if kind == "steps" and package in installed:
            assert registered.get((kind, name)) == package
    for entry in registry.entries():
        if entry.kind == "steps" and entry.distribution.startswith("smallwright-"):
            assert catalog.PACKAGES[entry.kind, entry.name] == entry.distribution


def test_the_settings_of_a_name_are_shown(command):
    shown = command("plugins", "show", "drop")
    assert shown.returncode == 0, shown.stderr
    assert "drop (steps) of" in shown.stdout
    assert "word required" in shown.stdout or "word = " in shown.stdout
    unknown = command("plugins", "show", "drpo")
    assert unknown.returncode == 2
    assert "Did you mean 'drop'?" in unknown.stderr
