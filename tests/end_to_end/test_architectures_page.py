"""``docs/architectures.md``: a row for every size of every installed architecture, with its count; and every part."""

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest
from core import plan
from core.discovery import load

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "architectures.md"
DIMENSIONS = {
    "size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
}
"""Settings that are a size's, and no part."""


def cells(heading):
    """Return the rows of the first table under a heading, cell by cell."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


def names(text):
    return re.findall(r"`([^`]+)`", text)


ROWS = [(names(arch)[0], names(size)[0], count, names(command)[0]) for arch, size, _, count, command in cells("Sizes")]


def test_every_size_of_every_architecture_has_a_row():
    registry = load()
    sizes = [
        (name, size)
        for name in registry.names("architectures")
        for size in registry.get("architectures", name).load_config().SIZES
    ]
    assert sorted((arch, size) for arch, size, _, _ in ROWS) == sorted(sizes)


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "size", "count", "command"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_the_command_of_a_row_prints_its_count(arch, size, count, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    module, arguments = command.removeprefix("python -m ").split(" ", 1)
    assert (module, arguments) == ("core.plan", f"+arch={arch} arch.size={size} +data=finemath")
    assert plan.main([*arguments.split(), "--json"]) == 0
    assert f"{json.loads(capsys.readouterr().out)['stored_parameters']:,}" == count


def test_an_exact_published_count_is_ours():
    for arch, size, published, count, _ in cells("Sizes"):
        exact = re.search(r"\(([\d,]{6,})\)", published)
        assert exact is None or exact[1] == count, (arch, size)


def test_every_setting_of_an_architecture_is_a_part():
    registry = load()
    parts = {key for row in cells("Parts") for key in names(row[0])}
    for name in registry.names("architectures"):
        settings = {field.name for field in dataclasses.fields(registry.get("architectures", name).load_config())}
        assert settings - DIMENSIONS == parts, name


def test_every_part_has_a_source_and_a_test_that_exists():
    folders = ("packages", "tests")
    sources = "\n".join(path.read_text() for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))
    for key, _, _, source, test in cells("Parts"):
        assert re.search(r"arXiv \d{4}\.\d{5}", source), key
        assert names(test), key
    for name in re.findall(r"`(test_\w+)`", PAGE.read_text()):
        assert f"def {name}(" in sources, name


def test_the_letters_of_tensor_names_are_those_of_the_page():
    letters = {letter for letter, _ in cells("Letters")}
    folders = [*(REPOSITORY / "packages" / "arch-plugins").glob("*/src"), REPOSITORY / "packages" / "pretrain" / "src"]
    used: dict[str, set[str]] = {}
    for file in (file for folder in folders for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            name = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else ""
            if suffix := re.fullmatch(r"_?[a-z]\w*_([A-Z0-9]*[A-Z][A-Z0-9]*)", name):
                used.setdefault(suffix[1], set()).add(f"{file.name}: {name}")
    assert "BLD" in used
    assert not {suffix: where for suffix, where in used.items() if set(suffix) - letters - set("0123456789")}
    assert not letters - set("".join(used)), "letters that no tensor has"
