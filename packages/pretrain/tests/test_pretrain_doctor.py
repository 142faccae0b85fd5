"""What ``core.doctor`` finds of a training: steps that are tried here, layouts for machines that are not."""

import dataclasses

import pytest
from core.interfaces import Job
from pretrain_support import Tiny, TinyConfig
from smallwright_pretrain import doctor
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.distill_config import DistillConfig
from smallwright_pretrain.doctor import MIB, _alone
from smallwright_pretrain.forgetting import ForgettingConfig
from smallwright_pretrain.rounds_config import RoundsConfig
from smallwright_pretrain.stage import TorchTitanPretrain


def findings(folder, layout=None, **settings):
    """Return what is found of a training of the tiny model, by name."""
    config = TorchTitanConfig(**{"seq_len": 32, "global_batch_size": 128, "device": "cpu", **settings})
    stage = TorchTitanPretrain(config)
    architecture = Tiny(TinyConfig(num_key_value_heads=2))
    job = Job(name="pretrain", output=folder, inputs={}, seed=0, architecture=architecture, stage=stage)
    return {finding.name: finding for finding in stage.doctor(job, layout)}


@pytest.mark.slow
def test_steps_with_the_runs_own_settings_are_timed_over_the_ranks(tmp_path):
    found = findings(tmp_path, nproc=2, micro_batch_size=2)
    assert [finding.fault for finding in found.values()] == [None] * 5
    assert found["collectives"].figure.endswith("all-reduce over 2 ranks")
    assert "planned" in found["memory of a step"].figure
    assert " s on the CPU, " in found["time of a step"].figure


@pytest.mark.parametrize(
    "more", [{"eval_every": 5, "eval": {"limit": 3}, "eval_timeout": 9}, {"eval_every_tokens": 900, "eval_gpu": 0}]
)
def test_a_trial_is_of_the_model_alone_and_as_short_as_it_likes(more):
    taught = TorchTitanConfig(
        steps=20, distill=DistillConfig(teacher="t"), rounds=RoundsConfig(), forgetting=ForgettingConfig(), **more
    )
    assert _alone(taught) == TorchTitanConfig(steps=20)
    assert dataclasses.replace(_alone(taught), steps=1, warmup_steps=0).steps == 1


def test_the_plan_of_a_trial_leaves_out_the_teacher_and_says_so(tmp_path, monkeypatch):
    tried = {"seconds": [2.0, 1.0], "peak_bytes": 3 * MIB, "planned_bytes": 4 * MIB, "memory_bytes": 9 * MIB}
    tried |= {"device": "the CPU", "clock_seconds": 0.0, "bandwidth": 1.0}
    given = []
    monkeypatch.setattr(doctor, "_tried", lambda job, *_: (given.append(job.stage.config), (tried, None))[1])
    distill = DistillConfig(teacher="t", logits="stored")
    found = findings(tmp_path, global_batch_size=2, distill=distill)
    assert given[0].distill is None
    assert found["memory of a step"].figure.startswith("3 MiB a rank, planned 4, of 9; the teacher, which is not tried")
    alone = findings(tmp_path, global_batch_size=2)
    assert alone["memory of a step"].figure == "3 MiB a rank, planned 4, of 9"
    assert alone["time of the training"].figure.endswith(" hours at that speed")
    # Of two rounds the first is measured, with a third of what training on it takes.
    rounds = findings(tmp_path, global_batch_size=2, steps=72_000, rounds=RoundsConfig(rate=1.0))
    assert rounds["time of the training"].figure.startswith(
        "20.00 hours at that speed, 23.33 with what computes beside"
    )


@pytest.mark.slow
def test_a_layout_of_many_gpus_is_built_on_one_cpu(tmp_path):
    (found,) = findings(tmp_path, 64, nproc=64, replicate=2, tensor_parallel=2).values()
    assert found.fault is None
    assert found.figure.startswith("replicas 2, shards 16, tensor 2; ")
