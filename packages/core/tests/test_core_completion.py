"""A shell that asks gets options of commands, groups, their options, and keys of the settings of the run so far."""

import argparse
import subprocess
import sys

import pytest
from core import completion

pytest.importorskip("argcomplete")
COMMANDS = ("run", "plan", "plugins", "inspect", "lineage", "publish", "store", "study", "compare")
COMMANDS += ("chat", "generate", "serve", "bench")


@pytest.mark.parametrize(
    ("before", "word", "expected"),
    [
        ("", "+da", ["+data="]),
        ("", "+arch=ti", ["+arch=tiny"]),
        ("", "arch=ti", ["arch=tiny"]),
        ("", "arch=tiny,ti", ["arch=tiny,tiny"]),
        ("+arch=tiny +data=toy", "st", ["store="]),
        ("+arch=tiny +data=toy", "data.steps.read", ["data.steps.read_lines.use="]),
        ("+data=nothing", "data.no", []),
        ("+arch=tiny +data=toy", "arch.si", ["arch.size="]),
    ],
)
def test_a_word_is_completed(workdir, before, word, expected):
    words = argparse.Namespace(overrides=before.split(), plugin=["toy_plugin.py"])
    assert set(expected) <= set(found := completion.settings(word, words)), found
    assert expected or not found


def test_a_broken_plugin_file_ends_in_no_words(tmp_path):
    words = argparse.Namespace(overrides=[], plugin=[str(tmp_path / "none.py")])
    assert completion.settings("+da", words) == []


def test_every_command_has_the_mark_that_argcomplete_looks_for():
    from argcomplete import _check_module

    for command in COMMANDS:
        with open(_check_module.find(f"core.{command}"), encoding="utf-8") as file:
            assert "PYTHON_ARGCOMPLETE_OK" in file.read(1024), command


@pytest.mark.parametrize(
    ("words", "answer"),
    [("core.publish --dr", "--dry-run"), ("core.run +hardware=gpu", "+hardware=gpu\n+hardware=gpu8")],
)
def test_a_shell_that_asks_a_command_is_answered(tmp_path, words, answer):
    answered, line = tmp_path / "answered", f"python -m {words}"
    environment = {"_ARGCOMPLETE": "3", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    environment |= {"_ARGCOMPLETE_STDOUT_FILENAME": str(answered), "_ARGCOMPLETE_COMP_WORDBREAKS": " "}
    subprocess.run([sys.executable, "-m", words.split()[0]], env=environment, check=True, timeout=300)
    assert answered.read_text().strip() == answer


def test_models_and_settings_of_their_commands_are_completed(tmp_path, monkeypatch):
    for place in ("store/posttrain/sft-0/manifest.json", "store/data/c-0/manifest.json", "runs/r/report.json"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert completion.models("") == ["runs/r", "store/posttrain/sft-0"]
    assert completion.models("store/po") == ["store/posttrain/sft-0"]
    words = argparse.Namespace(plugin=[])
    assert completion.settings_of("executors", "local", "wo", words) == ["workers="]
    assert completion.settings_of("model_commands", "none", "", words) == []
