"""Mixtures of experts under the trainer: the loss that balances them is the same however the work is divided."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from core.interfaces import Job
from smallwright_decoder.architecture import DecoderArchitecture
from smallwright_decoder.config import DecoderConfig
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.stage import TorchTitanPretrain
from smallwright_testing.tokens import write_tokens

SETTINGS = TorchTitanConfig(
    steps=6,
    seq_len=32,
    global_batch_size=4,
    micro_batch_size=4,
    learning_rate=1e-2,
    warmup_steps=1,
    checkpoint_interval=3,
    keep_latest=3,
    validation_interval=6,
    device="cpu",
    verify_vllm=False,
)
ARCHITECTURE = DecoderArchitecture(
    DecoderConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=64,
        max_position_embeddings=64,
        initializer_range=0.1,
        num_experts=4,
        shared_expert_intermediate_size=16,
        mlp_only_layers=(0,),
        router_aux_loss_coef=1.0,
    )
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Path:
    """Rows that count up, so that a model can learn them."""
    rows = [[*((start * 7 + np.arange(40)) % 63 + 1).tolist(), 0] for start in range(60)]
    return write_tokens(tmp_path_factory.mktemp("tokens"), rows, rows[:4], vocab_size=64, unigram_loss=4.0)


def run(output: Path, tokens: Path, **settings) -> dict[int, tuple[float, float]]:
    """Train, and return the loss and the norm of the gradients of every step."""
    output.mkdir(exist_ok=True)
    job = Job(name="pretrain", output=output, inputs={"tokens": tokens}, seed=7, architecture=ARCHITECTURE)
    summary = TorchTitanPretrain(dataclasses.replace(SETTINGS, **settings)).run(job)
    assert summary["executed_parameters"] < summary["stored_parameters"]
    assert summary["verification"]["max_difference"]["TorchTitan - Transformers"] < 1e-4
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: (row["loss"], row["grad_norm"]) for row in records if "loss" in row}


@pytest.fixture(scope="module")
def reference(tokens, tmp_path_factory):
    output = tmp_path_factory.mktemp("reference")
    return output, run(output, tokens)


@pytest.mark.slow
def test_a_resumed_run_has_the_same_losses_to_the_bit(reference, tokens, tmp_path):
    output, expected = reference
    shutil.copytree(output / "checkpoint" / "step-3", tmp_path / "checkpoint" / "step-3")
    shutil.copy(output / "metrics.jsonl", tmp_path / "metrics.jsonl")
    assert run(tmp_path, tokens) == expected


@pytest.mark.slow
def test_two_ranks_and_smaller_micro_batches_balance_as_one(reference, tokens, tmp_path):
    _, expected = reference
    pair = run(tmp_path, tokens, nproc=2, micro_batch_size=1)
    assert pair.keys() == expected.keys()
    for step, values in expected.items():
        assert pair[step] == pytest.approx(values, abs=1e-5), step
