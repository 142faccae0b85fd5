"""The recipe's published numbers, and that its steps take every setting it lists."""

from importlib.resources import files

import pytest
from core import typed
from core.compose import compose
from core.data.recipe import plan_steps
from core.discovery import load
from omegaconf import OmegaConf

STEP_PLUGINS = tuple(f"smallwright_{name}" for name in ("warc", "extract", "quality", "labels", "classifiers", "dedup"))


@pytest.fixture(scope="module")
def recipe():
    return OmegaConf.create(files("smallwright_finemath.conf").joinpath("data/finemath.yaml").read_text())


def test_published_numbers(recipe):
    steps = recipe.steps
    assert steps.threshold.minimum == 3  # FineMath3+, SmolLM2 §3.3.2
    assert (steps.minhash.bands, steps.minhash.rows) == (1, 10)
    assert (steps.decontaminate.ngram, steps.decontaminate.ratio) == (13, 0.6)
    assert (list(steps.language.languages), steps.language.threshold) == (["en"], 0.65)


def test_order_follows_the_method(recipe):
    labels = list(recipe.steps)
    for earlier, later in (
        ("read", "extract_first"),
        ("extract_first", "label_first"),
        ("label_first", "classifier_first"),
        ("classifier_first", "domain_recall"),
        ("domain_recall", "refetch"),
        ("refetch", "extract"),
        ("extract", "label"),
        ("label", "classifier"),
        ("classifier", "threshold"),
        ("threshold", "minhash"),
        ("minhash", "decontaminate"),
    ):
        assert labels.index(earlier) < labels.index(later)


@pytest.fixture(scope="module")
def registry():
    for plugin in STEP_PLUGINS:
        pytest.importorskip(plugin, reason=f"the recipe names steps of {plugin}")
    return load()


def planned(registry, *overrides):
    data = compose(["+data=finemath", *overrides], registry)["data"]
    settings = {key: value for key, value in data.items() if key != "name"}
    recipe = typed.build(registry.get("corpora", "recipe").load_config(), settings, "data")
    return {step.label: step for step in plan_steps(recipe, registry)}, data


def test_the_two_rounds_have_labels_and_scores_of_their_own(registry):
    steps, _ = planned(registry)
    first, second = steps["label_first"].config, steps["label"].config
    assert (first.domain, first.key, second.domain, second.key) == ("maths_3", "label_first", "maths", "label")
    assert steps["classifier_first"].config.labels == first.key
    assert steps["domain_recall"].config.key == steps["classifier_first"].config.key == "score_first"
    assert (steps["domain_recall"].config.min_pages, steps["domain_recall"].config.page_score) == (10, 2)


def test_four_and_more(registry):
    data = compose(["+data=finemath_4plus"], registry)["data"]
    assert data["steps"]["threshold"] == {"use": "threshold", "key": "int_score", "minimum": 4}
    assert list(data["steps"]) == list(compose(["+data=finemath"], registry)["data"]["steps"])


@pytest.mark.slow
def test_choices_on_the_command_line(registry):
    steps, data = planned(registry, "data.scorer=llm", "data.scorer.model=a/b", "data.steps.threshold.minimum=4")
    assert steps["label"].entry.name == "score_llm"
    assert steps["label"].config.model == "a/b"
    assert steps["threshold"].config.minimum == 4
    assert data["source"]["name"] == "demo_crawl"
    assert "minhash" not in planned(registry, "~data.steps.minhash")[0]


def test_missing_model_is_named(registry):
    with pytest.raises(ValueError, match=r"data\.scorer\.model=<hub id or path>"):
        planned(registry, "data.scorer=llm")
