"""Stored distributions of a teacher: what is written, that a killed pass goes on, and what is refused."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from core.errors import ConfigError, InputError
from core.interfaces import Job
from core.typed import identity
from pretrain_support import write_tokens
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from smallwright_pretrain import store_logits, stored, stored_files
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.distill_config import DistillConfig, counted, flops_per_token
from smallwright_pretrain.policies_plan import asked
from smallwright_pretrain.segments import stages
from smallwright_pretrain.sources import Sources
from smallwright_pretrain.store_logits import StoreLogits, largest
from smallwright_pretrain.stored import StoredConfig, bytes_per_token, id_type
from smallwright_pretrain.windows import TokenWindows
from transformers import LlamaConfig, LlamaForCausalLM

IDS, LENGTH = 40, 16
WANTED = StoredConfig(teacher="t", corpus="corpus", seq_len=LENGTH, top_k=5, temperature=2.0, rows=3, device="cpu")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return write_tokens(tmp_path_factory.mktemp("tokens"), documents=12, vocab=IDS)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=IDS + 3, initializer_range=0.5, **sizes))
    model.save_pretrained((folder := tmp_path_factory.mktemp("teacher")) / "hf")
    return folder


@pytest.fixture
def job(tmp_path, tokens, teacher):
    record = {"identity": {"inputs": {"teacher": "0123456789ab"}}}
    inputs = {"teacher": teacher, "tokens": tokens}
    stage = StoreLogits(WANTED)
    return Job(name="logits", output=tmp_path / "out", inputs=inputs, seed=0, stage=stage, record=record)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(stored_files, "SHARD_BYTES", 4 * LENGTH * bytes_per_token(5, IDS))


def opened(job, tokens, **changed):
    wanted = dataclasses.replace(WANTED, **changed)
    return stored_files.Stored(job.output, stored_files.identity_of(wanted, tokens, "0123456789ab"))


def test_every_window_has_what_the_teacher_says_of_it(job, tokens, teacher, small_shards):
    summary = job.stage.run(job)
    windows, found = TokenWindows(tokens, "train", LENGTH), opened(job, tokens)
    assert found.files.shards > 2
    assert summary["windows"] == windows.full_windows == found.files.windows
    files = sum(found.files.path(number).stat().st_size for number in range(found.files.shards))
    assert summary["bytes"] == summary["tokens"] * 22 <= files < summary["bytes"] + 400 * found.files.shards
    model = LlamaForCausalLM.from_pretrained(teacher / "hf").eval()
    for index in (0, 5, windows.full_windows - 1):
        ids_LK, logs_LB = found.window(index)
        inputs_L, positions_L, _ = windows.window(index)
        with torch.no_grad():
            ids, positions = torch.from_numpy(inputs_L)[None], torch.from_numpy(positions_L)[None]
            logits = model(ids, position_ids=positions, use_cache=False).logits
        p_LV = torch.softmax(logits[0, :, :IDS] / 2, -1)
        largest_LK = p_LV.topk(5).values.numpy()
        np.testing.assert_allclose(np.exp(logs_LB[:, :-1].astype(np.float64)), largest_LK, rtol=4e-3)
        np.testing.assert_allclose(p_LV.numpy()[np.arange(LENGTH)[:, None], ids_LK], largest_LK, rtol=1e-5)
        np.testing.assert_allclose(np.exp(logs_LB.astype(np.float64)).sum(1), 1, atol=3e-3)


def test_a_killed_pass_goes_on_and_ends_with_the_same_bytes(job, tokens, small_shards):
    job.stage.run(job)
    whole = {path.name: path.read_bytes() for path in job.output.iterdir() if path.is_file()}
    files = opened(job, tokens).files
    files.path(0).unlink()
    damaged = bytearray(files.path(1).read_bytes())
    damaged[-1] ^= 1
    files.path(1).write_bytes(damaged)
    (job.output / stored_files.INDEX).unlink()
    told, kept = [], files.path(2).stat().st_mtime_ns
    watched = dataclasses.replace(job, progress=lambda *said: told.append(said[:3]))
    job.stage.run(watched)
    assert {path.name: path.read_bytes() for path in job.output.iterdir() if path.is_file()} == whole
    assert files.path(2).stat().st_mtime_ns == kept
    assert told[0] == (files.windows - 8, files.windows, "windows")
    assert told[-1] == (files.windows, files.windows, "windows")
    assert job.stage.run(job)["tokens_per_second"] is None


def test_several_processes_share_out_the_shards(job, tokens, small_shards, monkeypatch):
    """The processes themselves are ``main`` with the number of each."""
    job.stage.run(job)
    whole = [path.read_bytes() for path in sorted(job.output.glob("shard-*"))]
    for path in job.output.glob("shard-*"):
        path.unlink()
    started = []

    class Process:
        def __init__(self, command, **_):
            started.append(int(command[-1]))
            store_logits.main(job.output / "work" / "logits" / "job.json", started[-1])

        def poll(self):
            return 0

        kill = wait = poll

    monkeypatch.setattr(store_logits.subprocess, "Popen", Process)
    stage = StoreLogits(dataclasses.replace(WANTED, nproc=2))
    stage.run(dataclasses.replace(job, stage=stage))
    assert started == [0, 1]
    assert [path.read_bytes() for path in sorted(job.output.glob("shard-*"))] == whole


def test_what_ended_a_process_is_said(tmp_path):
    (tmp_path / store_logits.ERROR_FILE.format(1)).write_text("teacher: cannot be loaded")
    assert str(store_logits._failure(tmp_path, [None, 1])) == "teacher: cannot be loaded"
    assert "process 0 of the teacher was ended by signal 9" in str(store_logits._failure(tmp_path / "x", [-9, None]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"temperature": 1.0}, "made with temperature=2.0, and the training has temperature=1.0"),
        ({"top_k": 6}, "made with top_k=5, and the training has top_k=6"),
        ({"seq_len": 8}, "made with seq_len=16, and the training has seq_len=8"),
        ({"view": "long"}, "made with view=all, and the training has view=long"),
        ({"precision": "bfloat16"}, "made with precision=float32, and"),
    ],
)
def test_what_is_stored_otherwise_is_refused(job, tokens, changed, message):
    files = stored_files.files_of(job.output, 3, IDS, stored_files.identity_of(WANTED, tokens, "0123456789ab"))
    stored_files.save(files)
    with pytest.raises(InputError, match=message):
        opened(job, tokens, **changed)


def test_another_teacher_tokenizer_or_corpus_is_refused(tmp_path, job, tokens, small_shards):
    job.stage.run(job)
    own = opened(job, tokens)
    more = write_tokens(tmp_path / "more", documents=13, vocab=IDS)
    with pytest.raises(InputError, match=r"made with tokens=\w+, and the training has tokens=\w+\. Delete"):
        opened(job, more)
    for key in ("teacher", "tokenizer"):
        with pytest.raises(InputError, match=f"made with {key}="):
            stored_files.Stored(job.output, {**own.files.identity, key: "another"})
    # A file of another pass in the place of one, and one that is cut.
    other = stored_files.files_of(tmp_path / "other", own.files.windows, IDS, {**own.files.identity, "teacher": "x"})
    other.write(0, own.files.read(0))
    own.files.path(0).write_bytes(other.path(0).read_bytes())
    with pytest.raises(InputError, match=r"shard-000000\.safetensors: is of another teacher, tokenizer or corpus"):
        own.window(0)
    own.files.path(1).write_bytes(own.files.path(1).read_bytes()[:-9])
    with pytest.raises(InputError, match=r"shard-000001\.safetensors: cannot be read"):
        own.window(4)
    own.files.path(2).unlink()
    with pytest.raises(InputError, match=r"shard-000002\.safetensors: missing\. Delete"):
        own.window(8)
    with pytest.raises(InputError, match=r"has \d+ windows, and none number 9,999"):
        own.window(9999)
    (job.output / stored_files.INDEX).write_text("{")
    with pytest.raises(InputError, match=r"index\.json: damaged"):
        opened(job, tokens)


def test_only_what_a_training_reads_can_be_stored(job, tokens, tmp_path):
    more = write_tokens(tmp_path / "more", documents=9, vocab=IDS)
    mixture = {"web": 0.75, "code": 0.25}
    config = settings(seq_len=LENGTH, global_batch_size=2, mixture=mixture, steps=4)
    config = dataclasses.replace(config, distill=dataclasses.replace(config.distill, windows="read", top_k=5))
    corpora = {"web": tokens, "code": more}
    works = store_logits.of_training(config, list(corpora))
    assert [(work.role, work.follows) for work in works] == [("logits-web-all-16", True), ("logits-code-all-16", True)]
    inputs = {"teacher": job.inputs["teacher"], "tokens-web": tokens, "tokens-code": more}
    kept = {}
    for work in works:
        own = dataclasses.replace(job, stage=work.stage, seed=7, inputs=inputs, record={}, output=tmp_path / work.role)
        assert work.stage.run(own)["windows"] == {"web": 6, "code": 2}[work.corpus]
        kept[work.role] = own.output
    rows = stored_files.rows(config, corpora, kept)
    read = {name: stored_files.Stored(Path(row["folder"]), row["expected"]) for name, row in rows.items()}
    feed = Sources(corpora, stages(config)).feed(7)
    job.stage.run(job)
    whole = opened(job, tokens)
    for source, window in zip(*feed.locate(0, np.arange(8))[::2], strict=True):
        found = read[feed.names[source]].window(int(window))
        if feed.names[source] == "web":
            for one, other in zip(found, whole.window(int(window)), strict=True):
                np.testing.assert_array_equal(one, other)
    left = (set(range(whole.files.windows)) - set(feed.trained_windows([0]).window_N.tolist())).pop()
    with pytest.raises(InputError, match=rf"has 6 windows, and none number {left}"):
        read["web"].window(left)
    with pytest.raises(ConfigError, match=r"which windows are read is not known .* Set pretrain\.distill\.windows=all"):
        asked(config, None, list(corpora))


def test_a_disk_that_is_too_small_is_found_before_the_first_window(job, monkeypatch):
    monkeypatch.setattr(store_logits.shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(InputError, match=r"take [\d,]+ bytes more, and the disk has 100\. .*pretrain\.distill\.top_k"):
        job.stage.run(job)


def test_a_process_whose_disk_is_full_says_so(job, tmp_path, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(store_logits, "fill", full)
    job.write(tmp_path / store_logits.JOB_FILE)
    (tmp_path / store_logits.SHARDS_FILE).write_text("[[], [0]]")
    with pytest.raises(SafetensorError):
        store_logits.main(tmp_path / store_logits.JOB_FILE, 1)
    assert str(store_logits._failure(tmp_path, [None, 1])).startswith(f"the disk of {job.output} is full: free space")


def test_a_teacher_that_gives_no_numbers_is_refused_with_the_place(job, teacher, tmp_path):
    shutil.copytree(teacher, tmp_path / "broken")
    file = tmp_path / "broken" / "hf" / "model.safetensors"
    weights = load_file(file)
    weights["model.embed_tokens.weight"][20] = np.nan
    save_file(weights, file, metadata={"format": "pt"})
    broken = dataclasses.replace(job, inputs={**job.inputs, "teacher": tmp_path / "broken"})
    with pytest.raises(
        InputError, match=r"teacher=t: gives no numbers in one of the windows \d+ to \d+ of corpus\. Set"
    ):
        job.stage.run(broken)


def test_a_corpus_without_a_window_is_refused(job):
    stage = StoreLogits(dataclasses.replace(WANTED, seq_len=100_000))
    with pytest.raises(InputError, match=r"pretrain\.seq_len=100000: corpus has no window of 100001 tokens"):
        stage.run(dataclasses.replace(job, stage=stage))


def test_the_rest_is_known_also_where_it_is_tiny():
    logits = torch.tensor([[0.0, -30.0, -31.0, -40.0]])
    ids, logs = largest(logits, 2, 1.0)
    assert ids.tolist() == [[0, 1]]
    assert logs.dtype == torch.float16
    assert logs[0, 2].item() == pytest.approx(-31 + np.log1p(np.exp(-9)), abs=2e-2)
    assert largest(logits, 9, 1.0)[1][0, -1].item() == -np.inf


def settings(**values):
    distill = DistillConfig(teacher="t", logits="stored", temperature=2.0)
    return TorchTitanConfig(**{"steps": 6, "device": "cpu", "distill": distill, **values})


def test_each_corpus_view_and_length_is_stored_once():
    mixture = {"web": 0.5, "books": {"share": 0.5, "view": "long"}}
    stages = {
        "one": {"tokens": 2048, "mixture": {"web": 1.0}},
        "two": {"tokens": 2048, "mixture": mixture},
        "three": {"tokens": 2048, "seq_len": 512, "mixture": {"web": 1.0}},
    }
    from smallwright_pretrain.stage_config import StageConfig

    config = settings(stages={name: StageConfig(**stage) for name, stage in stages.items()})
    found = stored.of_training(config, ["web", "books", "code"])
    assert [part.role for part in found] == ["logits-web-all-256", "logits-books-long-256", "logits-web-all-512"]
    assert found[0].top_k == 100
    assert stored.of_training(dataclasses.replace(config, distill=None), ["web"]) == []


def test_students_that_differ_in_anything_but_the_cut_share_what_is_stored():
    one, other = settings(), settings(learning_rate=1e-5, global_batch_size=8, nproc=2, micro_batch_size=1)
    assert [identity(part) for part in stored.of_training(one, ["a"])] == [
        identity(part) for part in stored.of_training(other, ["b"])
    ]


def test_a_plan_says_the_bytes_and_the_work_of_the_teacher_before_anything_is_made(tokens, tmp_path):
    meta = json.loads((tokens / "meta.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "llama", "vocab_size": 70_000, "hidden_size": 8, "num_hidden_layers": 1,
                    "num_attention_heads": 1, "intermediate_size": 8})
    )  # fmt: skip
    config = settings(distill=DistillConfig(teacher=str(tmp_path), logits="stored"))
    work = flops_per_token(counted(str(tmp_path)), 256)
    whole = (meta["train_tokens"] - 1) // 256 * 256
    assert stored.notes(config, {"corpus": tokens}) == [
        f"logits-corpus-all-256: the teacher's 40 largest probabilities of each token take {whole * 162:,} bytes (162 "
        f"a token); its pass, once for all students, takes {whole * work:.3g} FLOPs."
    ]
    (said,) = stored.notes(config, {"web": None}, {"web": 1_000_001})
    assert "100 largest probabilities of each token take 601,961,472 bytes (602 a token); its pass" in said
    assert stored.notes(config, {"web": None})[0].endswith(f"take 602 bytes, and its pass {work:.3g} FLOPs, a token.")
    assert id_type(1 << 16) == np.uint16


def test_settings_of_the_other_kind_of_teacher_are_refused():
    for given, message in (
        ({"top_k": 5}, r"top_k=5: is of logits=stored, and logits=live\. Set top_k=null"),
        ({"windows": "read"}, r"windows=read: is of logits=stored, and logits=live\. Set windows=all"),
        ({"logits": "stored", "sharded": True}, r"sharded=true: is of logits=live"),
    ):
        with pytest.raises(ConfigError, match=message):
            DistillConfig(teacher="t", **given)
