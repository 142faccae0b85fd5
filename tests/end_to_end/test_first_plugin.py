"""``docs/first_plugin.md``: its files and commands, run in their order in an empty folder."""

import json
import os
import re
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "first_plugin.md"
BLOCK = re.compile(r"^```(\w+)(?: ([\w./-]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STRICT = "set -euo pipefail\n"


def blocks():
    """Language, file name and text of each block of code."""
    return BLOCK.findall(PAGE.read_text())


@pytest.fixture
def python(tmp_path):
    """The folder of a Python that has this one's packages, and into which the page may install its own."""
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    parent = sysconfig.get_path("purelib")
    (own / "parent.pth").write_text(f"import site; site.addsitedir({parent!r})\n")
    return home / "bin"


def test_every_block_is_a_file_or_commands():
    kinds = [(language, bool(name)) for language, name, _ in blocks()]
    assert PAGE.read_text().count("```") == 2 * len(kinds)
    assert set(kinds) == {("python", True), ("bash", False)}


@pytest.mark.slow
def test_the_page_does_what_it_says(python, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SMALLWRIGHT_", "PYTHON"))}
    environment["PATH"] = f"{python}{os.pathsep}{environment['PATH']}"
    if forks := os.environ.get("ENGINE_FORKS"):
        environment |= {"ENGINE_FORKS": forks, "PYTHONPATH": str(PAGE.parents[1] / "tests" / "forks")}
    told = ""
    for language, name, text in blocks():
        if language == "python":
            (folder / name).write_text(text)
            continue
        command = ["bash", "-c", STRICT + text]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
        assert ended.returncode == 0, f"{text}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
        told += ended.stdout
    assert "mine (architectures) of mine.py local file" in told
    assert "largest differences in nats" in told
    for run, origin in (("first", "mine.py local file "), ("second", "smallwright-arch-mine 1")):
        report = json.loads((folder / run / "report.json").read_text())
        assert not [stage for stage in report["stages"] if stage["status"] == "failed"]
        differences = report["pretrain"]["verification"]["max_difference"]
        assert set(differences) == {"TorchTitan - Transformers", "TorchTitan - vLLM"}
        assert max(differences.values()) < 1e-4
        assert report["eval"]
        assert _plugin_of_architecture(report).startswith(origin)
    reused = {stage["name"] for stage in report["stages"] if stage["status"] == "reused"}
    assert reused == {"data", "tokenizer", "tokens"}


def _plugin_of_architecture(report):
    (trained,) = [stage for stage in report["stages"] if stage["name"] == "pretrain"]
    manifest = json.loads((Path(trained["artifact"]) / "manifest.json").read_text())
    return "{plugin} {artifact_version}".format(**manifest["identity"]["arch"])
