"""``python -m core.plugins new``: what it writes, and what it refuses."""

import importlib.util
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
from core import discovery, new_plugin, plugins
from core.errors import ConfigError, InputError
from core.kinds import TEMPLATES
from core.registry import Entry, PluginRecord, Registry

PLACEHOLDERS = ("plugin_name", "plugin-name", "PluginName", "CORE_RANGE", ".tmpl")


@pytest.fixture
def registry():
    """What core alone registers, and one architecture and one step of others."""
    found = Registry()
    found.add(
        Entry(
            kind="architectures", name="taken", target="a:B", config=None, plugin="other", distribution="other-dist",
            version="1.0",
        )
    )  # fmt: skip
    found.plugins.append(PluginRecord(name="other", distribution="other-dist", version="1.0", status="ok"))
    return found


@pytest.mark.parametrize("kind", TEMPLATES)
def test_the_package_is_whole_and_clean(kind, registry, tmp_path):
    folder = new_plugin.create(kind, "my_part", tmp_path, registry)
    assert folder.parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        text = path.read_text() + str(path.relative_to(folder))
        assert not [word for word in PLACEHOLDERS if word in text], path
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == folder.name
    assert project["entry-points"]["smallwright"] == {"my_part": "smallwright_my_part.plugin"}
    core = next(line for line in project["dependencies"] if line.startswith("smallwright-core"))
    major, minor, *_ = map(int, version("smallwright-core").split("."))
    assert core.endswith(f">={major}.{minor},<{major}.{minor + 1}")
    assert {"README.md", "plugin.py", "config.py", "test_my_part.py"} <= {path.name for path in files}
    if TEMPLATES[kind].group:
        option = folder / "src" / "smallwright_my_part" / "conf" / TEMPLATES[kind].group / "my_part.yaml"
        assert option in files
    for tool in (["check"], ["format", "--check"]):
        ended = subprocess.run(
            [sys.executable, "-m", "ruff", *tool, "--no-cache", "."], cwd=folder, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("arch", "taken", "arch 'taken' is registered already, by other-dist 1.0: choose another name."),
        ("step", "other", "a plugin 'other' is installed already (other-dist): choose another name."),
        ("step", "My-Step", "name 'My-Step': use small letters, digits and single underscores, such as my_step."),
        ("step", "class", "such as my_plugin."),
        ("step", "9lives", "such as lives."),
        ("step", "../up", "such as up."),
        ("step", "", "such as my_plugin."),
        ("arch", "null", "name 'null': YAML or Hydra reads it as a value, not a name. Use one such as null_arch."),
        ("eval", "off", "Use one such as off_eval."),
        ("arch", "json", "name 'json': Python has a module of that name. Use one such as json_arch."),
        ("executors", "mine", "no such kind. Kinds: data, step, arch, posttrain, eval."),
    ],
)
def test_a_bad_or_taken_name_is_refused_in_one_line(kind, name, message, registry, tmp_path):
    with pytest.raises(ConfigError) as caught:
        new_plugin.create(kind, name, tmp_path, registry)
    assert str(caught.value).endswith(message)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_is_installed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    registry = discovery.load()
    (tmp_path / "smallwright_here").mkdir()
    (tmp_path / "smallwright_here" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="a package smallwright_here is installed already"):
        new_plugin.create("step", "here", tmp_path, registry)


def test_nothing_is_overwritten(registry, tmp_path):
    folder = new_plugin.create("step", "mine", tmp_path, registry)
    (folder / "README.md").write_text("mine")
    with pytest.raises(InputError, match="smallwright-data-mine exists already"):
        new_plugin.create("step", "mine", tmp_path, registry)
    assert (folder / "README.md").read_text() == "mine"


@pytest.mark.parametrize("hatchling", [True, False])
def test_the_command_says_what_to_do_next(tmp_path, capsys, monkeypatch, hatchling):
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    find = importlib.util.find_spec
    there = {"hatchling": object() if hatchling else None}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: there[name] if name in there else find(name))
    assert plugins.main(["new", "step", "mine", "--into", str(tmp_path / "deep" / "er")]) == 0
    told = capsys.readouterr().out.splitlines()
    folder = tmp_path / "deep" / "er" / "smallwright-data-mine"
    assert told[0] == f"wrote {folder}"
    assert told[2:] == [
        f"python -m pip install {'--no-deps --no-build-isolation -e ' if hatchling else '-e '}"
        + (f"{folder}" if hatchling else f"'{folder}[test]'"),
        f"python -m pytest {folder}",
        "python -m core.run +data=finemath '+data.steps.mine={}'",
    ]
    assert plugins.main(["new", "step", "mine", "--into", str(tmp_path / "deep" / "er")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_line(registry, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written") as caught:
        new_plugin.create("step", "mine", tmp_path / "file", registry)
    assert "\n" not in str(caught.value)


def test_the_help_names_every_kind(capsys):
    with pytest.raises(SystemExit) as ended:
        plugins.main(["new", "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for kind, about in TEMPLATES.items():
        assert f"{kind:10} {about.about}" in told


def test_a_flag_may_stand_after_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    (tmp_path / "sw_local.py").write_text(
        "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n@hookimpl\ndef register_steps(register):\n"
        '    register("loud", "sw_local:Loud")\n\nclass Loud:\n    """Says it louder."""\n'
    )
    assert plugins.main(["show", "loud", "--plugin", str(tmp_path / "sw_local.py")]) == 0
    assert "Says it louder." in capsys.readouterr().out
