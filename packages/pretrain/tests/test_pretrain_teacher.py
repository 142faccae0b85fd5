"""A training that learns from a teacher, in this process on one rank: losses, resume, and what teachers are refused."""

import dataclasses
import math
import multiprocessing
import shutil

import pytest
from core import discovery
from core.errors import InputError
from core.interfaces import Job
from pretrain_support import Tiny, TinyConfig, write_tokens
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.cpu import use_device
from smallwright_pretrain.distill_config import DistillConfig, Mix
from smallwright_pretrain.records import read_records
from smallwright_pretrain.stored import of_training
from smallwright_pretrain.stored_files import rows

use_device("cpu")

import torch  # noqa: E402
import torchtitan.trainer  # noqa: E402
from smallwright_pretrain import titan, weights  # noqa: E402
from smallwright_pretrain.attention import inner_attention  # noqa: E402
from smallwright_pretrain.store_logits import StoreLogits  # noqa: E402
from smallwright_pretrain.teacher import Teacher, know  # noqa: E402
from transformers import AutoModelForCausalLM as Auto  # noqa: E402
from transformers import Gemma2Config, LlamaConfig, MambaConfig  # noqa: E402

SETTINGS = TorchTitanConfig(
    steps=6,
    seq_len=16,
    global_batch_size=2,
    learning_rate=1e-2,
    warmup_steps=1,
    checkpoint_interval=2,
    keep_latest=0,
    validation_interval=100,
    validation_sequences=5,
    device="cpu",
)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "initializer_range": 0.5,
}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return write_tokens(tmp_path_factory.mktemp("tokens"), documents=20, vocab=64)


def write(folder, config):
    torch.manual_seed(3)
    Auto.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A teacher with six rows more than there are ids."""
    return write(tmp_path_factory.mktemp("teacher"), LlamaConfig(vocab_size=70, **SIZES))


@pytest.fixture
def build(tmp_path, tokens, folder, monkeypatch):
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", "0")
    monkeypatch.setattr(torchtitan.trainer.time, "sleep", lambda _: None)  # for other ranks, of which there are none
    made = []

    def end():
        while made:
            made.pop().close()
            torch.distributed.destroy_process_group()

    def make(output, stored=None, **distill):
        end()
        torch.set_num_threads(1)
        model = Tiny(TinyConfig(num_hidden_layers=1)).titan_config(inner_attention=inner_attention("cpu"), seq_len=16)
        settings = dataclasses.replace(
            SETTINGS, distill=DistillConfig(teacher=str(folder), **distill) if distill else None
        )
        config = titan.trainer_config(
            settings, model=model, name="Tiny", tokens={"corpus": tokens}, output=tmp_path / output, seed=7,
            teacher=folder if distill and not stored else None, ids=64, stored=stored or {},
        )  # fmt: skip
        trainer = config.build()
        weights.initialize(trainer.model_parts[0], model, seed=7)
        made.append(trainer)
        return trainer

    yield make
    end()


def losses(folder):
    return [record for record in read_records(folder / "metrics.jsonl") if "loss" in record]


def test_a_student_nears_its_teacher_faster_than_by_the_text_alone(build, tmp_path, folder, tokens):
    taught = build("taught", loss="forward_kl", temperature=2.0, alpha=0.9)
    batch, labels_BL = next(iter(taught.dataloader))
    taught.dataloader.load_state_dict({"stage": 0, "position": 0, "skipped": "[]"})
    plain_teacher = Teacher(folder, Mix(), ids=64, dtype=torch.float32, device=torch.device("cpu"))

    def distance(trainer):
        with torch.no_grad():
            inputs, labels, more = trainer.post_dataloading_process(dict(batch), labels_BL)
            student = trainer.model_parts[0](inputs, **more)
            states = plain_teacher.states(inputs, more["positions"])
            return plain_teacher.losses(student, labels, states).divergence.item() / labels.numel()

    before = distance(taught)
    taught.train()
    after = distance(taught)
    rows = losses(tmp_path / "taught")
    assert rows[-1]["kl"] < rows[0]["kl"]
    for row in rows:
        assert row["loss"] == pytest.approx(0.9 * 4 * row["kl"] + 0.1 * row["ce"], rel=1e-5)
    alone = build("alone")
    alone.train()
    assert after < before - 0.5
    assert after < distance(alone) - 0.5
    assert not {"ce", "kl"} & losses(tmp_path / "alone")[0].keys()


def test_held_out_text_is_measured_without_the_teacher(build, tmp_path):
    for name, distill in {"taught": {"loss": "jsd"}, "alone": {}}.items():
        trainer = build(name, **distill)
        trainer.validator.validate(trainer.model_parts, 1)
    taught, alone = (read_records(tmp_path / name / "metrics.jsonl")[-1] for name in ("taught", "alone"))
    assert taught == alone
    assert alone["validation_loss"] == pytest.approx(math.log(64), abs=1.5)


def test_a_resumed_run_has_the_same_losses_to_the_bit(build, tmp_path):
    build("run", loss="reverse_kl").train()
    first = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    for later in ("step-4", "step-6"):
        shutil.rmtree(tmp_path / "run" / "checkpoint" / later)
    build("run", loss="reverse_kl").train()
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == first


@pytest.fixture(scope="module")
def keep(tmp_path_factory, tokens, folder):
    """Store what the teacher says of the corpus, and return what the loader must know of it."""
    (place := tmp_path_factory.mktemp("kept") / "teacher").mkdir()
    (place / "hf").symlink_to(folder)

    def made(**distill):
        settings = dataclasses.replace(SETTINGS, distill=DistillConfig(teacher="t", logits="stored", **distill))
        (part,) = of_training(settings, ["corpus"])
        output = place.parent / f"logits-{part.top_k}-{part.temperature}"
        inputs = {"teacher": place, "tokens": tokens}
        stage = StoreLogits(part)
        stage.run(Job(name=part.role, output=output, inputs=inputs, seed=0, stage=stage))
        return rows(settings, {"corpus": tokens}, {part.role: output})

    return made


def test_a_run_with_all_ids_stored_has_the_losses_of_the_live_one(build, keep, tmp_path):
    mix = {"loss": "jsd", "alpha": 0.7, "temperature": 2.0}
    build("live", **mix).train()
    build("stored", keep(top_k=64, temperature=2.0), logits="stored", top_k=64, **mix).train()
    live, stored = losses(tmp_path / "live"), losses(tmp_path / "stored")
    for key in ("loss", "ce", "kl"):
        assert [row[key] for row in stored] == pytest.approx([row[key] for row in live], rel=2e-3)


def test_a_run_with_few_ids_stored_nears_its_teacher_and_resumes_to_the_bit(build, keep, tmp_path):
    build("few", keep(top_k=8), logits="stored", top_k=8).train()
    shutil.rmtree(tmp_path / "few" / "checkpoint" / "step-6")
    first = (tmp_path / "few" / "metrics.jsonl").read_bytes()
    build("few", keep(top_k=8), logits="stored", top_k=8).train()
    assert (tmp_path / "few" / "metrics.jsonl").read_bytes() == first
    found = losses(tmp_path / "few")
    assert found[-1]["kl"] < found[0]["kl"]


def teacher_of(folder, **options):
    return Teacher(folder, Mix(), ids=64, dtype=torch.float32, device=torch.device("cpu"), **options)


def test_logits_are_those_of_the_whole_model_also_where_it_caps_them(tmp_path, folder):
    capped = write(tmp_path / "gemma", Gemma2Config(vocab_size=64, final_logit_softcapping=2.0, **SIZES))
    inputs, positions = torch.arange(5)[None], torch.arange(5)[None]
    for place, in_chunks in ((folder, True), (capped, False)):
        teacher = teacher_of(place)
        assert teacher._chunks is in_chunks
        found = teacher.head(teacher.states(inputs, positions))
        with torch.no_grad():
            expected = Auto.from_pretrained(place).eval()(input_ids=inputs).logits[0, :, :64]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_teacher_of_another_installed_kind_than_the_run_becomes_known(tmp_path):
    pytest.importorskip("smallwright_pangu_pi", reason="a kind that Transformers does not have")
    entry = discovery.load().get("architectures", "pangu_pi")
    other = entry.build(entry.settings({"size": "nano", "vocab_size": 64, "num_hidden_layers": 2}, "arch"))
    other.hf_model_class()(other.hf_config()).save_pretrained(tmp_path / "hf")
    (tmp_path / "hf" / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}}}')
    know(Tiny(TinyConfig()), tmp_path / "hf")
    assert teacher_of(tmp_path / "hf").head(torch.zeros(1, other.hf_config().hidden_size)).shape == (1, 64)


def test_a_teacher_that_mixes_documents_is_refused(tmp_path):
    mamba = MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, state_size=4)
    with pytest.raises(InputError, match=r"pretrain\.distill\.teacher: .*mamba: (sees other documents|takes no)"):
        teacher_of(write(tmp_path / "mamba", mamba))


def test_a_teacher_whose_weights_are_not_those_of_its_configuration_is_refused(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "cut")
    config = tmp_path / "cut" / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 1', '"num_hidden_layers": 2'))
    with pytest.raises(InputError, match=r"cut: weights missing or of another shape: model\.layers\.1\."):
        teacher_of(tmp_path / "cut")


def on_a_rank(rank, folders, place):
    """What a sharded teacher says, on one of two ranks, each with a batch of its own."""
    store = torch.distributed.FileStore(str(place / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    ranks = torch.distributed.init_device_mesh("cpu", (2,))
    found = []
    for folder in folders:
        teacher = teacher_of(folder, ranks=ranks)
        held = sum(weight.to_local().numel() for weight in teacher._model.parameters())
        found.append((held, *said_by(teacher, rank)))
    torch.save(found, place / f"{rank}.pt")


def said_by(teacher, rank):
    inputs = torch.arange(12).reshape(2, 6) + rank
    positions = torch.tensor([[0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 4, 5]])
    student = torch.randn(2, 6, 64, generator=torch.Generator().manual_seed(rank))
    found = teacher.losses(student, inputs, teacher.states(inputs, positions))
    return [part.item() for part in found]


def test_a_teacher_shared_out_to_two_ranks_says_what_the_whole_one_does(tmp_path, folder):
    tied = write(
        tmp_path / "tied", LlamaConfig(vocab_size=64, **{**SIZES, "num_hidden_layers": 2}, tie_word_embeddings=True)
    )
    capped = write(tmp_path / "capped", Gemma2Config(vocab_size=64, final_logit_softcapping=2.0, **SIZES))
    folders = (folder, tied, capped)
    forked = multiprocessing.get_context("fork")
    ranks = [forked.Process(target=on_a_rank, args=(rank, folders, tmp_path)) for rank in (0, 1)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
        assert rank.exitcode == 0
    for rank in (0, 1):
        for place, (held, *losses) in zip(folders, torch.load(tmp_path / f"{rank}.pt"), strict=True):
            whole = teacher_of(place)
            assert losses == pytest.approx(said_by(whole, rank), abs=1e-5)
            assert held < 0.75 * sum(weight.numel() for weight in whole._model.parameters())
