"""A real training in two rounds: the second learns from windows that the first left hard, also after a kill.

In this process: one rank, which needs no launcher. One run is shared; others are compared with it.
"""

import dataclasses
import json

import numpy as np
import pytest
from core import store
from core.interfaces import Job
from pretrain_support import Killed, Tiny, TinyConfig, one_rank_here, write_two_corpora
from smallwright_pretrain import drawing, revisions, round_files, stage, window_pass
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.cpu import use_device
from smallwright_pretrain.forgetting import ForgettingConfig
from smallwright_pretrain.records import read_records
from smallwright_pretrain.rounds_config import RoundsConfig
from smallwright_pretrain.segments import stages
from smallwright_pretrain.sources import Sources

use_device("cpu")

import torch  # noqa: E402
from smallwright_pretrain import between_rounds, forgetting_run  # noqa: E402
from smallwright_pretrain.trainer import PackedTrainer  # noqa: E402

SETTINGS = TorchTitanConfig(
    steps=9,
    seq_len=16,
    global_batch_size=4,
    learning_rate=1e-2,
    warmup_steps=2,
    checkpoint_interval=4,
    keep_latest=0,
    validation_interval=3,
    validation_sequences=2,
    device="cpu",
    verify_vllm=False,
    mixture={"web": 0.5, "code": 0.5},
    forgetting=ForgettingConfig(windows=8, margin=0.0),
    rounds=RoundsConfig(temperature=0.01),  # so low that the few windows of a test are drawn by their losses
)
FILES = (
    "metrics.jsonl",
    "forgetting.jsonl",
    "hf/model.safetensors",
    "rounds/step-6/drawn.json",
    "rounds/step-6/shard-000000.safetensors",
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return write_two_corpora(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="module")
def run(tokens):
    with one_rank_here() as patch:
        patch.setattr(drawing, "SHARD", 10)

        def do(output, settings=SETTINGS, **inputs):
            output.mkdir(exist_ok=True, parents=True)
            job = Job(
                name="pretrain",
                output=output,
                inputs={**tokens, **inputs},
                seed=7,
                architecture=Tiny(TinyConfig(num_hidden_layers=1)),
            )
            summary = stage.TorchTitanPretrain(settings).run(job)
            made_by = {"folder": "pretrain", "identity": {}, "external_files": [], "inputs": {}, "stage": "pretrain"}
            store.finish(output, {**made_by, "config": dataclasses.asdict(settings), "summary": summary})
            return summary

        yield do


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "artifact"
    return output, run(output)


def feed_of(output, tokens):
    corpora = {role.removeprefix("tokens-"): folder for role, folder in tokens.items()}
    return Sources(corpora, stages(SETTINGS), round_files.found(SETTINGS, output)).feed(7)


def test_the_second_round_trains_once_on_half_of_the_windows_the_harder_ones(whole, tokens):
    output, summary = whole
    assert [(one.name, one.first, one.last) for one in stages(SETTINGS)] == [("round-1", 1, 6), ("round-2", 7, 9)]
    [made] = summary["rounds"]
    assert (made["round"], made["windows"], made["drawn"], made["rate"]) == (2, 24, 12, 0.5)
    assert made["mean_loss_drawn"] > made["mean_loss"]
    feed = feed_of(output, tokens)
    first, second = feed.trained_windows([0]), feed.trained_windows([1])
    pairs = [set(zip(*map(np.ndarray.tolist, listed), strict=True)) for listed in (first, second)]
    assert (len(pairs[0]), len(pairs[1])) == (24, 12)
    assert pairs[1] < pairs[0], "no window is drawn that the first round did not train on, and none twice"


def test_the_account_counts_what_was_drawn(whole):
    _, summary = whole
    one, two = summary["mixture"]["stages"]
    [made] = summary["rounds"]
    assert two["drawn"]
    assert "drawn" not in one
    for name, row in two["sources"].items():
        assert (row["declared"], row["tokens"]) == (None, 16 * made["by_source"][name]["drawn"])
        assert row["realised"] == made["by_source"][name]["drawn"] / 12
        read = summary["mixture"]["corpora"][name]["tokens"]
        assert read == one["sources"][name]["tokens"] + row["tokens"]


def test_a_revision_says_what_was_drawn(whole, tokens):
    job = Job(name="pretrain", output=whole[0], inputs=tokens, seed=7, stage=stage.TorchTitanPretrain(SETTINGS))
    data = revisions.data_so_far(job, 9, {"stage": 1, "position": 12, "skipped": "[]"})
    sources = whole[1]["mixture"]["stages"]
    assert data["sequences"] == {
        name: sum(part["sources"][name]["tokens"] for part in sources) // 16 for name in ("web", "code")
    }


def test_what_the_first_round_taught_is_measured_again_in_the_second(whole):
    output, summary = whole
    lines = read_records(output / "forgetting.jsonl")
    assert [(line["step"], line["stage"], line["position"]) for line in lines] == [(3, 0, 12), (6, 0, 24), (9, 1, 12)]
    assert [len(line["again"]) for line in lines] == [0, 2, 4], "a window of each corpus a measurement"
    known = [*lines[0]["trained"], *lines[1]["trained"]]
    assert sorted(row[:3] for row in lines[2]["again"]) == sorted(known), "also in the round behind that of the windows"
    shares = {
        record["step"]: record["forgotten_windows_by_corpus"]
        for record in read_records(output / "metrics.jsonl")
        if "forgotten_windows_by_corpus" in record
    }
    assert shares.keys() == {6, 9}
    assert summary["forgetting"]["step"] == 9
    for name, own in summary["forgetting"]["by_source"].items():
        rises = [now - then for source, _, then, now in lines[2]["again"] if source == name]
        assert own == {"windows": 2, "forgotten": sum(r > 0 for r in rises) / 2, "rise": pytest.approx(sum(rises) / 2)}
        assert shares[9][name] == own["forgotten"]


@pytest.mark.parametrize(
    "where", ["in the pass", "before the draw", "in the second round", "behind the metrics of the meter"]
)
def test_a_killed_training_draws_and_learns_the_same(run, whole, tmp_path, monkeypatch, where):
    output = tmp_path / "killed"
    with monkeypatch.context() as patch:
        if where == "in the pass":
            write = window_pass.WindowPass.write
            patch.setattr(window_pass.WindowPass, "write", killed(write, lambda _, number, __: number == 1))
        elif where == "behind the metrics of the meter":
            patch.setattr(forgetting_run, "append", killed(forgetting_run.append, lambda _, line: line["step"] == 9))
        elif where == "before the draw":
            patch.setattr(between_rounds, "draw_from", killed(drawing.draw_from, lambda *_: True))
        else:
            patch.setattr(PackedTrainer, "train_step", killed(PackedTrainer.train_step, lambda own, _: own.step == 9))
        with pytest.raises(Killed):
            run(output)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    measured, measure = [], between_rounds.go_through
    monkeypatch.setattr(
        between_rounds, "go_through", lambda over, by, numbers, **more: measured.append(numbers) or measure(
            over, by, numbers, **more
        )
    )  # fmt: skip
    run(output)
    assert measured == {
        "in the pass": [[1, 2]],
        "before the draw": [[]],
    }.get(where, [])
    for file in FILES:
        assert (output / file).read_bytes() == (whole[0] / file).read_bytes(), file


def killed(original, when):
    def function(*given):
        if when(*given):
            raise Killed
        return original(*given)

    return function


def test_a_branch_into_the_second_round_takes_what_was_drawn(run, whole, tmp_path):
    run(tmp_path / "branch", dataclasses.replace(SETTINGS, branch_from=f"{whole[0]}@8"), branch=whole[0])
    for file in FILES:
        assert (tmp_path / "branch" / file).read_bytes() == (whole[0] / file).read_bytes(), file
    made = json.loads((tmp_path / "branch" / "rounds" / "step-6" / "drawn.json").read_text())
    assert made["by_source"].keys() == {"web", "code"}
