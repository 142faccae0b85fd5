"""Slurm for tests: a real one of one node where it is installed; else, and for what that seldom does, a stand-in."""

import contextlib
import importlib.util
from pathlib import Path

import pytest

STAND_IN = Path(__file__).with_name("slurm_stand_in.py")
CLUSTER = Path(__file__).parents[2] / "data-plugins/executors/tests/slurm_cluster.py"


def _module(file):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _stand_in(folder):
    slurm = _module(STAND_IN)
    try:
        yield slurm.install(folder)
    finally:
        slurm.end(folder)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Environment variables that lead to Slurm's commands."""
    slurm_cluster = _module(CLUSTER)
    if slurm_cluster.missing() is not None:
        with _stand_in(tmp_path_factory.mktemp("slurm")) as variables:
            yield variables
        return
    with slurm_cluster.slurm_cluster() as variables:
        yield variables


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The folder of the stand-in's jobs; its commands are on the path."""
    with _stand_in(tmp_path) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield Path(variables["STAND_IN_FOR_SLURM"])
