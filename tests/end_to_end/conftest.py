"""Fixtures of the tests that install smallwright's packages as wheels."""

import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def build_wheel(tmp_path_factory):
    """A function that returns the wheel of a package's folder."""
    backend = pytest.importorskip("hatchling.build", reason="wheels are built without isolation")
    folder = tmp_path_factory.mktemp("wheels")

    def build(package):
        """Call what pip calls, in this process: pip starts Python several times for each package."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(package)
            return folder / backend.build_wheel(str(folder))

    return build


@pytest.fixture(scope="session")
def empty_python():
    """A function that makes a Python in a folder; it returns where its packages are.

    It has links to everything third-party, and none of the workspace's editable installs.
    """

    def make(folder):
        venv.create(folder, symlinks=True)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
        for item in Path(sysconfig.get_path("purelib")).iterdir():
            if item.suffix != ".pth" and "smallwright" not in item.name:
                (packages / item.name).symlink_to(item)
        return packages

    return make


@pytest.fixture(scope="session")
def unpack():
    """A function that does what pip does with a wheel of Python alone, without the seconds in which pip starts."""
    return lambda wheel, folder: zipfile.ZipFile(wheel).extractall(folder)
