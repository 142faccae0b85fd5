"""The recipes are found outside of the repository, and in it nothing is found twice."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from core import compose, discovery

CONF = Path(str(files("smallwright_recipes"))) / "conf"


@pytest.fixture(scope="module")
def registry():
    return discovery.load()


def test_every_option_is_offered_by_this_package_where_there_is_no_folder(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    offered = compose.option_index(registry)
    for file in CONF.glob("**/*.yaml"):
        assert offered[str(file.parent.relative_to(CONF))][file.stem] == "smallwright-recipes"


def test_an_experiment_is_composed_outside_of_the_repository(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = compose.compose(
        ["+experiment=smollm2_135m", "+hardware=gpu8", "data.dclm_edu.paths=[x.parquet]"], registry
    )
    assert (config["arch"]["size"], config["pretrain"]["nproc"]) == ("smollm2-135m", 8)


def test_the_same_words_in_the_working_folder_are_one_option_and_others_are_refused(registry, tmp_path, monkeypatch):
    shutil.copytree(CONF, tmp_path / "hydra_conf")
    monkeypatch.chdir(tmp_path)
    assert compose.option_clashes(registry) == {}
    own = tmp_path / "hydra_conf/hardware/gpu.yaml"
    own.write_text(own.read_text() + "\n# and something of my own\n")
    assert list(compose.option_clashes(registry)) == [("hardware", "gpu")]
