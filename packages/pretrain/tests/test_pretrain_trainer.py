"""The trainer in this process, on one rank: loss on held-out text, settings, and what it does with a bad step."""

import dataclasses
import json
import math
import os
import shutil
from pathlib import Path

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
from smallwright_pretrain import checkpoints, evaluations, metrics, revisions, titan, weights  # noqa: E402
from smallwright_pretrain.attention import inner_attention  # noqa: E402
from smallwright_pretrain.by_source import LossBySequence  # noqa: E402
from smallwright_pretrain.data import IGNORED  # noqa: E402
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

    def make(loss=None, corpora=None, snapshots=None, **settings):
        for trainer in made:
            _end(trainer)
        made.clear()
        torch.set_num_threads(1)
        model = Tiny(TinyConfig(num_hidden_layers=1)).titan_config(inner_attention=inner_attention("cpu"), seq_len=16)
        config = titan.trainer_config(
            dataclasses.replace(SETTINGS, **settings),
            model=model,
            name="Tiny",
            tokens=corpora or {"corpus": tokens},
            output=tmp_path,
            seed=7,
            snapshots=snapshots,
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


@pytest.fixture(scope="module")
def corpora(tokens, tmp_path_factory):
    return {"web": tokens, "code": write_tokens(tmp_path_factory.mktemp("other"), documents=30, vocab=32, seed=3)}


def test_the_loss_of_a_step_is_kept_apart_by_corpus_over_its_micro_batches(build, corpora, tmp_path):
    mixed = {"corpora": corpora, "global_batch_size": 6, "micro_batch_size": 2, "mixture": {"web": 0.7, "code": 0.3}}
    trainer = build(**mixed)
    batches = iter(trainer.dataloader)
    sums = {name: torch.zeros(2) for name in corpora}
    for inputs, labels_BL in (next(batches) for _ in range(3)):
        for source, row_2 in zip(inputs["sources"], trainer.sequence_losses(inputs, labels_BL), strict=True):
            sums[trainer.dataloader.sources[source]] += row_2.detach()
    trainer = build(steps=1, **mixed)
    read = trainer.dataloader._next

    def measuring():  # as what chooses among sequences does while it reads
        trainer.validator.validate(trainer.model_parts, 0)
        return read()

    trainer.dataloader._next = measuring
    trainer.train()
    found = records(tmp_path, "loss_by_source")[1]
    assert found == pytest.approx({name: float(loss / labels) for name, (loss, labels) in sums.items()}, abs=1e-6)
    shares = {name: float(labels) for name, (_, labels) in sums.items()}
    whole = sum(found[name] * share for name, share in shares.items()) / sum(shares.values())
    assert whole == pytest.approx(records(tmp_path, "loss")[1], abs=1e-6)


def test_losses_by_corpus_are_the_same_after_a_resume_and_training_does_not_depend_on_them(build, corpora, tmp_path):
    trainer = build(corpora=corpora)
    trainer.train()
    first, weights_of_all = records(tmp_path, "loss_by_source"), state(trainer)
    for later in ("step-4", "step-6"):
        os.rename(tmp_path / "checkpoint" / later, tmp_path / later)
    trainer = build(corpora=corpora, log_interval=3)
    trainer.train()
    assert all(torch.equal(value, weights_of_all[name]) for name, value in state(trainer).items())
    again = records(tmp_path, "loss_by_source")
    assert list(again) == [1, 2, 3, 6]
    assert all(again[step] == first[step] for step in again)


def test_weights_for_an_evaluation_are_written_once_and_before_the_checkpoint_of_their_step(build, tmp_path):
    folder = tmp_path / "evaluations"
    folder.mkdir()
    on_the_way = {"snapshots": folder, "eval_every": 2}
    trainer = build(steps=5, **on_the_way)
    save, order = trainer.checkpointer.dcp_save, []

    def watched(state_dict, checkpoint_id, *arguments, **named):
        order.append((Path(checkpoint_id).name, [*evaluations.snapshots(folder)]))
        save(state_dict, checkpoint_id, *arguments, **named)

    trainer.checkpointer.dcp_save = watched
    trainer.train()
    assert order == [("step-2", [2]), ("step-3", [2]), ("step-4", [2, 4]), ("step-5", [2, 4])]
    held, _ = revisions.read(evaluations.snapshot(folder, 4) / evaluations.WEIGHTS)
    kept, _ = revisions.read(tmp_path / "checkpoint" / "step-4")
    assert held.keys() == kept.keys()
    assert all(torch.equal(held[name], kept[name]) for name in kept)
    assert [record["step"] for record in read_records(folder / "held.jsonl")] == [2, 4]
    shutil.rmtree(evaluations.snapshot(folder, 2))
    (folder / evaluations.RECORDS).write_text('{"step": 2, "eval": {"task/acc": 0.5}}\n')
    (evaluations.snapshot(folder, 4) / evaluations.WHOLE).unlink()  # killed while it was written
    shutil.rmtree(tmp_path / "checkpoint")
    build(steps=5, **on_the_way).train()
    assert [*evaluations.snapshots(folder)] == [4], "what was evaluated is not written again, what was not is"


def test_weights_that_cannot_be_written_cost_the_training_nothing_but_a_line(build, tmp_path, monkeypatch):
    folder = tmp_path / "evaluations"
    folder.mkdir()
    (folder / "step-000002").symlink_to("/proc/version")  # no folder can be made of it
    trainer = build(steps=4, snapshots=folder, eval_every=2)
    monkeypatch.setattr(checkpoints, "remove", lambda path: None)
    trainer.train()
    assert trainer.step == 4
    (record,) = read_records(folder / evaluations.RECORDS)
    assert record["step"] == 2
    assert "Error" in record["eval_failed"]


def test_the_loss_kept_apart_by_sequence_has_the_value_and_the_gradient_of_torchtitans_to_the_bit():
    generator = torch.Generator().manual_seed(0)
    labels_BL = torch.randint(64, (3, 16), generator=generator)
    labels_BL[1, 4:] = IGNORED
    logits_BLV = torch.randn(3, 16, 64, generator=generator)
    found = []
    for loss in (CrossEntropyLoss.Config().build(), LossBySequence.Config().build()):
        given_BLV = logits_BLV.clone().requires_grad_()
        value, _ = loss(given_BLV, labels_BL, torch.tensor(36))
        value.backward()
        found.append((float(value.detach()), given_BLV.grad))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    assert torch.equal(found[0][1], found[1][1])
