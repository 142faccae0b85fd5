"""The two studies that are shipped, made small by settings alone, in one store: what they write agrees with itself.

Which way they come out is not asked here: docs/studies.md has what they found.
"""

import json
import os
import subprocess
import sys
from statistics import fmean, stdev

import pytest

pytestmark = pytest.mark.slow

SMALL = ["seeds=range(0,2)", "pretrain.steps=8", "data.source.scale=0.2", "pretrain.validation_sequences=8"]
SMALL += ["pretrain.seq_len=128", "executor.workers=1"]
SHORT = ["eval.limit=12", "eval.prompts=[]"]
"""Of the study that evaluates its models."""
LONGEST = 1800
"""Seconds that a study may take on a machine that has other work."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def study(folder):
    """Return a study that was done, as its ``study.json`` has it, and what was printed."""

    def do(name, *more):
        words = [name, *SMALL, *more, f"store={folder / 'store'}", f"run_dir={folder / name}"]
        command = [sys.executable, "-m", "core.study", *words]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads((folder / name / "study.json").read_text()), done.stdout

    return do


@pytest.fixture(scope="module")
def filtered(study):
    return study("filtered_against_unfiltered", *SHORT)


@pytest.fixture(scope="module")
def shared(study, filtered):
    return study("shared_ffn_against_narrow")


def report(folder, found, run):
    return json.loads((folder / found["name"] / run["directory"] / "report.json").read_text())


def test_the_figures_are_those_of_the_runs(folder, filtered, shared):
    ttest = pytest.importorskip("scipy.stats").ttest_rel
    for found, _ in (filtered, shared):
        arms = {arm["name"]: arm for arm in found["arms"]}
        for arm in arms.values():
            values = [run["value"] for run in arm["runs"]]
            assert (arm["mean"], arm["std"]) == pytest.approx((fmean(values), stdev(values)))
            for run in arm["runs"]:
                made = report(folder, found, run)
                eval_rows = {f"pretrain.{row['task']}.{row['metric']}": row["value"] for row in made["eval"]}
                loss = {"pretrain.validation_loss": made["pretrain"]["validation_loss"]}
                assert run["value"] == {**loss, **eval_rows}[found["metric"]]
        (row,) = found["comparisons"]
        one, other = ([run["value"] for run in arms[row[side]]["runs"]] for side in ("arm", "control"))
        assert row["differences"] == pytest.approx([a - b for a, b in zip(one, other, strict=True)])
        assert row["p"] == pytest.approx(ttest(one, other, alternative="less").pvalue)
        assert row["low"] <= row["mean_difference"] <= row["high"]


def test_the_verdict_follows_from_the_figures_and_is_told(folder, filtered, shared):
    for found, printed in (filtered, shared):
        (row,) = found["comparisons"]
        expected = "holds" if row["p"] < 0.05 else "does not hold" if row["p_opposite"] < 0.05 else "undecided"
        assert found["verdict"] == row["verdict"] == expected
        assert (row["seeds_needed"] is not None) == (expected == "undecided")
        assert f"claim    {found['claim']}" in printed
        assert f"verdict  {found['sentence']}" in printed
        page = (folder / found["name"] / "study.html").read_text()
        assert found["claim"] in page
        assert all(f'href="{run["directory"]}/report.html"' in page for arm in found["arms"] for run in arm["runs"])


def test_the_comparison_is_fair(folder, filtered, shared):
    for found, _ in (filtered, shared):
        runs = [report(folder, found, run) for arm in found["arms"] for run in arm["runs"]]
        assert len({run["pretrain"]["tokens"] for run in runs}) == 1
        sizes = {run["pretrain"]["stored_parameters"] for run in runs}
        assert max(sizes) <= 1.02 * min(sizes)
    tokens = {row["artifact"] for run in runs for row in run["stages"] if row["name"] == "tokens"}
    assert len(tokens) == 1, "the losses of the last study are those of one corpus"


def test_what_studies_share_is_made_once(folder, filtered, shared):
    assert len(list((folder / "store" / "data").iterdir())) == 2
    assert len(list((folder / "store" / "pretrain").iterdir())) == 6
    assert len(list((folder / "store" / "eval").iterdir())) == 4
