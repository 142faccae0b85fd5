"""What ``core.plugins new`` writes is installed, its own tests pass, and one run uses all of it.

``tests/end_to_end/test_first_plugin.py`` does this with an architecture.
"""

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

KINDS = {"data": "my_data", "step": "my_step", "posttrain": "my_method", "eval": "my_measure"}


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """A function that calls a Python which has the packages of this one, and the new ones."""
    pytest.importorskip("hatchling", reason="packages are installed without isolation")
    for package in ("smallwright_pretrain", "smallwright_gqa", "smallwright_tokenizer", "smallwright_files"):
        pytest.importorskip(package, reason="the run and the conformance kit need it")
    root = tmp_path_factory.mktemp("new_plugins")
    venv.create(root / "venv", symlinks=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(root / "venv"), "platbase": str(root / "venv")}))
    (own / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SMALLWRIGHT_", "PYTHON"))}
    if forks := os.environ.get("ENGINE_FORKS"):
        environment |= {"ENGINE_FORKS": forks, "PYTHONPATH": str(Path(__file__).parents[3] / "tests" / "forks")}

    def run(*arguments):
        command = [root / "venv" / "bin" / "python", "-m", *arguments]
        ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        return ended.stdout

    run.root, run.folders = root, {}
    for kind, name in KINDS.items():
        run("core.plugins", "new", kind, name)
        (run.folders[name],) = root.glob(f"smallwright-*-{name.replace('_', '-')}")
    editable = [argument for folder in run.folders.values() for argument in ("-e", str(folder))]
    run("pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", *editable)
    return run


@pytest.fixture(scope="module")
def own_tests(call):
    """What pytest says of each test of the new packages, all in one process."""
    folders = map(str, call.folders.values())
    return call("pytest", "-v", "-p", "no:cacheprovider", "--import-mode=importlib", f"--rootdir={call.root}", *folders)


@pytest.mark.parametrize("name", KINDS.values())
def test_its_own_tests_pass(name, call, own_tests):
    outcomes = [line for line in own_tests.splitlines() if line.startswith(f"{call.folders[name].name}/")]
    assert any(" PASSED " in outcome for outcome in outcomes), own_tests


def test_one_run_uses_all_of_it(call):
    call(
        "core.run", "+data=my_data", "+data.steps.my_step={}", "+posttrain=my_method", "eval=my_measure", "run_dir=run",
        "+arch=gqa", "arch.hidden_size=64", "arch.intermediate_size=128", "arch.num_hidden_layers=2",
        "tokenizer.vocab_size=512", "pretrain.steps=4", "pretrain.warmup_steps=1", "pretrain.seq_len=64",
        "pretrain.verify_vllm=false", "posttrain.my_method.steps=3", "eval.documents=5",
        "executor.workers=1",
    )  # fmt: skip
    report = json.loads((call.root / "run" / "report.json").read_text())
    assert [row["step"] for row in report["funnel"]] == ["read", "exact_dedup", "my_step"]
    assert [(row["model"], row["metric"], row["n"]) for row in report["eval"]] == [
        ("pretrain", "my_measure", 5),
        ("my_method", "my_measure", 5),
    ]
    measured = report["posttrain"]["my_method"]
    assert measured["eval_after"]["loss"] < measured["eval_before"]["loss"]
