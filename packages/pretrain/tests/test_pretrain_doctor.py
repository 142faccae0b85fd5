"""What ``core.doctor`` finds of a training: steps that are tried here, layouts for machines that are not."""

import pytest
from core.interfaces import Job
from pretrain_support import Tiny, TinyConfig
from smallwright_pretrain.config import TorchTitanConfig
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


@pytest.mark.slow
def test_a_layout_of_many_gpus_is_built_on_one_cpu(tmp_path):
    (found,) = findings(tmp_path, 64, nproc=64, replicate=2, tensor_parallel=2).values()
    assert found.fault is None
    assert found.figure.startswith("replicas 2, shards 16, tensor 2; ")
