"""The stage as core runs it, on a tiny model: training, resume, ranks, export and what it refuses.

One reference run is shared; every further run starts TorchTitan again, so there are few.
"""

import dataclasses
import json
import math
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from core import checkpoints, store
from core.errors import UserError
from core.interfaces import Job, TokensMeta
from pretrain_support import Tiny, TinyConfig, write_tokens
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.distill_config import DistillConfig
from smallwright_pretrain.stage import TorchTitanPretrain

pytestmark = pytest.mark.slow

SETTINGS = TorchTitanConfig(
    steps=12,
    seq_len=32,
    global_batch_size=4,
    learning_rate=1e-2,
    warmup_steps=2,
    decay_ratio=0.5,
    checkpoint_interval=4,
    validation_interval=6,
    device="cpu",
    verify_vllm=False,
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Path:
    return write_tokens(tmp_path_factory.mktemp("tokens"), documents=60, vocab=64)


def job(output: Path, tokens: Path, *, architecture=None, **inputs: Path) -> Job:
    output.mkdir(exist_ok=True)
    return Job(
        name="pretrain",
        output=output,
        inputs={"tokens": tokens, **inputs},
        seed=7,
        architecture=architecture or Tiny(TinyConfig()),
    )


class Evil:
    """A pickle that makes a folder when it is read."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)


def records_of(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def losses(output: Path) -> dict[int, float]:
    found = [(record["step"], record["loss"]) for record in records_of(output) if "loss" in record]
    assert [step for step, _ in found] == list(range(1, len(found) + 1)), "every step once, in order"
    return dict(found)


@pytest.fixture(scope="module")
def reference(tokens, tmp_path_factory):
    """An uninterrupted run on one rank."""
    output = tmp_path_factory.mktemp("reference")
    return output, TorchTitanPretrain(SETTINGS).run(job(output, tokens))


def test_the_model_learns_more_than_frequencies(reference, tokens):
    output, summary = reference
    assert summary["validation_loss"] < summary["unigram_loss"] - 0.3
    assert summary["loss_curve"][-1] == [12, losses(output)[12]]
    assert summary["validation_curve"][-1] == [12, summary["validation_loss"]]
    meta = TokensMeta.load(tokens)
    bits = summary["validation_loss"] / math.log(2) * meta.validation_tokens / meta.validation_bytes
    assert summary["bits_per_byte"] == pytest.approx(bits)


def test_the_summary_counts_what_was_trained(reference):
    _, summary = reference
    assert summary["tokens"] == 12 * 4 * 32
    assert summary["stored_parameters"] == Tiny(TinyConfig()).parameters()
    assert summary["world_size"] == 1
    assert summary["engine"]["name"] == "torchtitan"
    assert summary["tokens_per_second"] > 0
    assert summary["peak_memory_bytes"] > 0
    rates = [rate for _, rate in summary["learning_rate_curve"]]
    assert rates[0] == pytest.approx(0.005)
    assert rates[3] == pytest.approx(0.01)
    assert rates[-1] < rates[-2] < 0.01
    json.dumps(summary)


def test_the_exported_checkpoint_has_as_many_parameters_as_counted(reference):
    from transformers import AutoModelForCausalLM

    output, summary = reference
    model = AutoModelForCausalLM.from_pretrained(output / "hf")
    assert model.num_parameters() == summary["stored_parameters"]
    assert model.generation_config.eos_token_id == 0
    assert not (output / "hf.partial").exists()


def test_engines_agree_about_the_export(reference):
    """vLLM, too, in the main job (``tests/end_to_end/test_main_job.py``)."""
    _, summary = reference
    verification = summary["verification"]
    assert verification["notes"] == {"vLLM": "not compared: pretrain.verify_vllm=false"}
    assert set(verification["max_difference"]) == {"TorchTitan - Transformers"}
    assert all(value <= 1e-3 for value in verification["max_difference"].values())


def test_a_killed_run_resumes_with_the_same_losses_to_the_bit(reference, tokens, tmp_path, monkeypatch, wait_for_ends):
    stage = job(tmp_path / "killed", tokens)
    script = (
        "import sys; from pathlib import Path; import test_pretrain_runs as t; "
        "t.TorchTitanPretrain(t.SETTINGS).run(t.job(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    environment = {**os.environ, "ENGINE_OF_CODE": "ranks"}
    command = [sys.executable, "-c", script, str(stage.output), str(tokens)]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path)
    first = stage.output / "checkpoint" / "step-4" / ".metadata"
    while not first.exists():
        assert process.poll() is None, "the run ended before its first checkpoint"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for_ends(tmp_path)
    assert not (stage.output / "hf").exists()
    for later in (stage.output / "checkpoint").glob("step-*"):
        if later.name != "step-4":
            shutil.rmtree(later)
    monkeypatch.setenv("ENGINE_FORKS", "")  # a process with another seed of its hashes than those before
    summary = TorchTitanPretrain(SETTINGS).run(stage)
    output, expected = reference
    assert losses(stage.output) == losses(output)
    assert summary["validation_loss"] == expected["validation_loss"]


def test_damaged_checkpoints_are_passed_over_and_that_is_said(reference, tokens, tmp_path):
    output, expected = reference
    stage = job(tmp_path / "damaged", tokens)
    shutil.copytree(output / "checkpoint", stage.output / "checkpoint")
    shutil.copy(output / "metrics.jsonl", stage.output / "metrics.jsonl")
    (last,) = (stage.output / "checkpoint" / "step-12").glob("*.distcp")
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    # As an older release left them: without a seal; and with a command in a pickle.
    step_8 = stage.output / "checkpoint" / "step-8"
    (step_8 / checkpoints.SEAL).unlink()
    (step_8 / ".metadata").write_bytes(pickle.dumps(Evil(str(tmp_path / "executed"))))
    summary = TorchTitanPretrain(SETTINGS).run(stage)
    first, second = summary["notes"]
    assert first.startswith("checkpoint step-12 is damaged (__0_0.distcp has ")
    assert first.endswith(": training goes on from step-8")
    assert "checkpoint step-8 cannot be read (" in second
    assert "posix.mkdir, which no checkpoint has" in second
    assert not (tmp_path / "executed").exists()
    assert losses(stage.output) == losses(output)
    assert summary["validation_loss"] == expected["validation_loss"]
    for file in ("metrics.jsonl", "checkpoint/step-12/.metadata", "checkpoint/step-12/seal.json"):
        assert (stage.output / file).read_bytes() == (output / file).read_bytes(), (
            "nothing of this run is in the artifact"
        )


def test_a_disk_that_is_full_when_a_checkpoint_is_saved_is_called_that(tokens, tmp_path):
    stage = job(tmp_path / "full", tokens)
    (stage.output / "checkpoint" / "step-4").mkdir(parents=True)
    (stage.output / "checkpoint" / "step-4" / "__0_0.distcp").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"the disk of .* is full: free space and start again; finished work is kept"):
        TorchTitanPretrain(SETTINGS).run(stage)


@pytest.fixture(scope="module")
def pair(tokens, tmp_path_factory):
    """An uninterrupted run on two ranks, the model sharded over both (FSDP)."""
    output = tmp_path_factory.mktemp("ranks")
    return output, TorchTitanPretrain(dataclasses.replace(SETTINGS, nproc=2)).run(job(output, tokens))


def test_two_ranks_train_as_one(reference, pair):
    compare(pair, reference)
    assert pair[1]["world_size"] == 2


def compare(found, expected):
    """Losses, held-out losses and counts of tokens of two runs that differ in their ranks."""
    (output, summary), (alone, whole) = found, expected
    one, other = losses(output), losses(alone)
    assert one.keys() == other.keys()
    assert max(abs(one[step] - other[step]) for step in other) < 1e-5
    assert summary["validation_loss"] == pytest.approx(whole["validation_loss"], abs=1e-5)
    assert summary["validation_stderr"] == pytest.approx(whole["validation_stderr"], abs=1e-5)
    assert counts(output) == counts(alone) == [128 * step for step in range(1, 13)]


def test_ranks_learn_from_a_teacher_as_one_also_where_it_is_shared_out_or_stored(reference, tokens, tmp_path):
    distill = DistillConfig(teacher=str(reference[0]), alpha=0.8, temperature=2.0)
    student = Tiny(TinyConfig(num_hidden_layers=1))
    found = {}
    for ranks in (1, 2):
        taught = dataclasses.replace(distill, sharded=ranks > 1)
        settings = dataclasses.replace(SETTINGS, steps=6, nproc=ranks, micro_batch_size=1, distill=taught)
        stage = job(tmp_path / str(ranks), tokens, architecture=student, teacher=reference[0])
        found[ranks] = (TorchTitanPretrain(settings).run(stage), records_of(stage.output))
    (one, alone), (two, shared) = found[1], found[2]
    steps = [[record for record in records if "loss" in record] for records in (alone, shared)]
    for ours, theirs in zip(*steps, strict=True):
        for part in ("loss", "ce", "kl"):
            assert theirs[part] == pytest.approx(ours[part], abs=1e-5)
    assert one["validation_loss"] == pytest.approx(two["validation_loss"], abs=1e-5)
    curve = two["distillation"]["divergence_curve"]
    assert curve[-1][1] < curve[0][1]
    assert two["flops"] > 384 * 2 * student.flops_per_token(32)
    assert (tmp_path / "2" / "hf" / "config.json").is_file()
    kept = dataclasses.replace(distill, logits="stored", top_k=64)
    settings = dataclasses.replace(SETTINGS, steps=6, distill=kept)
    (work,) = TorchTitanPretrain(settings).stored_logits(["corpus"])
    logits = Job(
        name=work.role, output=tmp_path / "logits", inputs={"teacher": reference[0], "tokens": tokens}, seed=0,
        stage=work.stage,
    )  # fmt: skip
    assert work.stage.run(logits)["bytes_per_token"] == 64 * 4 + 2
    stage = job(tmp_path / "stored", tokens, architecture=student)
    stage = dataclasses.replace(stage, inputs={**stage.inputs, work.role: logits.output})
    summary = TorchTitanPretrain(settings).run(stage)
    for ours, theirs in zip((row for row in records_of(stage.output) if "loss" in row), steps[0], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=2e-3)
    assert summary["flops"] < one["flops"], "the teacher computes nothing in the training"


def counts(output):
    return [record["tokens"] for record in records_of(output) if "tokens" in record]


@pytest.mark.parametrize(
    ("begun", "ranks"),
    [("reference", {"nproc": 2}), ("pair", {"nproc": 1}), ("pair", {"nproc": 2, "replicate": 2})],
    ids=["1 to 2", "2 to 1", "FSDP to HSDP"],
)
def test_a_run_goes_on_with_other_ranks(reference, begun, ranks, tokens, tmp_path, request):
    stage = job(tmp_path / "other", tokens)
    begin_at_8(request.getfixturevalue(begun)[0], stage.output)
    summary = TorchTitanPretrain(dataclasses.replace(SETTINGS, **ranks)).run(stage)
    compare((stage.output, summary), reference)


def begin_at_8(source, output):
    """Leave in ``output`` what a run has that was killed behind its eighth step."""
    shutil.copytree(source / "checkpoint" / "step-8", output / "checkpoint" / "step-8")
    shutil.copy(source / "metrics.jsonl", output / "metrics.jsonl")


def test_a_run_is_rewound_and_a_kept_checkpoint_stays_with_its_revision(reference, tokens, tmp_path):
    output, expected = reference
    stage = job(tmp_path / "rewound", tokens)
    shutil.copytree(output / "checkpoint", stage.output / "checkpoint")
    shutil.copy(output / "metrics.jsonl", stage.output / "metrics.jsonl")
    settings = dataclasses.replace(SETTINGS, rewind_to=8, keep_steps=(8,), keep_last=False)
    summary = TorchTitanPretrain(settings).run(stage)
    assert summary["notes"][0].startswith("pretrain.rewind_to=8: what was done behind this step is in rewound/01-to")
    aside = stage.output / "rewound" / "01-to-step-8"
    assert (aside / "checkpoint" / "step-12" / ".metadata").is_file()
    assert [record["step"] for record in records_of(aside) if "loss" in record] == [9, 10, 11, 12]
    assert losses(stage.output) == losses(output)
    assert summary["validation_loss"] == expected["validation_loss"]
    assert [path.name for path in (stage.output / "checkpoint").iterdir()] == ["step-8"]
    revision = stage.output / "revisions" / "step-000008"
    assert json.loads((revision / "data.json").read_text())["sequences"] == {"corpus": 32}
    assert (revision / "model.safetensors").stat().st_size == (output / "hf" / "model.safetensors").stat().st_size


def test_two_machines_train_as_one(reference, tokens, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("TEST_RENDEZVOUS", address)
    stage = job(tmp_path / "machines", tokens)
    script = (
        "import os, sys; from pathlib import Path; import test_pretrain_runs as t; "
        "settings = t.dataclasses.replace(t.SETTINGS, nodes=2, rendezvous=os.environ['TEST_RENDEZVOUS']); "
        "t.TorchTitanPretrain(settings).follow(t.job(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    follower = subprocess.Popen([sys.executable, "-c", script, str(stage.output), str(tokens)])
    try:
        settings = dataclasses.replace(SETTINGS, nodes=2, rendezvous=address)
        summary = TorchTitanPretrain(settings).run(stage)
        whole = {"stage": "pretrain", "folder": "pretrain", "identity": {}, "inputs": {}, "external_files": []}
        store.finish(stage.output, whole)
        assert follower.wait(60) == 0
    finally:
        follower.kill()
    alone, both = losses(reference[0]), losses(stage.output)
    assert max(abs(both[step] - alone[step]) for step in alone) < 1e-5
    assert summary["world_size"] == 2


def test_training_starts_from_the_init_model(reference, tokens, tmp_path):
    output, expected = reference
    settings = dataclasses.replace(SETTINGS, steps=1, warmup_steps=0, learning_rate=1e-12)
    summary = TorchTitanPretrain(settings).run(job(tmp_path / "init", tokens, init=output))
    assert summary["validation_loss"] == pytest.approx(expected["validation_loss"], abs=1e-5)


def test_a_diverging_run_says_at_which_step_and_what_to_try(tokens, tmp_path):
    settings = dataclasses.replace(SETTINGS, learning_rate=1e30)
    with pytest.raises(UserError, match=r"no longer finite at step \d+ of 12\. Lower pretrain\.learning_rate"):
        TorchTitanPretrain(settings).run(job(tmp_path / "nan", tokens))


def test_an_export_that_engines_disagree_about_is_not_called_exported(reference, tokens, tmp_path):
    output = tmp_path / "wrong"
    # The finished checkpoint, so that only the export is left to do, through an adapter that mixes up rows.
    shutil.copytree(reference[0] / "checkpoint", output / "checkpoint")
    shutil.copy(reference[0] / "metrics.jsonl", output / "metrics.jsonl")
    wrong = job(output, tokens, architecture=Tiny(TinyConfig(break_adapter=True)))
    with pytest.raises(RuntimeError, match=r"TorchTitan - Transformers: [\d.e-]+; allowed: 0\.001"):
        TorchTitanPretrain(SETTINGS).run(wrong)
    assert not (output / "hf").exists()
    assert (output / "hf.rejected" / "config.json").exists()
