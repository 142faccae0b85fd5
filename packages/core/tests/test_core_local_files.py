"""A local file given with ``--plugin``: it needs no YAML, its content counts, and engines' processes can find it."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from core.process import PLUGIN_FILES_VARIABLE, plugin_files_environment

PROBE = '''
import dataclasses, os, subprocess, sys
from core.hooks import hookimpl

PLUGIN_API_VERSION = 1

@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """What the probe says."""
    word: str = "one"
    numbers: tuple[int, ...] = (1, 2)
    needed: int

class Probe:
    """A corpus of one line: what a child process of this stage is told of local files."""
    def __init__(self, config):
        self.config = config
    def run(self, job):
        code = "import os; print(os.environ.get('SMALLWRIGHT_PLUGIN_FILES'), end='')"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        return {"told": told, "word": self.config.word, "numbers": list(self.config.numbers)}

@hookimpl
def register_corpora(register):
    register("probe", "probe:Probe", config="probe:ProbeConfig")
'''


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """A function that calls a command with the local file ``probe.py``; no other plugin is loaded."""
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    monkeypatch.delenv(PLUGIN_FILES_VARIABLE, raising=False)

    def call(command, *arguments):
        line = [sys.executable, "-m", f"core.{command}", "--plugin", "./probe.py", *arguments]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return call


def manifests(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("store/data/*/manifest.json"))]


@pytest.mark.slow
def test_what_a_local_file_registers_is_an_option_with_its_defaults(probe):
    composed = probe("run", "+data=probe", "data.word=two", "data.needed=3", "--config")
    assert composed.returncode == 0, composed.stderr
    assert yaml.safe_load(composed.stdout)["data"] == {
        "name": "probe", "corpus": "probe", "word": "two", "numbers": [1, 2], "needed": 3, "seed": None,
    }  # fmt: skip
    wrong = probe("run", "+data=probe", "data.wrod=two")
    assert wrong.returncode == 2
    assert "data.wrod: unknown key. Did you mean 'word'?" in wrong.stderr
    unset = probe("run", "+data=probe")
    assert unset.returncode == 2
    assert "data.needed" in unset.stderr
    assert "data=probe" in probe("plugins").stdout


@pytest.mark.slow
def test_a_folder_of_options_wins_over_the_defaults(probe, tmp_path):
    (tmp_path / "hydra_conf" / "data").mkdir(parents=True)
    (tmp_path / "hydra_conf" / "data" / "probe.yaml").write_text("name: probe\ncorpus: probe\nword: mine\nneeded: 1\n")
    assert yaml.safe_load(probe("run", "+data=probe", "--config").stdout)["data"]["word"] == "mine"


@pytest.mark.slow
def test_child_processes_of_a_stage_are_told_where_local_files_are(probe, tmp_path):
    done = probe("run", "+data=probe", "data.needed=1")
    assert done.returncode == 0, done.stderr
    (manifest,) = manifests(tmp_path)
    assert manifest["summary"]["told"] == str(tmp_path / "probe.py")
    assert plugin_files_environment([]) == {}
    assert plugin_files_environment(["/a/x.py", "/b/y.py"]) == {PLUGIN_FILES_VARIABLE: f"/a/x.py{os.pathsep}/b/y.py"}


@pytest.mark.slow
def test_an_edited_local_file_makes_another_artifact(probe, tmp_path):
    assert probe("run", "+data=probe", "data.needed=1").returncode == 0
    again = probe("run", "+data=probe", "data.needed=1")
    assert "reused" in again.stdout
    (tmp_path / "probe.py").write_text(PROBE + "\n# a change\n")
    changed = probe("run", "+data=probe", "data.needed=1")
    assert "reused" not in changed.stdout
    assert len(manifests(tmp_path)) == 2
