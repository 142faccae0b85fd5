"""Linear layers in float8: refused where it cannot be, and trained by the real trainer with its rounding."""

import importlib.util

import pytest
from core.errors import ConfigError
from core.interfaces import Job
from pretrain_support import Tiny, TinyConfig, one_rank_here, write_tokens
from smallwright_pretrain import float8, stage
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.records import read_records

needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
EMULATED = {"float8": "rowwise", "float8_emulate": True}


def settings(**given):
    small = {"steps": 4, "seq_len": 16, "global_batch_size": 4, "learning_rate": 1e-2, "warmup_steps": 1}
    kept = {"checkpoint_interval": 4, "validation_interval": 4, "validation_sequences": 2}
    return TorchTitanConfig(**{**small, **kept, "device": "cpu", "verify_vllm": False, **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"float8_emulate": True}, "^pretrain.float8_emulate=true: changes nothing without pretrain.float8"),
        ({"float8": "rowwise"}, "^pretrain.float8=rowwise: a CPU has no float8. Leave it out"),
        ({**EMULATED, "compile": True}, "^pretrain.float8_emulate=true: cannot be compiled"),
        ({**EMULATED, "tensor_parallel": 2, "nproc": 2}, "^pretrain.float8=rowwise: its layers are not split"),
    ],
)
def test_float8_that_cannot_be_is_refused_while_planning(given, said, monkeypatch):
    monkeypatch.setattr(float8.importlib.util, "find_spec", lambda name: name)
    with pytest.raises(ConfigError, match=said):
        float8.check(settings(**given), "pretrain")


def test_without_torchao_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setattr(float8.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs torchao, .* pip install 'smallwright-pretrain\[float8\]'$"):
        float8.check(settings(**EMULATED), "pretrain")


@needs_torchao
def test_a_training_in_float8_learns_nearly_as_one_without_it(tmp_path):
    tokens = write_tokens(tmp_path / "tokens", documents=30, vocab=64)
    losses = {}
    with one_rank_here():
        for name, given in (("plain", {}), ("float8", EMULATED)):
            (output := tmp_path / name).mkdir()
            config = settings(**given)
            architecture = Tiny(TinyConfig())
            job = Job(
                name="pretrain",
                output=output,
                inputs={"tokens": tokens},
                seed=0,
                architecture=architecture,
                stage=stage.TorchTitanPretrain(config),
            )
            stage.TorchTitanPretrain(config).run(job)
            losses[name] = [row["loss"] for row in read_records(output / "metrics.jsonl") if "loss" in row]
    assert len(losses["float8"]) == len(losses["plain"])
    assert losses["float8"][0] == pytest.approx(losses["plain"][0], abs=0.01)
    assert losses["float8"][0] != losses["plain"][0]
    assert losses["float8"] == pytest.approx(losses["plain"], abs=0.2)
    assert losses["float8"][-1] < losses["float8"][0] - 1
