"""Checkpoints that are kept for good, as Hugging Face folders with the data that they had seen."""

import json

import pytest
from core import checkpoints
from core.interfaces import Job
from pretrain_support import Tiny, TinyConfig, write_tokens
from smallwright_pretrain import revisions
from smallwright_pretrain.background import Background
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.cpu import use_device
from smallwright_pretrain.stage import TorchTitanPretrain

use_device("cpu")

import torch  # noqa: E402
import torch.distributed.checkpoint as dcp  # noqa: E402
from smallwright_pretrain.checkpoints import PlainWriter  # noqa: E402
from smallwright_pretrain.weights import unsharded  # noqa: E402

SETTINGS = TorchTitanConfig(steps=12, seq_len=16, global_batch_size=2, keep_every=4, skip=((3, 3),), device="cpu")
TINY = Tiny(TinyConfig(num_hidden_layers=1))


@pytest.fixture
def job(tmp_path):
    tokens = write_tokens(tmp_path / "tokens", documents=20, vocab=64)
    stage = TorchTitanPretrain(SETTINGS)
    (tmp_path / "made").mkdir()
    return Job(name="x", output=tmp_path / "made", inputs={"tokens": tokens}, seed=7, architecture=TINY, stage=stage)


def save(job, step, *, sealed=True):
    """Write a checkpoint as the trainer leaves it, of weights drawn from the step."""
    from smallwright_pretrain.attention import DocumentAttention

    config = TINY.titan_config(inner_attention=DocumentAttention.Config(), seq_len=16)
    state = unsharded(config, seed=step).state_dict()
    more = {
        "optimizer": {"state": {"norm.weight": {"exp_avg": torch.zeros(64)}}},
        "dataloader": {"stage": 0, "position": 2 * step + 2, "skipped": "[[4, 6]]"},
        "train_state": {"step": step, "spikes": ""},
    }
    folder = job.output / "checkpoint" / f"step-{step}"
    dcp.save({**state, **more}, storage_writer=PlainWriter(folder), no_dist=True)
    if sealed:
        checkpoints.seal(folder, checkpoints.digests(folder, [path.name for path in folder.iterdir()]))
    return state


def test_a_checkpoint_becomes_a_folder_that_transformers_reads(job):
    from transformers import AutoModelForCausalLM

    state = save(job, 4)
    folder = revisions.write(job, job.output / "checkpoint" / "step-4")
    assert folder == job.output / "revisions" / "step-000004"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(model.get_output_embeddings().weight, state["lm_head.weight"])
    assert json.loads((folder / "data.json").read_text()) == {
        "step": 4,
        "tokens": 4 * 2 * 16,
        "seed": 7,
        "stage": "all",
        "position": 10,
        "skipped": [[4, 6]],
        "sequences": {"corpus": 8},
    }


def test_kept_checkpoints_that_are_whole_wait_until_they_have_a_revision(job):
    for step in (4, 6, 8):
        save(job, step)
    save(job, 12, sealed=False)
    assert [path.name for path in revisions.pending(job.output, SETTINGS)] == ["step-4", "step-8"]
    revisions.write(job, job.output / "checkpoint" / "step-4")
    assert [path.name for path in revisions.pending(job.output, SETTINGS)] == ["step-8"]
    assert revisions.pending(job.output, TorchTitanConfig(keep_every=4, revisions=False)) == []


def test_what_is_asked_for_while_a_revision_is_written_is_done_after_it(tmp_path):
    started, log = tmp_path / "started", tmp_path / "log"
    worker = Background(["sh", "-c", f"touch {started}; while [ ! -e {log} ]; do sleep 0.01; done; echo x >> {log}"])
    worker.start()
    while not started.exists():
        pass
    worker.start()
    worker.start()
    log.touch()
    worker.join()
    assert log.read_text() == "x\nx\n"
