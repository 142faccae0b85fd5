"""What a branch names, where it goes on, and which finished training is a shorter run of the same."""

import dataclasses
import json
import shutil

import pytest
from core import checkpoints, store
from core.errors import ConfigError, InputError
from core.typed import build, identity
from pretrain_support import Tiny, TinyConfig
from smallwright_pretrain import branch
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.stage import TorchTitanPretrain


def made(**values) -> TorchTitanConfig:
    return build(TorchTitanConfig, {"seq_len": 10, "global_batch_size": 10, **values}, "pretrain")


def finished(folder, config, steps, **more):
    """Write an artifact as a training leaves it, with checkpoints of ``steps``."""
    for step in steps:
        (folder / "checkpoint" / f"step-{step}").mkdir(parents=True)
        (folder / "checkpoint" / f"step-{step}" / ".metadata").touch()
    made_by = {"stage": "pretrain", "folder": "pretrain", "inputs": {}, "external_files": []}
    own = {"pretrain": identity(config), "seed": 1, "arch": {"hidden_size": 4}, **more}
    store.finish(folder, {**made_by, "identity": own, "config": dataclasses.asdict(config)})
    return folder


@pytest.fixture
def parent(tmp_path):
    return finished(tmp_path / "store" / "gqa@home-1", made(steps=40), [10, 20, 32, 40])


@pytest.mark.parametrize(
    ("suffix", "step"),
    [("", 40), ("@20", 20), ("@3.1K", 20), ("@3.2k", 32), ("@0.0032M", 32), ("@1T", 40), ("@1e3K", 40)],
)
def test_a_place_is_a_step_or_tokens_until_which_a_checkpoint_is_kept(parent, suffix, step):
    assert branch.find(f"{parent}{suffix}") == branch.Branch(artifact=parent, step=step)


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("@21", r"branch_from=.*@21: no checkpoint of step 21 is kept\. Kept are the steps 10, 20, 32, 40"),
        ("@0.9K", r"no checkpoint is kept until 900 tokens; kept are .* the first after 1,000 tokens"),
        ("@1.5", r"1\.5 is no step\. Give a whole number, or tokens as in @1\.5B"),
        ("@last", r"last is no step\. Give a whole number, or tokens as in @1\.5B"),
        ("/none", r"none is no finished artifact"),
    ],
)
def test_a_place_that_is_not_there_is_refused_with_those_that_are(parent, suffix, message):
    with pytest.raises(InputError, match=message):
        branch.find(f"{parent}{suffix}")


def test_a_branch_is_behind_what_was_done_already(parent):
    with pytest.raises(ConfigError, match=r"steps=32: branch_from=.* is at step 32, .* Set steps to more than 32"):
        branch.check(made(steps=32, branch_from=f"{parent}@32"), branch.find(f"{parent}@32"))


def test_the_plan_of_a_branch_says_what_is_left(parent):
    config = made(steps=50, branch_from=f"{parent}@32")
    [note] = TorchTitanPretrain(config).plan(Tiny(TinyConfig()))["notes"]
    assert note == "the first 32 steps are done, by gqa@home-1: 1,800 of these tokens are left."


def test_a_checkpoint_that_was_changed_is_not_branched_from(parent):
    found = branch.find(f"{parent}@20")
    folder = branch.checkpoint(found)
    (folder / "seal.json").write_text(json.dumps({".metadata": [3, "0" * 64]}))
    with pytest.raises(InputError, match=r"step-20 is damaged \(\.metadata has 0 bytes.*Name another step"):
        branch.checkpoint(found)


def test_the_place_in_the_data_is_the_checkpoints_own_unless_stages_are_others(parent):
    found = branch.find(f"{parent}@32")
    assert branch.place(made(steps=60, decay_ratio=0.5), found) is None
    halves = {"a": {"tokens": 2000}, "b": {"tokens": 4000, "mixture": {"x": 1}}}
    assert branch.place(made(stages=halves), found) == (1, 120)
    assert branch.place(made(stages={"a": {"tokens": 6000, "mixture": {"x": 1}}}), found) is None


@pytest.mark.parametrize(
    ("other", "until"),
    [
        ({"steps": 100}, 80),
        ({"steps": 200}, 80),
        ({"steps": 200, "decay_ratio": 0.9}, 20),
        ({"steps": 100, "schedule": "constant"}, 80),
        ({"steps": 100, "schedule": "cosine"}, 10),
        ({"steps": 200, "learning_rate": 1.0}, 0),
        ({"steps": 200, "warmup_steps": 11}, 0),
        ({"stages": {"a": {"tokens": 5000}, "b": {"tokens": 5000, "mixture": {"x": 1}}}}, 50),
        ({"stages": {"a": {"tokens": 5000, "seq_len": 20}}}, 0),
    ],
)
def test_two_runs_are_the_same_until_their_rates_or_stages_differ(other, until):
    one, two = made(steps=100, min_lr_factor=0.1), made(**other)
    assert branch.same_until(one, two) == branch.same_until(two, one) == until


def test_the_longest_of_the_shorter_runs_is_taken_and_no_other_training(tmp_path):
    wanted = made(steps=400)
    own = {"pretrain": identity(wanted), "seed": 1, "arch": {"hidden_size": 4}}
    folder = tmp_path / "pretrain"
    assert branch.shorter(own, wanted, folder) is None
    finished(folder / "short", made(steps=40), [20, 32, 40])
    longer = finished(folder / "longer", made(steps=100), [32, 80, 100])
    finished(folder / "other-batch", made(steps=300, global_batch_size=20), [240])
    finished(folder / "other-seed", made(steps=300), [240], seed=2)
    finished(folder / "other-rate", made(steps=300, learning_rate=1.0), [240])
    (folder / "broken").mkdir()
    (folder / "broken" / "manifest.json").write_text("{")
    assert branch.shorter(own, wanted, folder) == branch.Branch(artifact=longer, step=80)


def test_a_checkpoint_of_a_training_that_runs_stays_when_that_one_removes_it(tmp_path, monkeypatch):
    running, work = tmp_path / "running", tmp_path / "work"
    folder = running / "checkpoint" / "step-20"
    folder.mkdir(parents=True)
    for name in (".metadata", "__0_0.distcp"):
        (folder / name).write_text(name)
    found = branch.Branch(artifact=running, step=20)
    assert branch.borrowed(found, work) is None, "its saving has not ended"
    checkpoints.seal(folder, checkpoints.digests(folder, [".metadata", "__0_0.distcp"]))
    (running / "metrics.jsonl").write_text('{"step": 20, "loss": 4.0}\n{"step": 21, "lo')
    (running / "forgetting.jsonl").write_text('{"step": 20}\n')
    for step in (8, 20, 24):  # ends of rounds
        (running / "rounds" / f"step-{step}").mkdir(parents=True)
        (running / "rounds" / f"step-{step}" / "drawn.json").write_text("{}")
    taken = branch.borrowed(found, work)
    assert (taken.artifact.name, taken.step) == ("running", 20)
    shutil.rmtree(folder)
    assert (branch.checkpoint(taken) / "__0_0.distcp").read_text() == "__0_0.distcp"
    branch.take_records(taken, tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 20, "loss": 4.0}\n'
    assert (tmp_path / "forgetting.jsonl").read_text() == '{"step": 20}\n'
    assert sorted(path.parent.name for path in tmp_path.glob("rounds/*/drawn.json")) == ["step-20", "step-8"]
    assert branch.borrowed(found, tmp_path / "other") is None
    asked = []
    assert branch.borrowed_anew(lambda: asked.append(1) or found, tmp_path / "other") is None
    assert len(asked) == branch.TRIES
    assert branch.borrowed_anew(lambda: None, tmp_path / "other") is None
    assert branch.borrowed_anew(lambda: None, work) == taken
    assert branch.borrowed_before(work) == taken
    assert branch.borrowed_before(tmp_path / "other") is None


def test_another_file_system_has_a_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(branch.os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "Invalid cross-device link")))
    folder = tmp_path / "running" / "checkpoint" / "step-3"
    folder.mkdir(parents=True)
    (folder / ".metadata").write_text("x")
    checkpoints.seal(folder, checkpoints.digests(folder, [".metadata"]))
    taken = branch.borrowed(branch.Branch(artifact=tmp_path / "running", step=3), tmp_path / "work")
    assert (branch.checkpoint(taken) / ".metadata").read_text() == "x"
