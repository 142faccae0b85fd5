"""Write docs/conformance_report.md: what each plugin of this repository holds of the conformance kit.

python tools/conformance_report.py             # all of it: vLLM, two ranks and training stages included
python tools/conformance_report.py -m "not slow" packages/launchers
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from smallwright_testing import Conformance

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "conformance_report.md"
HEAD = """# What each plugin holds

Written by `python tools/conformance_report.py`, which runs the classes of the conformance kit in the packages' own
tests, with vLLM, two gloo ranks and training stages. "Held" counts sentences of the kit;
[conformance.md](conformance.md) says what each looks at, and how close is close enough. `python -m smallwright_testing
<name>` prints the sentences of one plugin.

| kind | plugin | settings that differ from the kit's | held | skipped | failed |
|---|---|---|---|---|---|
"""


@dataclasses.dataclass
class Row:
    """What one test class found."""

    kind: str
    plugin: str
    settings: Mapping[str, Any]
    held: int = 0
    skipped: list[str] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)

    def markdown(self) -> str:
        """Return the row of the table."""
        settings = " ".join(f"`{key}={value}`".replace("|", "\\|") for key, value in self.settings.items())
        skipped, failed = ("; ".join(sorted(set(names))) for names in (self.skipped, self.failed))
        return f"| {self.kind} | {self.plugin} | {settings} | {self.held} | {skipped} | {failed} |\n"


class Report:
    """A pytest plugin that keeps the kit's classes alone, and counts what they find."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        """By the name of the test class with its file."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out tests that are not of the kit, and make the rows."""
        kits = [
            item for item in items if isinstance(item, pytest.Function) and issubclass(item.cls or object, Conformance)
        ]
        items[:] = kits
        for item in kits:
            self.rows[_class_of(item.nodeid)] = Row(item.cls.kind, item.cls.plugin, item.cls.settings)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the outcome of the test itself, or of what it needed when that failed or skipped it."""
        if report.when != "call" and report.outcome == "passed":
            return
        row = self.rows[_class_of(report.nodeid)]
        if report.outcome == "passed":
            row.held += 1
        elif report.outcome == "skipped":
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            row.skipped.append(reason.removeprefix("Skipped: "))
        else:
            row.failed.append(report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " "))


def _class_of(nodeid: str) -> str:
    return nodeid.rpartition("::")[0]


def main(arguments: Sequence[str]) -> int:
    """Run the kit, write the page and return pytest's exit code."""
    report = Report()
    chosen = list(arguments) or ["packages"]
    code = pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(REPOSITORY), *chosen], plugins=[report])
    rows = sorted(report.rows.values(), key=lambda row: (row.kind, row.plugin, str(row.settings)))
    PAGE.write_text(HEAD + "".join(row.markdown() for row in rows), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
