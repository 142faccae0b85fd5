"""``docs/data.md``: every row from A1 to D3 names steps that are registered, and tests that exist."""

import re
from pathlib import Path

from core.discovery import load

REPOSITORY = Path(__file__).parents[2]
ROWS = [f"A{n}" for n in range(1, 11)] + [f"B{n}" for n in range(1, 10)] + [f"C{n}" for n in range(1, 6)]
ROWS += ["D1", "D2", "D3"]


def table():
    lines = (REPOSITORY / "docs" / "data.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| [A-D]\d", line)]
    return {row[0]: row for row in rows}


def test_every_row_is_there_with_a_test_that_exists():
    sources = "\n".join(
        path.read_text() for folder in ("packages", "tests") for path in (REPOSITORY / folder).rglob("test_*.py")
    )
    rows = table()
    assert list(rows) == ROWS
    for row in rows.values():
        tests = re.findall(r"`(test_\w+)`", row[3])
        assert tests, row[0]
        for name in tests:
            assert f"def {name}(" in sources, (row[0], name)


def test_every_step_that_a_row_names_is_registered():
    registry = load()
    steps = set(registry.names("steps"))
    named = {name for row in table().values() for name in re.findall(r"`(\w+)`", row[2])}
    others = {"bpe", "packed", "documents", "finemath"}  # a tokenizer, a packer, recipes
    settings = {name for row in table().values() for group in re.findall(r"\(([^)]*)\)", row[2])
                for name in re.findall(r"\w+", group)}  # fmt: skip
    assert named - settings - others <= steps
    assert len(named & steps) >= 25
