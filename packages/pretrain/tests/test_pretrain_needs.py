"""What core.plan and core.doctor count of a training beside the model's own, by figures computed by hand."""

import json
from types import SimpleNamespace

import pytest
from core import doctor, store
from core.entered import EnteredModelConfig
from core.entries import finished
from core.planning import model, needs
from core.planning.model import Hardware
from core.registry import Entry
from core.stage_spec import ArchitectureChoice, PolicyChoice, StageSpec
from core.typed import build
from pretrain_support import Tiny, TinyConfig, write_tokens
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.policies_config import RHOConfig

LENGTH = 16
MADE_BY = {"stage": "tokens", "folder": "tokens", "external_files": [], "inputs": {}, "identity": {}}
OF_A_TEACHER = {"vocab_size": 64, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
PARAMETERS = 2 * 64 * 8 + 4 * 8 * 8 + 3 * 8 * 8
"""Both tables, attention, feed-forward; norms are not counted."""
FORWARD = 2 * (PARAMETERS - 64 * 8) + 4 * 8 * LENGTH / 2
"""FLOPs of a token: 2 for each parameter but the input embedding's, and the scores of half the sequence on average."""
A_SECOND = 0.4 * 989e12
"""FLOPs of an H100 at the assumed share of its peak."""


def entry(kind, target):
    return Entry(
        kind=kind, name="x", target=target, config=None, plugin="p", distribution="smallwright-pretrain", version="1"
    )


TINY = ArchitectureChoice(entry=entry("architectures", "pretrain_support:Tiny"), config=TinyConfig())


@pytest.fixture
def named(tmp_path):
    """A model in Hugging Face's format, as far as planning looks at it."""
    (tmp_path / "named").mkdir()
    config = {"model_type": "llama", "intermediate_size": 8, "tie_word_embeddings": False, **OF_A_TEACHER}
    (tmp_path / "named" / "config.json").write_text(json.dumps(config))
    return str(tmp_path / "named")


def training(inputs=None, policy=None, **settings):
    config = build(TorchTitanConfig, {"steps": 10, "seq_len": LENGTH, "global_batch_size": 4, **settings}, "pretrain")
    chosen = entry("trainers", "smallwright_pretrain.stage:TorchTitanPretrain")
    return StageSpec(
        name="pretrain", folder="pretrain", label="x", entry=chosen, config=config, architecture=TINY,
        inputs=inputs or {}, policy=policy, content={},
    )  # fmt: skip


def stored(named, tokens, **settings):
    """Return a training with a teacher whose distributions come before it, and the stage that makes them."""
    made = StageSpec(
        name="logits-corpus-all-16", folder="logits", label="x", entry=entry("sources", "x"), config=None, content=None
    )
    distill = {"teacher": named, "logits": "stored", "top_k": 5}
    return training({"tokens": tokens, made.name: made}, distill=distill, **settings), made


def stored_of_made_tokens(tmp_path, named):
    """Return tokens, and the same of them."""
    place = write_tokens(tmp_path / "tokens-1", documents=12, vocab=40)
    store.finish(place, MADE_BY)
    return place, *stored(named, finished(place, "tokens", "tokens"))


def hours(spec, before=0.0):
    return model.describe(spec, Hardware(names=("h100",)), before)["hardware"][0]["hours"]


def test_a_stored_teacher_is_in_the_disk_and_the_hours_until_its_pass_is_done(tmp_path, named):
    place, spec, made = stored_of_made_tokens(tmp_path, named)
    gone_through = (json.loads((place / "meta.json").read_text())["train_tokens"] - 1) // LENGTH * LENGTH
    found = needs.beforehand([spec, spec], tmp_path / "store")
    # Of 5 ids 2 bytes each, and of these and the rest a float16.
    assert found == needs.Beforehand(disk_bytes=gone_through * (10 + 12), flops=gone_through * FORWARD)
    assert hours(spec, found.flops) - hours(spec) == pytest.approx(gone_through * FORWARD / A_SECOND / 3600)
    described = model.describe(spec, Hardware(), found.flops)
    assert described["flops"] == described["flops_per_token"] * 640 + gone_through * FORWARD
    assert "before the training, once for all that share it" in "\n".join(model.render(described))
    (done := made.directory(tmp_path / "store")).mkdir(parents=True)
    store.finish(done, {**MADE_BY, "folder": "logits"})
    assert needs.beforehand([spec], tmp_path / "store") == needs.Beforehand()


def test_tokens_that_are_not_made_yet_are_named_or_taken_at_the_size_that_is_said(tmp_path, named):
    unmade = StageSpec(name="tokens", folder="tokens", label="x", entry=entry("packers", "x"), config=None, content={})
    spec, made = stored(named, unmade)
    assert needs.beforehand([spec], tmp_path) == needs.Beforehand(unknown=[made.name])
    said, _ = stored(named, unmade, corpus_tokens={"corpus": 1001})
    assert needs.beforehand([said], tmp_path) == needs.Beforehand(disk_bytes=992 * 22, flops=992 * FORWARD)


def test_the_doctor_looks_for_room_for_the_teacher_and_memory_for_a_reference(tmp_path, named, monkeypatch):
    _, spec, _ = stored_of_made_tokens(tmp_path, named)
    before = needs.beforehand([spec], tmp_path)
    rho = PolicyChoice(
        entry=entry("mixture_policies", "smallwright_pretrain.policies_rho:RHO"),
        config=build(RHOConfig, {"reference": named}, "policy"),
        content={},
    )
    asked = {}
    monkeypatch.setattr(doctor, "disk", lambda *given: asked.setdefault(given[0], given[2:]) and ())
    monkeypatch.setattr(doctor, "memory", lambda name, plan: asked.setdefault("memory", plan))
    monkeypatch.setattr(doctor, "_of_training", lambda *_: ())
    registry = SimpleNamespace(versions=lambda: {})
    list(doctor.examine([spec], {"store": tmp_path}, registry))
    assert asked["store"][2] == before
    asked.clear()
    list(doctor.examine([training(policy=rho)], {"store": tmp_path}, registry))
    assert asked["memory"]["memory"]["reference"] == 4 * PARAMETERS


def test_a_model_that_is_copied_into_the_store_takes_its_files_there_until_it_is_there(tmp_path, named):
    config = EnteredModelConfig(origin=named, directory=named)
    spec = StageSpec(name="model-teacher", folder="model", label="x", entry=entry("sources", "x"), config=config)
    (tmp_path / "named" / "model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "named" / "pytorch_model.bin").write_bytes(bytes(5000))  # stays where it is
    described = (tmp_path / "named" / "config.json").stat().st_size
    assert needs.copied_bytes([spec, spec], tmp_path / "store") == 1000 + described
    (done := spec.directory(tmp_path / "store")).mkdir(parents=True)
    store.finish(done, {**MADE_BY, "folder": "model"})
    assert needs.copied_bytes([spec], tmp_path / "store") == 0


def test_the_space_that_a_teacher_takes_is_said_with_its_own_fix(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_written", lambda place: (1.0, 0.0))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**30))
    before = needs.Beforehand(disk_bytes=2 * 2**30, unknown=["logits-web-all-16"])
    space = next(doctor.disk("store", tmp_path, 2**30, 0, before))
    assert space.figure == "1.0 GiB free, the run keeps 3.0 and logits-web-all-16"
    assert "or less than 2.0 GiB of the teacher (pretrain.distill.top_k)" in space.fault
    assert "teacher" not in next(doctor.disk("store", tmp_path, 2 * 2**30)).fault


def test_the_passes_of_rounds_and_of_rho_are_in_the_hours(named):
    """Each with the forward passes that it takes: a third of what training on a token takes."""
    own = Tiny(TinyConfig()).flops_per_token(LENGTH)
    alone = hours(training())
    assert alone == pytest.approx(10 * 4 * LENGTH * own / A_SECOND / 3600)
    rounds = training(rounds={"count": 2, "rate": 1.0})  # as many steps in each: 5 of 10 are measured
    assert hours(rounds) / alone == pytest.approx(1 + (1 / 3) * (5 / 10))
    rho = PolicyChoice(
        entry=entry("mixture_policies", "smallwright_pretrain.policies_rho:RHO"),
        config=build(RHOConfig, {"reference": named, "candidates": 3}, "policy"),
        content={},
    )
    # Three candidates for each sequence, by the model and by the reference.
    assert hours(training(policy=rho)) / alone == pytest.approx(1 + 3 * (own / 3 + FORWARD) / own)
