"""What this repository has of each kind with a class of the kit, such as architectures and trackers, runs it."""

import ast
from pathlib import Path

import pytest
import smallwright_testing
from core import discovery
from core.kinds import KINDS as ALL_KINDS
from smallwright_testing.__main__ import KINDS

REPOSITORY = Path(__file__).parents[2]


def conforming() -> set[tuple[str, str]]:
    """Return kind and name of what a test class of the kit names, read from the sources of all tests."""
    found = set()
    for path in sorted(REPOSITORY.glob("packages/**/tests/test_*.py")):
        source = path.read_text()
        if "smallwright_testing" not in source:
            continue
        classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
        for name, node in classes.items():
            base = node
            while base.bases and (parent := ast.unparse(base.bases[0])) in classes:
                base = classes[parent]
            kit = getattr(smallwright_testing, ast.unparse(base.bases[0]), None) if base.bases else None
            if not name.startswith("Test") or kit is None:
                continue
            for statement in node.body:
                if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "plugin":
                    found.add((kit.kind, ast.literal_eval(statement.value)))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_registered_name_runs_the_kit(kind):
    entries = [entry for entry in discovery.load().entries() if entry.distribution.startswith("smallwright-")]
    registered = {entry.name for entry in entries if entry.kind == kind}
    assert registered
    assert registered <= {name for found, name in conforming() if found == kind}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind.name for kind in ALL_KINDS if kind.base or kind.config_base])
def test_every_registered_name_holds_the_contract(kind):
    """Also those of kinds for which the kit has no class of their own."""
    kit = {"steps": smallwright_testing.StepConformance}.get(kind, smallwright_testing.Conformance)
    entries = [entry for entry in discovery.load().entries() if entry.kind == kind]
    assert entries
    for entry in entries:
        tests = type("Held", (kit,), {"kind": kind, "where": kind, "plugin": entry.name})()
        tests.test_it_subclasses_the_base_of_its_kind()
        tests.test_no_name_is_nearly_one_of_the_contract()
