"""``examples/``: plugins as strangers write them work where smallwright is wheels, and no source of it is near.

The environment has links to everything third-party, the wheels of some packages and of the examples, and none of the
workspace's editable installs. Of the examples only the tests are copied there.
"""

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in (REPOSITORY / "examples").glob("*/pyproject.toml"))
FORKS = str(REPOSITORY / "tests" / "forks")
PACKAGES = ("core", "testing", "arch-plugins/decoder", "pretrain", "eval", "data-plugins/files")
PACKAGES += ("data-plugins/dedup", "data-plugins/tokenizer")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(build_wheel, empty_python, unpack, tmp_path_factory):
    """A Python with the wheels, and nothing of this repository."""
    root = tmp_path_factory.mktemp("wheels_only")
    packages = empty_python(root / "venv")
    for source in (*(REPOSITORY / "packages" / name for name in PACKAGES), *EXAMPLES):
        unpack(build_wheel(source), packages)
    return root / "venv" / "bin" / "python"


@pytest.fixture
def call(python, tmp_path):
    """Call that Python in an empty folder."""

    def run(*arguments):
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("SMALLWRIGHT_", "PYTHON"))
        }
        environment["OMP_NUM_THREADS"] = "1"
        if forks := os.environ.get("ENGINE_FORKS"):
            environment |= {"ENGINE_FORKS": forks, "PYTHONPATH": FORKS, "ENGINE_NOT_OURS": "1"}
        ended = subprocess.run(
            [python, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
        )
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        return ended.stdout

    return run


def test_no_source_of_the_repository_is_used(call):
    paths = call(
        "-c", "import sys, core, smallwright_decoder; print(core.__file__, smallwright_decoder.__file__, sys.path)"
    )
    assert str(REPOSITORY / "packages") not in paths
    rows = json.loads(call("-m", "core.plugins", "--json"))
    assert {row["status"] for row in rows} == {"ok"}
    names = {tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"] for folder in EXAMPLES}
    assert len(names) == 2
    assert names < {row["distribution"] for row in rows}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name)
def test_the_examples_own_tests_pass(example, call, tmp_path):
    shutil.copytree(example / "tests", tmp_path / "tests")
    shutil.copy(example / "pyproject.toml", tmp_path)
    told = call("-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider", "tests")
    assert "passed" in told
    assert "skipped" not in told or example.name.startswith("smallwright-data")


def test_they_train_a_model_together(call, tmp_path):
    from pydoc_data.topics import topics

    paragraphs = [part for text in topics.values() for part in text.split("\n\n") if len(part) > 100]
    rows = [{"text": text} for text in [*paragraphs, "BUY " * 50]]
    (tmp_path / "texts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    call(
        "-m", "core.run", "+arch=swish_beta", "+data=jsonl", "data.paths=[texts.jsonl]", "+data.steps.no_shouting={}",
        "executor.workers=1",
        "arch.num_hidden_layers=2", "tokenizer.vocab_size=512", "pretrain.steps=4", "pretrain.warmup_steps=1",
        "pretrain.seq_len=64", "pretrain.verify_vllm=false", "eval.engine=transformers", "eval.tasks=[]", "run_dir=run",
    )  # fmt: skip
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    funnel = {row["step"]: row for row in report["funnel"]}
    assert funnel["no_shouting"]["rejected"] == {"a long run of capitals": 1}
    assert report["pretrain"]["verification"]["max_difference"]["TorchTitan - Transformers"] < 1e-4
    assert report["eval"]
