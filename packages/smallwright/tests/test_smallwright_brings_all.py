"""What one install brings is every package of the repository."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


@pytest.mark.parametrize(("lock", "other"), [("cpu", "gpu"), ("gpu", "cpu")])
def test_a_lock_has_a_version_of_all_that_the_packages_ask_for(lock, other):
    lines = (PACKAGES.parent / "constraints" / f"{lock}.txt").read_text().splitlines()
    locked = {canonicalize_name(line.partition("=")[0]): line.rpartition("=")[2] for line in lines if line[0] != "#"}
    wrong = []
    for package in [OWN, *ALL.values()]:
        extras = package.get("optional-dependencies", {})
        asked = [*package["dependencies"], *(line for extra in extras if extra != other for line in extras[extra])]
        for requirement in map(Requirement, asked):
            version = locked.get(canonicalize_name(requirement.name))
            if requirement.name.startswith("smallwright"):
                continue
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                wrong.append(f"{package['name']}: {requirement}, locked {version}")
    assert wrong == [], "renew it: python tools/lock.py"
