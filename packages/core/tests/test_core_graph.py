"""The stages of a run: which there are, what their artifacts are called, and what is part of an identity."""

import dataclasses
from types import SimpleNamespace

import pytest
from core import compose, graph, show_config
from core.errors import ConfigError, InputError
from core.graph import ArchitectureChoice


def test_training_without_data_says_what_to_add(registry):
    with pytest.raises(ConfigError, match=r"add \+data="):
        graph.build(compose.compose(["+arch=tiny"], registry), registry)


@pytest.mark.slow
def test_identity_follows_content_and_not_hardware(registry, composed):
    def digests(*overrides):
        return {spec.name: spec.digest for spec in graph.build(composed(*overrides), registry)}

    base = digests()
    assert digests("pretrain.workers=8", "executor.workers=4", "store=elsewhere") == base
    wide = digests("arch.hidden_size=8")
    assert {name for name in base if base[name] != wide[name]} == {"pretrain", "eval"}
    assert digests("arch.size=wide") == wide
    assert {name for name, digest in digests("eval.steps=6").items() if digest != base[name]} == {"eval"}
    assert all(digest != base[name] for name, digest in digests("seed=1").items())


def test_the_content_of_named_files_is_identity(registry, workdir, composed):
    def data():
        return next(spec for spec in graph.build(composed("data.steps.drop.against=[words.jsonl]"), registry)[1:2])

    with pytest.raises(InputError, match=r"data\.steps\.drop\.against: no such file: words\.jsonl"):
        data()
    (workdir / "words.jsonl").write_text("one\n")
    before = data().digest
    (workdir / "words.jsonl").write_text("two and three\n")
    assert data().digest != before


def test_a_named_folder_counts_by_its_content_and_not_its_place(registry, workdir, composed):
    def digest(folder, text):
        (workdir / folder).mkdir(exist_ok=True)
        (workdir / folder / "weights").write_text(text)
        return graph.build(composed(f"data.steps.drop.against=[{folder}]"), registry)[1].digest

    assert digest("model", "one") == digest("elsewhere", "one")
    assert digest("model", "one") != digest("model", "another")


def test_files_that_settings_name_are_external_files(registry, workdir, composed):
    (workdir / "model").mkdir()
    for name in ("words.jsonl", "model/weights", "model/config.json"):
        (workdir / name).write_text(name)
    data = graph.build(composed("data.steps.drop.against=[words.jsonl,model,hub/name,toy_plugin:none]"), registry)[1]
    assert data.external_files == tuple(
        str(workdir / name) for name in ("words.jsonl", "model/config.json", "model/weights")
    )


def test_stages_come_in_the_order_of_work(registry, composed):
    stages = {spec.name: spec for spec in graph.build(composed("+posttrain=polish"), registry)}
    assert list(stages) == ["crawl", "data", "tokenizer", "tokens", "pretrain", "eval", "polish", "eval-polish"]
    inputs = {name: {role: source.name for role, source in spec.inputs.items()} for name, spec in stages.items()}
    assert inputs["tokens"] == {"corpus": "data", "tokenizer": "tokenizer"}
    assert inputs["pretrain"] == {"tokenizer": "tokenizer", "tokens": "tokens"}
    assert inputs["eval-polish"] == {"model": "polish", "tokens": "tokens", "tokenizer": "tokenizer"}
    assert stages["eval-polish"].folder == "eval"
    assert stages["polish"].folder == "posttrain"


def test_each_of_several_corpora_has_its_tokens(registry, toy, workdir):
    (workdir / "hydra_conf/data/more.yaml").write_text((workdir / "hydra_conf/data/toy.yaml").read_text())
    others = [override for override in toy if not override.startswith("+data")]
    config = compose.compose([*others, "+data=[toy,more]", "data.more.source.lines=5"], registry)
    stages = {spec.name: spec for spec in graph.build(config, registry)}
    made = ["tokens-toy", "tokens-more"]
    assert [name for name in stages if name.startswith("tokens")] == made
    for name in made:
        inputs = {role: source.name for role, source in stages[name].inputs.items()}
        assert inputs == {"corpus": name.replace("tokens", "data"), "tokenizer": "tokenizer"}
    assert set(made) < set(stages["pretrain"].inputs)
    assert set(made) < set(stages["eval"].inputs)


@pytest.mark.slow
def test_a_corpus_that_is_added_leaves_the_tokens_of_the_others(registry, toy, workdir, monkeypatch):
    (workdir / "hydra_conf/data/more.yaml").write_text((workdir / "hydra_conf/data/toy.yaml").read_text())
    others = [override for override in toy if not override.startswith("+data")]
    tokenizer = registry.get("tokenizers", "count").load()
    for reads in (True, False):
        monkeypatch.setattr(tokenizer, "reads_corpora", lambda self, reads=reads: reads, raising=False)
        one = graph.build(compose.compose([*others, "+data=toy"], registry), registry)
        config = compose.compose([*others, "+data=[toy,more]", "data.more.source.lines=5"], registry)
        two = {spec.name: spec.directory(workdir) for spec in graph.build(config, registry)}
        [alone] = [spec.directory(workdir) for spec in one if spec.name == "tokens"]
        assert (two["tokens-toy"] == alone) is not reads


@pytest.mark.slow
@pytest.mark.parametrize("dropped", ["~eval", "eval=null"])
def test_an_evaluation_can_be_left_out(registry, workdir, toy, dropped):
    (workdir / "hydra_conf/experiment").mkdir()
    (workdir / "hydra_conf/experiment/with.yaml").write_text("# @package _global_\neval: {name: judge, steps: 3}\n")
    (workdir / "hydra_conf/experiment/without.yaml").write_text("# @package _global_\neval: null\n")
    without_choice = [override for override in toy if not override.startswith("eval=")]
    for overrides in (
        [dropped],
        ["+experiment=with", dropped],
        ["+experiment=without"],
        ["+posttrain=polish", dropped],
    ):
        config = compose.compose([*without_choice, *overrides], registry)
        assert "eval" not in {stage.folder for stage in graph.build(config, registry)}
        assert "\neval: null" in show_config.render(config, registry)
    with pytest.raises(ConfigError, match=r"eval=judge: an experiment of this run leaves eval out \(eval: null\)"):
        compose.compose([*toy, "+experiment=without"], registry)


def test_methods_and_evaluations_are_asked_before_any_work(registry, composed, monkeypatch):
    asked = []

    def check_plan(stage, where, architecture, tokenizer):
        assert architecture.vocab_rows() >= tokenizer.vocab_size()
        asked.append(where)

    for kind, name in (("trainers", "count"), ("posttrainers", "polish"), ("evaluators", "judge")):
        monkeypatch.setattr(registry.get(kind, name).load(), "check_plan", check_plan, raising=False)
    graph.build(composed("+posttrain=polish"), registry)
    assert asked == ["pretrain", "eval", "posttrain.polish", "eval"]  # the toy trainer is of the same class


def test_a_folder_of_the_store_is_named_by_label_and_digest(registry, composed, tmp_path):
    spec = graph.build(composed(), registry)[-2]
    assert spec.directory(tmp_path) == tmp_path / "pretrain" / f"tiny-nano-{spec.digest}"


def test_a_changed_input_changes_what_is_made_from_it(registry, composed):
    before, after = (
        {spec.name: spec.digest for spec in graph.build(composed(*overrides), registry)}
        for overrides in ([], ["data.steps.drop.word=other"])
    )
    assert {name for name in before if before[name] == after[name]} == {"crawl"}


def test_the_job_of_a_stage_says_what_its_manifest_must(registry, composed, tmp_path):
    spec = next(spec for spec in graph.build(composed(), registry) if spec.name == "data")
    job = spec.job(tmp_path, ("toy_plugin.py",), {"toy": "1.0"})
    assert job.inputs == {"crawl": spec.inputs["crawl"].directory(tmp_path)}
    assert job.record["folder"] == "data"
    assert job.record["identity"] == spec.identity()
    assert job.record["plugins"] == {"toy": "1.0"}
    assert set(job.record["sources"]) == {entry.distribution for entry in (spec.entry, *spec.parts)}
    assert type(job.executor).__name__ == "LocalExecutor"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyConfig:
    SIZES = {"nano": {"hidden_size": 4}}
    size: str | None = None
    hidden_size: int
    layers: int = 6
    heads: int = 2
    groups: tuple[int, ...] = ()
    shape: str = "a/b"
    vocab_size: int = 10


def label(**values):
    return ArchitectureChoice(entry=SimpleNamespace(name="tiny"), config=TinyConfig(**values)).label()


def test_label_says_what_differs_from_the_size():
    assert label(size="nano", hidden_size=4, vocab_size=99) == "tiny-nano"
    assert label(hidden_size=4, layers=2) == "tiny"
    assert label(size="nano", hidden_size=4, layers=4) == "tiny-nano-layers-4"
    assert label(size="nano", hidden_size=4, groups=(1,), shape="b/c") == "tiny-nano-groups-shape-b_c"
    assert label(size="nano", hidden_size=8, layers=4, heads=1, groups=(1,)) == (
        "tiny-nano-hidden_size-8-layers-4-heads-1-and-1-more"
    )


def test_the_tokenizer_looks_at_the_recipes_while_planning(registry, composed, monkeypatch):
    def refuse(self, names):
        raise ConfigError(f"tokenizer.weights names none of {', '.join(names)}.")

    monkeypatch.setattr(registry.get("tokenizers", "count").load(), "check_corpora", refuse, raising=False)
    with pytest.raises(ConfigError, match=r"names none of corpus\."):
        graph.build(composed(), registry)
    config = composed()
    config["data"] = {"one": config["data"], "two": config["data"]}
    with pytest.raises(ConfigError, match=r"names none of one, two\."):
        graph.build(config, registry)
