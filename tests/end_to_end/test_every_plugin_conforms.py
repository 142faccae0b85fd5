"""Every architecture, step, post-training method and evaluator of this repository runs the conformance kit."""

import ast
from pathlib import Path

import pytest
from core import discovery, testing

REPOSITORY = Path(__file__).parents[2]
KINDS = ("architectures", "steps", "posttrainers", "evaluators")


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
            kit = getattr(testing, ast.unparse(base.bases[0]), None) if base.bases else None
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
