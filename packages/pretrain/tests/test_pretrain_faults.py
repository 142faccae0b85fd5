"""The stage ended at each change that it makes to files: it goes on, and the artifact has the same bytes."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from core import checkpoints
from core.interfaces import Job
from pretrain_support import Tiny, TinyConfig, write_tokens
from smallwright_pretrain import history, stage
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.cpu import use_device

use_device("cpu")

import torch  # noqa: E402
import torchtitan.trainer  # noqa: E402
from smallwright_pretrain import export, rank, titan  # noqa: E402, F401
from smallwright_pretrain.checkpoints import Checkpoints  # noqa: E402
from torchtitan.components.checkpointer import AsyncMode  # noqa: E402

SETTINGS = TorchTitanConfig(
    steps=3,
    seq_len=16,
    global_batch_size=2,
    warmup_steps=1,
    decay_ratio=0.5,
    checkpoint_interval=1,
    keep_latest=2,
    validation_interval=1,
    validation_sequences=1,
    device="cpu",
    verify_vllm=False,
)
EVERY = {"killed": 2, "full": 4}
"""One in so many writes of checkpoints."""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Return a function that does the whole stage in its own process: one rank, which needs no launcher."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    write_tokens(tokens, documents=20, vocab=64)
    one_rank = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in {**one_rank, "TOKENIZERS_PARALLELISM": "false"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stage, "run_ranks", lambda job_file, *_: rank.main(job_file))
    monkeypatch.setattr(torchtitan.trainer.time, "sleep", lambda _: None)  # for other ranks, of which there are none

    def run(output: Path) -> dict:
        torch.set_num_threads(1)
        architecture = Tiny(TinyConfig(num_hidden_layers=1))
        job = Job(name="pretrain", output=output, inputs={"tokens": tokens}, seed=7, architecture=architecture)
        return stage.TorchTitanPretrain(SETTINGS).run(job)

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("how", "first"), [("killed", 23), ("full", 27)])
def test_the_stage_can_be_ended_at_any_of_its_writes(work, faults, tmp_path, how, first):
    """At one in twenty-four of them: the seal of a checkpoint and a validation loss are among these."""
    faults.check_artifacts(work, tmp_path, how, first, every=24)


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Return a function that goes on from the newest checkpoint, saves the next ones, and removes the oldest."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)

    def states(step):
        return {"weights": torch.full((3, 2), float(step)), "train_state": {"step": step}}

    def run(output: Path) -> None:
        torch.set_num_threads(1)
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
        folder = output / "checkpoint"
        manager = Checkpoints(
            config=Checkpoints.Config(enable=True, interval=1, keep_latest_k=2, settings=SETTINGS),
            dataloader=None, model_parts=[], optimizers=SimpleNamespace(), lr_schedulers=SimpleNamespace(), states={},
            sd_adapter=None, base_folder=str(output),
        )  # fmt: skip
        newest, notes = checkpoints.keep_whole(history.finished(folder), output / "work")
        assert notes == []
        done = 0
        if newest is not None:
            manager.states, found = {}, states(0)
            manager.dcp_load(found, str(newest), from_hf=False, from_quantized=False)
            done = found["train_state"]["step"]
            assert torch.equal(found["weights"], states(done)["weights"])
        for step in range(done + 1, 5):
            manager.dcp_save(states(step), str(folder / f"step-{step}"), AsyncMode.DISABLED)
            manager._purge_stale_checkpoints()
        manager.close()
        history.remove_old(folder, SETTINGS, latest=2)

    return run


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("how", ["killed", "full"])
def test_checkpoints_can_be_ended_at_every_write(save, faults, tmp_path, how):
    faults.undisturbed(lambda: save(tmp_path / "whole"))
    expected = content(tmp_path / "whole" / "checkpoint")
    # The latest two, and the one before the rate decays.
    assert {name.split("/")[0] for name in expected} == {"step-1", "step-3", "step-4"}
    for number, ended in enumerate(faults.each_fault(how, every=EVERY[how], below=tmp_path)):
        output = tmp_path / str(number)
        ended(lambda output=output: save(output))
        faults.undisturbed(lambda output=output: save(output))
        assert content(output / "checkpoint") == expected
    assert number >= 8
