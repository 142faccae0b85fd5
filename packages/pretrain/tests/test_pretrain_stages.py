"""Stages and branches through the real trainer, in this process: one rank, which needs no launcher.

One run of three stages in two segments is shared; others are compared with it.
"""

import dataclasses
import json
from pathlib import Path

import pytest
from core import store
from core.interfaces import Job
from pretrain_support import Killed, Tiny, TinyConfig, one_rank_here, write_tokens
from smallwright_pretrain import stage
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.cpu import use_device
from smallwright_pretrain.schedule import learning_rate
from smallwright_pretrain.stage_config import StageConfig

use_device("cpu")  # before TorchTitan, and before this process computes with many threads

import torch  # noqa: E402
from smallwright_pretrain import rank  # noqa: E402
from smallwright_pretrain.trainer import PackedTrainer  # noqa: E402
from smallwright_pretrain.validator import FileValidator  # noqa: E402

SETTINGS = TorchTitanConfig(
    seq_len=16,
    global_batch_size=4,
    learning_rate=1e-2,
    warmup_steps=2,
    decay_ratio=0.4,
    checkpoint_interval=3,
    keep_latest=0,
    validation_interval=3,
    validation_sequences=2,
    device="cpu",
    verify_vllm=False,
    stages={
        "one": StageConfig(tokens=2 * 64),
        "two": StageConfig(tokens=3 * 64, validation_interval=100),
        "long": StageConfig(tokens=5 * 64, seq_len=32, global_batch_size=2, rope_theta=5e4, validation_interval=3),
    },
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Path:
    return write_tokens(tmp_path_factory.mktemp("tokens"), documents=60, vocab=64)


@pytest.fixture(scope="module")
def run(tokens):
    """Return a function that does the whole stage, and finishes the artifact as a run does."""
    with one_rank_here():

        def do(output: Path, settings: TorchTitanConfig = SETTINGS, **inputs: Path) -> dict:
            output.mkdir(exist_ok=True, parents=True)
            made_by = {"folder": "pretrain", "identity": identity(settings)}
            trainer = stage.TorchTitanPretrain(settings)
            job = Job(
                name="pretrain",
                output=output,
                inputs={"tokens": tokens, **inputs},
                seed=7,
                architecture=Tiny(TinyConfig(num_hidden_layers=1)),
                record=made_by,
            )
            summary = trainer.run(job)
            more = {"config": dataclasses.asdict(settings), "external_files": [], "inputs": {}, "stage": "pretrain"}
            store.finish(output, {**made_by, **more, "summary": summary})
            return summary

        yield do


def identity(settings: TorchTitanConfig) -> dict:
    from core.typed import identity

    return {"pretrain": identity(settings), "seed": 7}


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "artifact"
    return output, run(output)


def records(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def assert_same(output: Path, expected: Path) -> None:
    assert records(output) == records(expected)
    for file in ("metrics.jsonl", "hf/model.safetensors", "hf/config.json"):
        assert (output / file).read_bytes() == (expected / file).read_bytes(), file


def test_the_rate_and_the_metrics_span_all_stages(whole):
    output, summary = whole
    steps = [record for record in records(output) if "loss" in record]
    assert [record["step"] for record in steps] == list(range(1, 11))
    assert [record["lr"] for record in steps] == [learning_rate(SETTINGS, step) for step in range(1, 11)]
    # Every third step of the first and the last stage, and the end of each.
    assert [step for step, _ in summary["validation_curve"]] == [2, 5, 6, 9, 10]
    assert summary["tokens"] == 10 * 64
    assert (output / "checkpoint" / "step-5" / "seal.json").exists(), "a checkpoint at the border"


def test_the_model_has_the_theta_of_the_last_stage(whole):
    output, summary = whole
    config = json.loads((output / "hf" / "config.json").read_text())
    assert config["rope_parameters"]["rope_theta"] == 5e4
    assert max(summary["verification"]["max_difference"].values()) <= 1e-3
    trained = stage.TorchTitanPretrain(SETTINGS).trained(Tiny(TinyConfig()))
    assert trained.config == TinyConfig(rope_theta=5e4)


def test_theta_changes_what_is_trained_at_its_stage_and_not_before(run, whole, tmp_path):
    same = dict(SETTINGS.stages) | {"long": dataclasses.replace(SETTINGS.stages["long"], rope_theta=None)}
    run(tmp_path / "same", dataclasses.replace(SETTINGS, stages=same))
    losses = [
        [record["loss"] for record in records(output) if "loss" in record] for output in (tmp_path / "same", whole[0])
    ]
    assert losses[0][:5] == losses[1][:5]
    assert losses[0][5] != losses[1][5]


@pytest.mark.parametrize("where", ["at the border", "before the loss of the border is measured", "within"])
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(run, whole, tmp_path, monkeypatch, where):
    output = tmp_path / "killed"
    with monkeypatch.context() as patch:
        if where == "at the border":
            patch.setattr(stage, "run_ranks", once_then_killed())
        elif where == "within":
            patch.setattr(
                PackedTrainer, "train_step", killed_at(8, PackedTrainer.train_step, lambda trainer, _: trainer.step)
            )
        else:
            patch.setattr(FileValidator, "validate", killed_at(5, FileValidator.validate, lambda *given: given[-1]))
        with pytest.raises(Killed):
            run(output)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    run(output)
    assert_same(output, whole[0])


def once_then_killed():
    calls = []

    def ranks(job_file, *_):
        if calls:
            raise Killed
        calls.append(job_file)
        rank.main(job_file)

    return ranks


def killed_at(step, original, step_of):
    def method(*given):
        if step_of(*given) == step:
            raise Killed
        return original(*given)

    return method


def test_a_branch_with_the_same_settings_is_the_uninterrupted_run(run, whole, tmp_path):
    """Also from another stage than the last one, and with the records of the steps that it did not do."""
    settings = dataclasses.replace(SETTINGS, branch_from=f"{whole[0]}@3")
    run(tmp_path / "branch", settings, branch=whole[0])
    assert_same(tmp_path / "branch", whole[0])
    assert not (tmp_path / "branch" / "checkpoint" / "step-3").exists()


def test_a_branch_without_the_optimizer_begins_with_the_weights_only(run, whole, tmp_path):
    settings = dataclasses.replace(SETTINGS, branch_from=f"{whole[0]}@6", branch_optimizer=False)
    run(tmp_path / "branch", settings, branch=whole[0])
    (mine, expected) = (
        [record["loss"] for record in records(output) if "loss" in record] for output in (tmp_path / "branch", whole[0])
    )
    assert mine[:7] == expected[:7], "the loss of step 7 is that of the same weights on the same batch"
    assert mine[7] != expected[7]


def test_a_longer_run_goes_on_from_the_last_checkpoint_that_the_shorter_one_has_of_it(run, tmp_path):
    """Its checkpoint before the decay is there, whatever the interval and the number of those that are kept."""
    rare = {"checkpoint_interval": 100, "keep_latest": 2}
    short = dataclasses.replace(SETTINGS, **rare, stages=None, steps=8, schedule="wsd", decay_ratio=0.25)
    longer = dataclasses.replace(short, steps=10, decay_ratio=0.2)
    run(tmp_path / "store" / "short", short)
    summary = run(tmp_path / "store" / "longer", longer)
    assert summary["notes"][0] == "the first 6 steps are those of short, which did the same."
    run(tmp_path / "alone" / "longer", longer)
    assert_same(tmp_path / "store" / "longer", tmp_path / "alone" / "longer")
    assert {path.name for path in (tmp_path / "store" / "longer" / "checkpoint").iterdir()} == {"step-8", "step-10"}


def test_a_branch_with_other_stages_goes_on_at_their_place_in_the_data(run, whole, tmp_path):
    """The same run, said in other words: its first two stages as one."""
    stages = {"both": StageConfig(tokens=5 * 64), "long": SETTINGS.stages["long"]}
    other = dataclasses.replace(SETTINGS, stages=stages, branch_from=f"{whole[0]}@3")
    run(tmp_path / "branch", other, branch=whole[0])
    mine, expected = (
        [record["loss"] for record in records(output)[-9:] if "loss" in record]
        for output in (tmp_path / "branch", whole[0])
    )
    assert mine == expected
