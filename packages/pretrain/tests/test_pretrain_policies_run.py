"""A policy changes the mixture of a real training, and a training that was killed decides and learns the same.

In this process: one rank, which needs no launcher. One run of two segments is shared; others are compared with it.
"""

import dataclasses

import pytest
from core import store
from core.interfaces import Job
from pretrain_support import Killed, Tiny, TinyConfig, one_rank_here, write_two_corpora
from smallwright_pretrain import revisions, stage
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.cpu import use_device
from smallwright_pretrain.policies import ODM, Sheared
from smallwright_pretrain.policies_config import ODMConfig, ShearedConfig
from smallwright_pretrain.records import read_records
from smallwright_pretrain.segments import stages
from smallwright_pretrain.stage_config import StageConfig

use_device("cpu")

import torch  # noqa: E402
from smallwright_pretrain import policies_run  # noqa: E402
from smallwright_pretrain.data import StageRows, TokenDataLoader  # noqa: E402
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
    validation_interval=2,
    validation_sequences=2,
    device="cpu",
    verify_vllm=False,
    mixture={"web": 0.9, "code": 0.1},
    stages={"short": StageConfig(tokens=6 * 64), "long": StageConfig(tokens=4 * 64, seq_len=32, global_batch_size=2)},
)
POLICY = Sheared(ShearedConfig(targets={"web": 9.0, "code": 0.0}))
LOGS = ("metrics.jsonl", "decisions.jsonl")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return write_two_corpora(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="module")
def run(tokens):
    with one_rank_here():

        def do(output, settings=SETTINGS, policy=POLICY, **inputs):
            output.mkdir(exist_ok=True, parents=True)
            made_by = {
                "folder": "pretrain",
                "identity": {"policy": {"implementation": type(policy).__name__.lower()}},
            }
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

        yield do


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "artifact"
    return output, run(output)


def assert_same(output, expected):
    for file in (*LOGS, "hf/model.safetensors"):
        assert (output / file).read_bytes() == (expected / file).read_bytes(), file


def test_the_mixture_follows_the_decisions_and_the_account_counts_them(whole):
    output, summary = whole
    lines = read_records(output / "decisions.jsonl")
    # At every second step, at the end of the stage, and not at the end of the run, which nothing follows.
    assert [(line["step"], line["stage"], line["position"]) for line in lines] == [
        (2, 0, 8), (4, 0, 16), (6, 1, 0), (8, 1, 4),
    ]  # fmt: skip
    assert lines[0]["before"] == {"web": 0.9, "code": 0.1}
    assert lines[0]["after"]["code"] > 0.9, "code is far above its target"
    assert [line["before"] for line in lines[1:]] == [line["after"] or line["before"] for line in lines[:-1]]
    assert lines[0]["policy"] == "sheared"
    assert lines[0]["losses"] == next(
        record["validation_loss_by_source"] for record in read_records(output / "metrics.jsonl")
        if record["step"] == 2 and "validation_loss" in record
    )  # fmt: skip
    mixture = summary["mixture"]
    assert [made["step"] for made in mixture["decisions"]] == [
        line["step"] for line in lines if line["after"] is not None
    ]
    short = mixture["stages"][0]["sources"]
    assert short["code"]["declared"] == 0.1
    assert short["code"]["realised"] > 0.5, "two thirds of the stage had another mixture"
    assert mixture["stages"][1]["sources"]["code"]["realised"] > 0.9
    assert any(note.startswith("policy sheared changed the mixture") for note in summary["notes"])


def test_a_revision_says_what_was_read_under_the_decisions(whole, tokens):
    output, _ = whole
    made = stage.TorchTitanPretrain(SETTINGS)
    job = Job(name="pretrain", output=output, inputs=tokens, seed=7, stage=made)
    data = revisions.data_so_far(job, 5, {"stage": 0, "position": 5 * 4, "skipped": "[]"})
    assert sum(data["sequences"].values()) == 5 * 4
    assert data["sequences"]["code"] > 8


@pytest.mark.parametrize("where", ["within", "before the measurement", "before the question", "behind the answer"])
def test_a_killed_run_goes_on_to_the_same_decisions_and_losses(run, whole, tmp_path, monkeypatch, where):
    output = tmp_path / "killed"
    ask, append = policies_run.ask, policies_run.append
    with monkeypatch.context() as patch:
        if where == "within":
            patch.setattr(PackedTrainer, "train_step", killed(PackedTrainer.train_step, lambda own, _: own.step == 8))
        elif where == "before the measurement":
            patch.setattr(FileValidator, "validate", killed(FileValidator.validate, lambda *given: given[-1] == 6))
        elif where == "before the question":
            patch.setattr(policies_run, "ask", killed(ask, lambda policy, step, *_: step == 6))
        else:
            patch.setattr(policies_run, "append", killed(append, lambda path, line: line["step"] == 6, after=True))
        with pytest.raises(Killed):
            run(output)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    run(output)
    assert_same(output, whole[0])


def killed(original, when, *, after=False):
    def function(*given):
        found = original(*given) if after or not when(*given) else None
        if when(*given):
            raise Killed
        return found

    return function


def test_a_branch_goes_on_deciding_where_the_policy_is_of_that_name_and_else_anew(run, whole, tmp_path):
    settings = dataclasses.replace(SETTINGS, branch_from=f"{whole[0]}@3")
    run(tmp_path / "same", settings, branch=whole[0])
    assert_same(tmp_path / "same", whole[0])
    run(tmp_path / "other", settings, ODM(ODMConfig()), branch=whole[0])
    lines = read_records(tmp_path / "other" / "decisions.jsonl")
    assert [line["step"] for line in lines] == [4, 6, 8]
    assert lines[0]["before"] == {"web": 0.9, "code": 0.1}


@pytest.mark.parametrize("most", [None, 1.0, 0.3])
def test_an_answer_that_would_read_a_corpus_too_often_is_not_taken(tokens, tmp_path, monkeypatch, most):
    monkeypatch.setattr(policies_run, "of_rank_0", lambda make: make())
    settings = dataclasses.replace(SETTINGS, max_epochs=most)
    config = TokenDataLoader.Config(
        tokens={name.removeprefix("tokens-"): str(folder) for name, folder in tokens.items()},
        stages=[StageRows.of(one) for one in stages(settings)],
        global_batch_size=4,
    )
    loader = config.build(dp_world_size=1, dp_rank=0, seq_len=16, local_batch_size=4)
    log = tmp_path / "decisions.jsonl"
    policies_run.Adaptation(POLICY, "sheared", log, settings, loader).measured(2, {"web": 4.0, "code": 4.0})
    [line] = read_records(log)
    if most == 0.3:
        assert line["refused"].startswith("pretrain.max_epochs=0.3: code would be read 0.")
        assert (line["after"], line["state"], loader.changes) == (None, {}, {})
    else:
        assert line["after"]["code"] > 0.9
        assert loader.changes
