"""Runs that start from a model, a corpus or tokens that exist."""

import dataclasses
import json
import shutil

import numpy
import pytest
from core import advice, compose, entries, graph, store
from core.entered import EnteredModel, EnteredModelConfig
from core.errors import ConfigError, InputError
from core.interfaces import Job
from core.planning import stages
from core.stock import StockArchitecture, StockConfig
from core.weights import ModelFolder

numpy_files = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
SHAPE = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 10}
ONE = ["tokenizer=count", "eval=judge"]


@pytest.fixture
def model(workdir):
    """A model's folder of a family that Transformers has, with a pickle and a note beside it."""
    return write_model(workdir / "given")


def write_model(folder, kind="llama", ids=10):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": kind, **SHAPE}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {str(n): n for n in range(ids)}}}))
    numpy_files.save_file({"embed": numpy.zeros((10, 8), "f4")}, folder / "model.safetensors")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    (folder / "README.md").write_text("a note")
    return folder


def describe(folder, **more):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **more}))


def two_kinds(folder):
    for name in ("a.jsonl.gz", "b.parquet"):
        (folder / name).write_text("")


def planned(registry, *overrides):
    return graph.build(compose.compose(overrides, registry), registry)


@pytest.fixture
def known(monkeypatch):
    """Let Transformers, which these tests do without, know the family llama."""
    monkeypatch.setattr(entries, "known_to_transformers", lambda model_type: model_type == "llama")


def test_a_model_alone_is_evaluated_and_with_a_method_aligned(registry, model, known):
    assert [spec.name for spec in planned(registry, "model=given", *ONE)] == ["model", "eval"]
    stages = {spec.name: spec for spec in planned(registry, "model=given", "+posttrain=polish", *ONE)}
    assert list(stages) == ["model", "eval", "polish", "eval-polish"]
    assert stages["polish"].inputs == {"model": stages["model"]}
    assert stages["polish"].label == "polish-given"
    assert stages["eval"].architecture is None


@pytest.mark.slow
def test_a_model_counts_by_its_content_and_not_its_place(registry, model, known):
    first = planned(registry, "model=given", *ONE)[0].digest
    shutil.copytree(model, model.parent / "elsewhere")
    assert planned(registry, "model=elsewhere", *ONE)[0].digest == first
    (model / "README.md").write_text("another note")
    assert planned(registry, "model=given", *ONE)[0].digest == first
    numpy_files.save_file({"embed": numpy.ones((10, 8), "f4")}, model / "model.safetensors")
    assert planned(registry, "model=given", *ONE)[0].digest != first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "overrides", "said"),
    [
        (lambda m: shutil.rmtree(m), [], "model=given: no such folder, and no hub id"),
        (lambda m: (m / "config.json").unlink(), [], "config.json: not found. Give the folder of a model"),
        (lambda m: (m / "config.json").write_text("{"), [], "config.json: cannot be read"),
        (lambda m: (m / "config.json").write_text('{"model_type": "llama"}'), [], "config.json: has no vocab_size"),
        (lambda m: (m / "config.json").write_text("[]"), [], "config.json: has no model_type"),
        (lambda m: (m / "config.json").write_text('{"model_type": ["llama"]}'), [], "config.json: has no model_type"),
        (lambda m: (m / "tokenizer.json").unlink(), [], "tokenizer.json: not found. Save its tokenizer"),
        (lambda m: (m / "tokenizer.json").write_text('{"model": 3}'), [], "tokenizer.json: is no tokenizer's"),
        (lambda m: (m / "model.safetensors").rename(m / "adapter_model.safetensors"), [], "is an adapter. Merge it"),
        (lambda m: None, ["tokenizer.vocab_size=9"], "tokenizer.vocab_size: changes nothing, for model=given"),
        (lambda m: None, ["pretrain=count", "pretrain.steps=9"], "pretrain.steps: changes nothing, for model=given"),
        (lambda m: (m / "model.safetensors").unlink(), [], "training_args.bin is a pickle"),
        (lambda m: (m / "model.safetensors").write_bytes(b"cut"), [], "model.safetensors: cannot be read"),
        (lambda m: (shutil.rmtree(m), write_model(m, ids=11)), [], "ids up to 10, and the model has 10 rows"),
        (lambda m: None, ["+arch=tiny"], "brings its own architecture"),
        (lambda m: None, ["+data=toy"], "no installed architecture has models of type llama to train on"),
        (lambda m: None, ["corpus=given"], "corpus=given: no artifact, and it has no file that ends in .parquet or"),
        (lambda m: None, ["corpus=nowhere"], "corpus=nowhere: no such folder. Give an artifact of data, or a folder"),
        (lambda m: two_kinds(m), ["corpus=given"], "corpus=given: has files of two kinds, as given/a.jsonl.gz and"),
        (
            lambda m: (m / "x.parquet").write_text(""),
            ["corpus=given"],
            "corpus=given: no installed plugin offers steps "
            "'read_parquet'. Installed: read_lines. Install it: pip install smallwright-data-files$",
        ),
        (
            lambda m: describe(m, quantization_config={"bits": 4}),
            ["posttrain=polish"],
            "quantization_config: the model is quantised, and can be evaluated and talked to only",
        ),
        (lambda m: describe(m, quantization_config={"bits": 4}), ["+data=toy"], "the model is quantised"),
        (lambda m: describe(m, architectures=["LlamaModel"]), [], "architectures=LlamaModel: has no head of a lang"),
        (lambda m: describe(m, architectures=["LlamaForSequenceClassification"]), [], "Classification: has no head"),
        (lambda m: describe(m, is_encoder_decoder=True), [], "is_encoder_decoder=true: not a decoder alone"),
        (lambda m: None, ["corpus=given", "+data=toy"], "with \\+data there would be two corpora"),
    ],
)
def test_what_cannot_be_started_from_is_said_while_planning(registry, model, known, change, overrides, said):
    change(model)
    with pytest.raises((InputError, ConfigError), match=said):
        planned(registry, "model=given", "tokens=count", *overrides, *ONE)


def test_a_model_comes_into_the_store_whole_and_unchanged(registry, model, known, tmp_path):
    spec = planned(registry, "model=given", *ONE)[0]
    job = spec.job(tmp_path / "store", (), {})
    summary = job.stage.run(job)
    kept = sorted(path.name for path in (job.output / "hf").iterdir())
    assert kept == ["config.json", "model.safetensors", "tokenizer.json"]
    assert summary["stored_parameters"] == 80
    assert summary["origin"] == "given"
    assert spec.external_files == tuple(str(model / name) for name in kept)


def test_a_model_that_changes_while_it_is_read_is_refused(model, tmp_path):
    config = EnteredModelConfig(origin="given", directory=str(model), digests={"config.json": "0" * 64})
    with pytest.raises(InputError, match=r"model=given: config\.json: changed while it was read"):
        EnteredModel(config).run(Job(name="model", output=tmp_path / "out", inputs={}, seed=0))
    assert not (tmp_path / "out" / "hf").exists()


def test_weights_to_train_on_are_compared_before_the_work(registry, model, known, monkeypatch):
    def refuse(self, folder):
        raise folder.refusal("other weights")

    def settings_of(cls, folder):
        return {"hidden_size": 8, "vocab_size": 10}

    tiny = registry.get("architectures", "tiny").load()
    monkeypatch.setattr(tiny, "settings_of", classmethod(settings_of))
    training = ["model=given", "+data=toy", "tokens=count", "pretrain=count", *ONE]
    assert "pretrain" in [spec.name for spec in planned(registry, *training)]
    monkeypatch.setattr(tiny, "check_weights", refuse)
    with pytest.raises(InputError, match="model=given: other weights"):
        planned(registry, *training)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "arch.max_position_embeddings=64: shorter. Set arch.max_position_embeddings=99 or pretrain.seq_len=64.",
            "model=m: config.json: max_position_embeddings=64: shorter. Set pretrain.seq_len=64.",
        ),
        (
            "arch.head_dim=40: not served. Set arch.head_dim=32, or eval.engine=transformers.",
            "model=m: config.json: head_dim=40: not served. Set eval.engine=transformers.",
        ),
        ("pretrain.steps=0: too few.", "pretrain.steps=0: too few."),
        ("data.steps.read.text=text: a.parquet has no such column. Its columns: body.",
         "corpus=c: a.parquet has no column text. Its columns: body. To take the documents from another, name it in a "
         "recipe: +data=jsonl 'data.paths=[<files>]' data.steps.read.use=read_parquet data.steps.read.text=<name>."),
        ("data.steps.read: x", "corpus=c: data.steps.read: x"),
    ],
)  # fmt: skip
def test_who_starts_from_what_exists_is_told_of_keys_that_are_there(said, shown):
    error = advice.of_entries(InputError(said), "m", "c")
    assert isinstance(error, InputError)
    assert str(error) == shown
    assert str(advice.of_entries(InputError(said), None, None)) == said


def test_an_artifact_is_taken_where_it_lies(registry, model, known, workdir):
    artifact = workdir / "other" / "pretrain" / "gqa-nano-0123456789ab"
    shutil.copytree(model, artifact / "hf")
    record = {"stage": "pretrain", "folder": "pretrain", "identity": {"a": 1}, "inputs": {}, "external_files": []}
    store.finish(artifact, record)
    for named in (artifact, artifact / "hf"):
        spec = planned(registry, f"model={named}", *ONE)[0]
        assert spec.directory(workdir / "store") == artifact
        assert spec.identity() == {"a": 1}
    with pytest.raises(InputError, match="an artifact of the stage pretrain, which is no artifact of tokens"):
        planned(registry, "tokens=count", f"tokens.artifact={artifact}", "+arch=tiny", *ONE)
    (artifact / "hf" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"^model=.*config\.json is missing or was changed\. Look at it with "):
        planned(registry, f"model={artifact}", *ONE)


def test_two_tokenizers_are_the_same_when_their_ids_are(tmp_path):
    one, other = write_model(tmp_path / "one"), write_model(tmp_path / "other")
    (other / "tokenizer.json").write_text(
        json.dumps({**json.loads((one / "tokenizer.json").read_text()), "padding": 1})
    )
    entries.check_same_tokens(one, other, "model=one")
    shutil.rmtree(other)
    write_model(other, ids=9)
    with pytest.raises(InputError, match="model=one: made with another tokenizer than"):
        entries.check_same_tokens(one, other, "model=one")
    assert ModelFolder(one).weights()


def test_a_question_about_a_model_needs_no_corpus(registry):
    config = compose.compose(
        ["+arch=tiny", "tokenizer=count", "tokens=count", "pretrain=count", "eval=judge"], registry
    )
    assert "pretrain" in [spec.name for spec in graph.build(config, registry, without_corpus=True)]
    with pytest.raises(ConfigError, match="training needs a corpus"):
        graph.build(config, registry)


def test_a_plan_tells_the_counts_of_a_model_that_is_not_trained_on(registry, model, known, workdir):
    describe(model, max_position_embeddings=100, num_key_value_heads=1)
    named, specs = entries.model("given", registry), planned(registry, "model=given", *ONE)
    result = stages.plan(specs, workdir / "store", registry, entered=named)
    assert result["model"] == {
        "architecture": "llama",
        "stored_parameters": 80,
        "executed_parameters": 80,
        "embedding_parameters": 80,
        "embedding_share": 1.0,
        "kv_cache": {"bytes_per_token": 2 * 2 * 4 * 2, "context": 100, "bytes_at_context": 3200},
        "context": 100,
        "forward_flops_per_token": 2 * 80 + 2 * (2 * 8) * 100,
    }
    assert "stored parameters    80" in stages.render(result)
    folder = named.folder
    elsewhere = dataclasses.replace(named, planned=StockArchitecture(StockConfig.of(folder, None)))
    shown = stages.render(stages.plan(specs, workdir / "store", registry, entered=elsewhere))
    assert "parameters           counted when it is downloaded" in shown, "of a model on the hub the weights come later"
