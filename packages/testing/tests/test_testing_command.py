"""``python -m smallwright_testing`` runs the kit on what is registered, and says what holds."""

import importlib.util
from pathlib import Path

import pytest
import smallwright_testing
from smallwright_testing.__main__ import main

BROKEN = str(Path(__file__).with_name("broken_steps.py"))


@pytest.mark.slow
def test_a_broken_plugin_is_told_by_what_it_does_not_hold(tmp_path, capsys):
    page = tmp_path / "report.md"
    assert main(["step_loses", "--plugin", BROKEN, "--markdown", str(page)]) == 1
    out = capsys.readouterr().out
    failed = [line for line in out.splitlines() if line.startswith("failed")]
    assert any("every document is kept or set aside with a reason" in line for line in failed)
    table = page.read_text()
    assert "| every document is kept or set aside with a reason | failed |" in table
    assert "| wrong settings are refused by name | passed |" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such"], "no_such: no registered plugin"),
        (["step_loses", "--plugin", BROKEN, "minimum"], "give a setting"),
        (["gqa", "foo=1", "--quick"], "arch.foo: unknown key."),
        (["gqa", "num_attention_heads=3", "--quick"], "num_attention_heads=3: must divide"),
        (["gqa", "size=huge"], "arch.size=huge: unknown size."),
        (["gopher_quality", "foo=1"], "steps.tested.foo: unknown key."),
    ],
)
def test_what_cannot_be_run_is_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_pytest_one_line_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pytest" else find(name))
    with pytest.raises(ImportError, match=r"smallwright_testing needs pytest\. Install it: pip") as no:
        importlib.reload(smallwright_testing)
    assert no.value.name == "pytest"  # by which core.testing knows what is missing
    monkeypatch.setattr("sys.argv", ["-m", "gqa"])
    with pytest.raises(SystemExit, match=r"^error: smallwright_testing needs pytest"):
        importlib.reload(smallwright_testing)
