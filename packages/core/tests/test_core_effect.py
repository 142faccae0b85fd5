"""Settings do what they say: a named size wins over an option's numbers, and none is taken that changes nothing."""

import pytest
from core import compose, graph
from core.errors import ConfigError

OWN = "name: tiny\nsize: nano\nhidden_size: 16\nvocab_size: null\n"


@pytest.fixture
def own_numbers(workdir):
    """The option ``arch=tiny`` names a size, and another number beside it."""
    (workdir / "hydra_conf/arch/tiny.yaml").write_text(OWN)
    (workdir / "hydra_conf/experiment").mkdir()
    (workdir / "hydra_conf/experiment/wide.yaml").write_text("# @package _global_\narch:\n  size: wide\n")
    own = "# @package _global_\narch:\n  size: wide\n  hidden_size: 32\n"
    (workdir / "hydra_conf/experiment/own.yaml").write_text(own)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "width"),
    [
        ([], 16),
        (["arch.size=wide"], 8),
        (["arch.size=nano"], 4),
        (["arch.size=wide", "arch.hidden_size=12"], 12),
        (["arch.hidden_size=12", "arch.size=wide"], 12),
        (["+experiment=wide"], 8),
        (["+experiment=own"], 32),
        (["+experiment=own", "arch.size=nano"], 4),
        (["arch.hidden_size=20"], 20),
    ],
)
def test_the_size_that_is_named_last_wins_over_numbers_that_came_before(
    own_numbers, composed, registry, overrides, width
):
    spec = next(spec for spec in graph.build(composed(*overrides), registry) if spec.name == "pretrain")
    assert spec.architecture.config.hidden_size == width


@pytest.fixture
def labelled(workdir):
    (workdir / "hydra_conf/data/toy.yaml").write_text(
        "name: toy\npaths: null\nsource: {name: lines}\nscorer: {use: drop, word: one, fail_on: x}\nsteps:\n"
        "  read_lines: {}\n  first: {like: '${...scorer}', word: own}\n  second: {like: '${...scorer}', word: mine}\n"
    )


def test_a_setting_that_every_step_overrules_is_refused_and_another_is_not(labelled, composed):
    with pytest.raises(ConfigError) as error:
        composed("data.scorer.word=two")
    assert "data.scorer.word: changes nothing" in str(error.value)
    assert "data.steps.first.word and data.steps.second.word" in str(error.value)
    with pytest.raises(ConfigError, match=r"data.classifier.key: changes nothing, for no step of this recipe is like"):
        composed("data.classifier.key=two")
    assert composed("data.scorer.fail_on=y")["data"]["steps"]["first"]["like"]["fail_on"] == "y"


def test_settings_of_a_source_that_makes_nothing_are_refused(workdir, composed):
    with pytest.raises(ConfigError, match=r"data.source.files: changes nothing, for data.paths is set"):
        composed("data.paths=[x.txt]", "data.source.files=2")


def test_a_step_in_place_of_another_is_not_given_what_that_was_told(registry, composed):
    steps = composed("data.steps.drop.use=keep_first")["data"]["steps"]
    assert set(steps["drop"]) == {"use"}
    steps = composed("data.steps.drop.use=keep_first", "data.steps.drop.word=x")["data"]["steps"]
    assert set(steps["drop"]) == {"use", "word"}


def test_what_an_option_tells_of_items_goes_with_them(workdir, composed):
    (workdir / "hydra_conf/eval/judge.yaml").write_text(
        "name: judge\ntasks: [a, b]\nshots: {a: 5, b: 0}\nother: {c: 1}\n"
    )
    assert composed()["eval"]["shots"] == {"a": 5, "b": 0}
    fewer = composed("eval.tasks=[b,c]")["eval"]
    assert (fewer["shots"], fewer["other"]) == ({"b": 0}, {"c": 1})
    own = composed("eval.tasks=[b]", "eval.shots.a=3")["eval"]
    assert own["shots"] == {"a": 3, "b": 0}  # the user's own, for the part to refuse


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        ("pretrain=count", "pretrain.steps=2"),
        ("eval=judge", "eval.steps=2"),
        ("tokenizer=count", "tokenizer.vocab_size=9"),
    ],
)
def test_settings_of_a_training_are_refused_where_the_run_makes_a_corpus_alone(composed, registry, option, setting):
    with pytest.raises(ConfigError, match=rf"^{setting.partition('=')[0]}: changes nothing, .* Add \+arch=<arch"):
        compose.compose(["+data=toy", option, setting], registry)
    assert composed(setting)
