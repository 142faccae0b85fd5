"""What one install brings is every package of the repository."""

import tomllib
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[2]
KIT = "smallwright-testing"


def _project(file: Path) -> dict:
    return tomllib.loads(file.read_text())["project"]


ALL = {_project(file)["name"]: _project(file) for file in sorted(PACKAGES.glob("**/pyproject.toml"))}
OWN = ALL.pop("smallwright")


def _name(requirement: str) -> str:
    return requirement.partition(">")[0].partition("[")[0]


def test_every_package_but_the_kit_is_brought():
    assert sorted(map(_name, OWN["dependencies"])) == sorted(ALL.keys() - {KIT})


@pytest.mark.parametrize("extra", ["cpu", "gpu", "all"])
def test_an_extra_names_extras_that_there_are(extra):
    for requirement in OWN["optional-dependencies"][extra]:
        extras = requirement.partition("[")[2].partition("]")[0].split(",")
        assert set(extras) <= ALL[_name(requirement)]["optional-dependencies"].keys(), requirement
