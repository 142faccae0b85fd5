"""A seed for each stage: what it changes, and what it leaves as it is."""

import pytest
from core import compose, graph, seeds, show_config
from core.errors import ConfigError


@pytest.fixture
def stages(composed, registry):
    return lambda *overrides: {spec.name: spec for spec in graph.build(composed(*overrides), registry)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "seeded"),
    [
        ("pretrain.seed", {"pretrain"}),
        ("data.seed", {"data"}),
        ("data.source.seed", {"crawl"}),
        ("tokenizer.seed", {"tokenizer"}),
        ("tokens.seed", {"tokens"}),
        ("eval.seed", {"eval", "eval-polish"}),
        ("posttrain.polish.seed", {"polish"}),
    ],
)
def test_a_stages_seed_is_its_own_and_changes_what_is_made_from_it(stages, key, seeded):
    base, changed = stages("+posttrain=polish", "seed=3"), stages("+posttrain=polish", "seed=3", f"{key}=7")
    assert {name for name, spec in changed.items() if spec.seed == 7} == seeded
    assert {spec.seed for name, spec in changed.items() if name not in seeded} == {3}
    first = min(list(base).index(name) for name in seeded)
    same = [name for name in list(base)[:first] if base[name].digest == changed[name].digest]
    assert same == list(base)[:first], "a sweep over it makes what comes before once"


def test_of_several_recipes_each_has_a_seed(registry):
    specs = graph.build(compose.compose(["+data=[toy,other]", "data.other.seed=5"], registry), registry)
    assert {spec.name: spec.seed for spec in specs if spec.folder == "data"} == {"data-toy": 0, "data-other": 5}


@pytest.mark.slow
def test_the_seed_of_the_run_is_that_of_a_stage_that_has_null(stages):
    base, same = stages("seed=3"), stages("seed=3", "pretrain.seed=null")
    assert [spec.digest for spec in base.values()] == [spec.digest for spec in same.values()]
    assert same["pretrain"].digest == stages("seed=3", "pretrain.seed=3")["pretrain"].digest


def test_a_plugins_own_seed_stays_the_plugins(registry, composed, monkeypatch):
    entry = registry.get("evaluators", "judge")
    own = type("Own", (), {"__dataclass_fields__": {"seed": None}})
    monkeypatch.setattr(type(entry), "load_config", lambda self: own if self is entry else None)
    rest, found = seeds.split(composed("eval.seed=9", "pretrain.seed=5"), registry)
    assert rest["eval"]["seed"] == 9
    assert "seed" not in rest["pretrain"]
    assert (found.of("eval"), found.of("eval-polish"), found.of("pretrain-source")) == (0, 0, 5)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("pretrain.seed=-1", "pretrain.seed=-1: must be from 0 to 4294967295"),
        ("data.source.seed=x", "data.source.seed='x': expected int"),
        ("executor.seed=1", "executor.seed: unknown key"),
        ("arch.seed=1", "arch.seed: unknown key"),
    ],
)
def test_what_is_no_seed_is_refused_with_its_key(stages, override, said):
    with pytest.raises(ConfigError) as error:
        stages(override)
    assert str(error.value).startswith(said)


def test_all_settings_show_the_seeds_and_give_the_same_run(registry, composed, workdir):
    shown = show_config.render(composed("pretrain.seed=4", "+posttrain=polish"), registry)
    assert shown.count("  # What this stage's random choices are drawn from; null: the run's seed.\n") == 7
    assert "  seed: 4\n" in shown
