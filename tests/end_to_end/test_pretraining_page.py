"""``docs/pretraining.md``: its tables of tests name tests that there are, and its pictures are there."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "pretraining.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+)`", PAGE)))
HELD = PAGE.partition("## What is held by which test")[2]


@pytest.fixture(scope="module")
def tests():
    """Names of all tests of the repository."""
    files = [*(REPOSITORY / "packages").glob("**/tests/test_*.py"), *(REPOSITORY / "tests").glob("**/test_*.py")]
    return {
        node.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }


def test_each_test_that_is_named_is_there(tests):
    assert len(NAMED) > 40
    assert [name for name in NAMED if name not in tests] == []


def test_each_row_of_what_is_held_names_a_test():
    rows = [line for line in HELD.splitlines() if line.startswith("| ") and not line.startswith("| row |")]
    assert len(rows) >= 25
    assert [row for row in rows if "`test_" not in row] == []


def test_the_pictures_are_there():
    pictures = re.findall(r"pictures/[\w-]+\.png", PAGE)
    assert pictures
    assert [name for name in pictures if not (REPOSITORY / "docs" / name).is_file()] == []
