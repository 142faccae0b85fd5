"""A real training on the sequences that a policy chooses, and a training that was killed chooses and learns the same.

In this process: one rank, which needs no launcher. One run is shared; others are compared with it.
"""

import dataclasses

import pytest
from core import store
from core.interfaces import Job
from pretrain_support import Killed, Tiny, TinyConfig, one_rank_here, write_two_corpora
from smallwright_pretrain import revisions, selecting, stage
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.cpu import use_device
from smallwright_pretrain.policies_config import RHOConfig
from smallwright_pretrain.policies_rho import RHO
from smallwright_pretrain.records import read_records
from smallwright_pretrain.stage_config import StageConfig

use_device("cpu")

import torch  # noqa: E402
from smallwright_pretrain import selection_run  # noqa: E402
from smallwright_pretrain.trainer import PackedTrainer  # noqa: E402

SETTINGS = TorchTitanConfig(
    seq_len=16,
    global_batch_size=4,
    learning_rate=1e-2,
    warmup_steps=2,
    decay_ratio=0.4,
    checkpoint_interval=3,
    keep_latest=0,
    validation_interval=100,
    validation_sequences=2,
    device="cpu",
    verify_vllm=False,
    mixture={"web": 0.75, "code": 0.25},
    stages={"short": StageConfig(tokens=4 * 64), "long": StageConfig(tokens=3 * 64, seq_len=32, global_batch_size=2)},
    skip=((2, 2),),
)
FILES = ("metrics.jsonl", "decisions.jsonl", "hf/model.safetensors")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return write_two_corpora(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="module")
def run(tokens, tmp_path_factory):
    with one_rank_here():

        def do(output, settings=SETTINGS, policy=None, **inputs):
            output.mkdir(exist_ok=True, parents=True)
            identity = {} if policy is None else {"policy": {"implementation": "rho"}}
            made_by = {"folder": "pretrain", "identity": identity}
            job = Job(
                name="pretrain",
                output=output,
                inputs={**tokens, **inputs},
                seed=7,
                architecture=Tiny(TinyConfig(num_hidden_layers=1)),
                policy=policy,
                record=made_by,
            )
            summary = stage.TorchTitanPretrain(settings).run(job)
            more = {"config": dataclasses.asdict(settings), "external_files": [], "inputs": {}, "stage": "pretrain"}
            store.finish(output, {**made_by, **more, "summary": summary})
            return summary

        reference = tmp_path_factory.mktemp("reference") / "artifact"
        do(reference, dataclasses.replace(SETTINGS, stages=None, steps=4, skip=()))
        policy = RHO(RHOConfig(reference=str(reference), candidates=3))

        def with_policy(output, settings=SETTINGS, init=False, **inputs):
            return do(output, settings, policy, reference=reference, **inputs, **({"init": reference} if init else {}))

        yield with_policy


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "artifact"
    return output, run(output)


def assert_same(output, expected):
    for file in FILES:
        assert (output / file).read_bytes() == (expected / file).read_bytes(), file


def test_each_batch_is_the_third_of_its_candidates_with_the_largest_reducible_loss(whole):
    output, summary = whole
    lines = read_records(output / "decisions.jsonl")
    # The second batch is skipped; the length and the batch of the second stage are others.
    assert [(line["step"], line["stage"], line["position"]) for line in lines] == [
        (1, 0, 0), (2, 0, 4), (3, 0, 12), (4, 0, 16), (5, 1, 0), (6, 1, 2), (7, 1, 4),
    ]  # fmt: skip
    assert [(line["candidates"], len(selecting.places(line))) for line in lines] == [(12, 4)] * 4 + [(6, 2)] * 3
    for line in lines:
        reducible, chosen = (loss - other for loss, other in zip(line["loss"], line["reference"], strict=True))
        assert chosen > reducible
    assert summary["selection"]["chosen"] == 4 * 4 + 3 * 2
    assert any(note.startswith("policy rho trained on 22 of 66 sequences") for note in summary["notes"])


def test_account_and_revision_count_what_was_chosen(whole, tokens):
    output, summary = whole
    lines = read_records(output / "decisions.jsonl")
    for number, part in enumerate(summary["mixture"]["stages"]):
        for name, row in part["sources"].items():
            chosen = sum(line["by_source"][name] for line in lines if line["stage"] == number)
            assert row["tokens"] == chosen * part["seq_len"]
    job = Job(name="pretrain", output=output, inputs=tokens, seed=7, stage=stage.TorchTitanPretrain(SETTINGS))
    data = revisions.data_so_far(job, 3, {"stage": 0, "position": 16, "skipped": "[[4, 8]]"})
    assert data["sequences"] == {name: sum(line["by_source"][name] for line in lines[:3]) for name in ("web", "code")}


@pytest.mark.parametrize("where", ["before the answer is written", "behind it", "in a later step"])
def test_a_killed_run_goes_on_to_the_same_choices_and_losses(run, whole, tmp_path, monkeypatch, where):
    output, asked = tmp_path / "killed", []
    append, ask = selection_run.append, selecting.ask
    with monkeypatch.context() as patch:
        if where == "in a later step":
            original = PackedTrainer.forward_backward_step
            patch.setattr(PackedTrainer, "forward_backward_step", killed(original, lambda own: own.step == 7))
        else:
            late = where == "behind it"
            patch.setattr(selection_run, "append", killed(append, lambda _, line: line["step"] == 3, after=late))
        with pytest.raises(Killed):
            run(output)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    monkeypatch.setattr(selecting, "ask", lambda policy, step, *more: asked.append(step) or ask(policy, step, *more))
    run(output)
    assert asked == {"before the answer is written": [3, 4, 5, 6, 7], "behind it": [4, 5, 6, 7]}.get(where, [])
    assert_same(output, whole[0])


def killed(original, when, *, after=False):
    def function(*given, **named):
        found = original(*given, **named) if after or not when(*given) else None
        if when(*given):
            raise Killed
        return found

    return function


def test_a_branch_with_the_same_stages_goes_on_choosing(run, whole, tmp_path):
    run(tmp_path / "branch", dataclasses.replace(SETTINGS, branch_from=f"{whole[0]}@3"), branch=whole[0])
    assert_same(tmp_path / "branch", whole[0])


def test_to_a_reference_that_is_the_model_nothing_is_reducible(run, tmp_path):
    """The model by TorchTitan, the reference by Transformers, on the same packed documents."""
    run(tmp_path / "same", dataclasses.replace(SETTINGS, stages=None, steps=1, warmup_steps=0, skip=()), init=True)
    [line] = read_records(tmp_path / "same" / "decisions.jsonl")
    assert line["loss"] == pytest.approx(line["reference"], abs=1e-5)
