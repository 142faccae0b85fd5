"""The trainer in this process, on one rank: loss on held-out text, settings, and what it does with a bad step."""

import dataclasses
import json
import math
import os

import pytest
from pretrain_support import Tiny, TinyConfig, write_tokens
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.cpu import use_device
from smallwright_pretrain.records import read_records
from smallwright_pretrain.spikes import SpikeConfig

use_device("cpu")

import torch  # noqa: E402
import torchtitan.trainer  # noqa: E402
from core.errors import UserError  # noqa: E402
from core.interfaces import TokensMeta  # noqa: E402
from smallwright_pretrain import metrics, titan, weights  # noqa: E402
from smallwright_pretrain.attention import inner_attention  # noqa: E402
from smallwright_pretrain.validator import FileValidator  # noqa: E402
from torchtitan.components.loss import ChunkedLossWrapper, CrossEntropyLoss  # noqa: E402
from torchtitan.distributed import ParallelDims  # noqa: E402

SETTINGS = TorchTitanConfig(
    steps=6,
    seq_len=16,
    global_batch_size=2,
    learning_rate=1e-2,
    warmup_steps=1,
    decay_ratio=0.5,
    checkpoint_interval=2,
    keep_latest=0,
    validation_interval=100,
    validation_sequences=5,
    device="cpu",
    verify_vllm=False,
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return write_tokens(tmp_path_factory.mktemp("tokens"), documents=20, vocab=64)


@pytest.fixture
def build(tmp_path, tokens, monkeypatch):
    """Return a function that makes a trainer; each goes on from the checkpoints of those before."""
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", "0")
    monkeypatch.setattr(torchtitan.trainer.time, "sleep", lambda _: None)  # for other ranks, of which there are none
    made = []

    def make(loss=None, **settings):
        for trainer in made:
            _end(trainer)
        made.clear()
        torch.set_num_threads(1)
        model = Tiny(TinyConfig(num_hidden_layers=1)).titan_config(inner_attention=inner_attention("cpu"), seq_len=16)
        config = titan.trainer_config(
            dataclasses.replace(SETTINGS, **settings),
            model=model,
            name="Tiny",
            tokens={"corpus": tokens},
            output=tmp_path,
            seed=7,
        )
        trainer = dataclasses.replace(config, loss=loss or config.loss).build()
        weights.initialize(trainer.model_parts[0], model, seed=7)
        made.append(trainer)
        return trainer

    yield make
    for trainer in made:
        _end(trainer)


def _end(trainer):
    trainer.close()
    torch.distributed.destroy_process_group()


def state(trainer):
    return {name: value.full_tensor().clone() for name, value in trainer.model_parts[0].state_dict().items()}


def records(tmp_path, key):
    return {record["step"]: record[key] for record in read_records(tmp_path / "metrics.jsonl") if key in record}


def test_held_out_text_is_measured_by_the_loss_that_is_trained_on(build, tmp_path):
    """With a chunked loss the model returns no logits: going round the loss gave 4.74 for 3.30."""
    found = {}
    chunked = ChunkedLossWrapper.Config(num_chunks=4, loss_fn=CrossEntropyLoss.Config(global_vocab_size=64))
    for name, loss in {"whole": None, "chunked": chunked}.items():
        trainer = build(loss)
        trainer.validator.validate(trainer.model_parts, 1)
        found[name] = read_records(tmp_path / "metrics.jsonl")[-1]
        assert trainer.ntokens_seen == 0
    assert found["chunked"]["validation_loss"] == pytest.approx(found["whole"]["validation_loss"], abs=1e-6)
    assert found["whole"]["validation_loss"] == pytest.approx(math.log(64), abs=1.5)
    assert found["chunked"]["validation_stderr"] == pytest.approx(found["whole"]["validation_stderr"], rel=1e-4)


def validator_of(trainer, tokens, **settings):
    config = FileValidator.Config(
        tokens={name: str(folder) for name, folder in tokens.items()},
        settings=dataclasses.replace(SETTINGS, **settings),
    )
    made = FileValidator(
        config, dp_world_size=1, dp_rank=0, parallel_dims=trainer.parallel_dims, seq_len=16, local_batch_size=3,
        metrics_processor=trainer.metrics_processor,
    )  # fmt: skip
    made.trainer = trainer
    return made


def test_a_bounded_number_of_sequences_of_each_corpus_is_measured(build, tokens):
    trainer = build()
    for bound, expected in {3: 3, None: trainer.validator._files["corpus"].windows}.items():
        chosen = validator_of(trainer, {"web": tokens, "code": tokens}, validation_sequences=bound).windows()
        assert [name for name, _ in chosen] == ["web"] * expected + ["code"] * expected
        assert len(set(chosen)) == 2 * expected


@pytest.mark.parametrize("mixture", [{"web": 0.9, "code": 0.1}, None])
def test_each_corpus_has_its_loss_and_the_whole_is_weighted_as_in_training(build, tokens, tmp_path, mixture):
    trainer = build()
    other = write_tokens(tmp_path / "other", documents=30, vocab=32, seed=3)
    validator = validator_of(trainer, {"web": tokens, "code": other}, mixture=mixture)
    validator.validate(trainer.model_parts, 1)
    found = read_records(tmp_path / "metrics.jsonl")[-1]
    parts, errors = found["validation_loss_by_source"], found["validation_stderr_by_source"]
    assert list(parts) == ["web", "code"]
    web, code = mixture.values() if mixture else (TokensMeta.load(folder).train_tokens for folder in (tokens, other))
    assert found["validation_loss"] == pytest.approx((web * parts["web"] + code * parts["code"]) / (web + code))
    error = math.hypot(web * errors["web"], code * errors["code"]) / (web + code)
    assert found["validation_stderr"] == pytest.approx(error)


def test_a_run_trains_by_its_own_settings_and_not_those_of_the_checkpoint(build):
    build(steps=2).train()
    changed = build(learning_rate=5e-3, weight_decay=0.3, beta1=0.8, beta2=0.99, eps=1e-6)
    changed.train()
    assert changed.step == 6
    (group,) = changed.optimizers.optimizers[0].param_groups
    assert (group["weight_decay"], group["betas"], group["eps"]) == (0.3, (0.8, 0.99), 1e-6)
    resumed = build(steps=6, learning_rate=5e-3, weight_decay=0.3)
    resumed.checkpointer.load(step=2)
    next(resumed.batch_generator(resumed.dataloader))
    (group,) = resumed.optimizers.optimizers[0].param_groups
    assert group["lr"] == resumed.lr_schedulers.schedulers[0].get_last_lr()[0] == pytest.approx(5e-3)
    assert group["initial_lr"] == 5e-3
    assert group["weight_decay"] == 0.3


def test_a_gradient_that_is_no_number_ends_the_run_at_its_step_whether_logged_or_not(build, monkeypatch, tmp_path):
    trainer = build(log_interval=100)
    compute = trainer.forward_backward_step

    def bad(**batch):
        loss = compute(**batch)
        if trainer.step == 3:
            next(trainer.model_parts[0].parameters()).grad.fill_(float("nan"))
        return loss

    monkeypatch.setattr(trainer, "forward_backward_step", bad)
    with pytest.raises(RuntimeError, match=r"Loss is not finite.* at step 3"):
        trainer.train()
    assert all(value.isfinite().all() for value in state(trainer).values())
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["step-2"]


SPIKES = SpikeConfig(action="skip", watch="grad_norm", window=2, sigmas=100.0)


def test_a_spike_changes_no_weight_is_recorded_and_a_resumed_run_does_the_same(build, monkeypatch, tmp_path):
    def train(**settings):
        trainer = build(spikes=SPIKES, **settings)
        compute, found = trainer.forward_backward_step, {}

        def spiky(**batch):
            loss = compute(**batch)
            if trainer.step in (4, 6):
                for parameter in trainer.model_parts[0].parameters():
                    parameter.grad.mul_(1000)
            found[trainer.step] = state(trainer)
            return loss

        monkeypatch.setattr(trainer, "forward_backward_step", spiky)
        trainer.train()
        return found, state(trainer)

    at, last = train()
    assert all(torch.equal(at[4][name], at[5][name]) for name in last), "step 4 changed a weight"
    assert not all(torch.equal(at[3][name], at[4][name]) for name in last)
    first = (tmp_path / "spikes.jsonl").read_text()
    assert [(record["step"], record["action"]) for record in map(json.loads, first.splitlines())] == [
        (4, "skip"),
        (6, "skip"),
    ]
    for later in ("step-4", "step-6"):
        os.rename(tmp_path / "checkpoint" / later, tmp_path / later)
    _, again = train()
    assert all(torch.equal(again[name], last[name]) for name in last)
    assert (tmp_path / "spikes.jsonl").read_text() == first


def test_a_spike_that_halts_says_where_and_what_to_do(build, monkeypatch):
    trainer = build(spikes=dataclasses.replace(SPIKES, action="halt", watch="loss"), skip=((2, 2),))
    monkeypatch.setattr(trainer, "_global_loss", lambda: 99.0 if trainer.step == 5 else 4.0 + trainer.step / 100)
    with pytest.raises(UserError, match=r"spikes: step 5: the loss was 99, .* number 6\. .*skip=\[\[2,2\],\[6,6\]\]:"):
        trainer.train()


@pytest.mark.parametrize(("settings", "rank"), [({}, 0), ({"pp": 2}, 2), ({"pp": 4}, 3), ({"tp": 2}, 0)])
def test_the_rank_that_sees_the_loss_writes(settings, rank):
    shape = {"dp_replicate": 1, "dp_shard": -1, "cp": 1, "tp": 1, "pp": 1, "ep": 1, **settings}
    dims = ParallelDims(world_size=4, **shape)
    assert metrics._get_metrics_rank(parallel_dims=dims, pp_schedule="1F1B") == rank


@pytest.mark.parametrize(
    ("device", "peak"), [("NVIDIA H200", 989e12), ("NVIDIA A100-SXM4-80GB", 312e12), ("cpu", None), ("Some GPU", None)]
)
def test_a_device_whose_peak_is_not_known_has_no_utilisation(device, peak):
    assert metrics.peak_flops(device) == peak


def test_tokens_are_those_of_all_ranks_at_that_step(build, tmp_path):
    build(steps=2).train()
    assert records(tmp_path, "tokens") == {1: 32, 2: 64}
