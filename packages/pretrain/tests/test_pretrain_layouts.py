"""Splitting the model, the sequence or the layers over ranks changes nothing but rounding."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from parallel_ranks import LAYOUTS, SETTINGS
from pretrain_support import write_tokens
from smallwright_pretrain import evaluations, revisions
from smallwright_pretrain.records import read_records

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder for each layout; three processes, side by side, trained them all."""
    tokens = write_tokens(tmp_path_factory.mktemp("tokens"), documents=60, vocab=64)
    output = tmp_path_factory.mktemp("output")
    script = str(Path(__file__).with_name("parallel_ranks.py"))
    ranks = [
        subprocess.Popen([sys.executable, script, str(tokens), str(output), rank], stderr=subprocess.PIPE, text=True)
        for rank in ("alone", "0", "1")
    ]
    for rank in ranks:
        _, said = rank.communicate(timeout=300)
        assert rank.returncode == 0, said[-4000:]
    return output


def curve(folder: Path) -> list[float]:
    """Return the losses of all steps, then the held-out one."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if "loss" in record]
    return [*losses, *(record["validation_loss"] for record in records if "validation_loss" in record)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_ranks_that_split_the_work_train_as_one(trained, layout):
    alone = curve(trained / "alone")
    assert len(alone) == SETTINGS.steps + 2
    assert curve(trained / layout) == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_loss_of_each_corpus_is_that_of_one_rank(trained, layout):
    found = by_corpus(trained / layout)
    assert found.keys() == by_corpus(trained / "alone").keys() == set(range(1, SETTINGS.steps + 1))
    for step, losses in by_corpus(trained / "alone").items():
        assert found[step] == pytest.approx(losses, abs=1e-5)


def by_corpus(folder: Path) -> dict[int, dict[str, float]]:
    return {
        record["step"]: record["loss_by_source"]
        for record in read_records(folder / "metrics.jsonl")
        if "loss_by_source" in record
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_weights_to_evaluate_are_whole_and_those_of_one_rank(trained, layout):
    alone, whole = (
        revisions.read(evaluations.snapshots(trained / name / "evaluations")[3] / evaluations.WEIGHTS)[0]
        for name in ("alone", layout)
    )
    assert whole.keys() == alone.keys()
    for name, weight in alone.items():
        assert (whole[name] - weight).norm() < 1e-4 * weight.norm(), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_weights_to_export_are_whole_and_those_of_one_rank(trained, layout):
    alone = torch.load(trained / "alone" / "state.pt", weights_only=True)
    whole = torch.load(trained / layout / "state.pt", weights_only=True)
    assert whole.keys() == alone.keys()
    for name, weight in alone.items():
        assert (whole[name] - weight).norm() < 1e-4 * weight.norm(), name  # AdamW makes steps of rounding, too
