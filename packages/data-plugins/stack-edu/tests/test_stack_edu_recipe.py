"""The recipe's published numbers, its choices, and that its steps take what it gives them."""

from importlib.resources import files

import pytest
from core import typed
from core.compose import compose
from core.data.recipe import RecipeConfig, plan_steps
from core.discovery import load
from omegaconf import OmegaConf

STEP_PLUGINS = (
    "smallwright_files",
    "smallwright_quality",
    "smallwright_labels",
    "smallwright_classifiers",
    "smallwright_dedup",
)


@pytest.fixture(scope="module")
def recipe():
    return OmegaConf.create(files("smallwright_stack_edu.conf").joinpath("data/stack_edu.yaml").read_text())


def test_published_numbers(recipe):
    steps = recipe.steps
    assert len(steps.language.languages) == 15  # SmolLM2 App. D; HTML was dropped
    assert "HTML" not in steps.language.languages
    assert (steps.threshold.minimum, dict(steps.threshold.minimums)) == (3, {"Java": 2, "Markdown": 3})
    assert steps.threshold.by == steps.classifier.by == steps.label.prompt_by == steps.label.strata == "language"
    assert steps.label.domain == "code"
    assert list(steps.license.types) == ["permissive", "no_license"]  # StarCoder2 §2.1
    quality = steps.code_quality
    assert (quality.max_lines, quality.max_mean_line, quality.max_line) == (100_000, 100, 1000)
    assert (quality.min_alphabetic, quality.max_encoded_run, quality.max_encoded_share) == (0.25, 1024, 0.5)
    assert steps.minhash.ngram == 5  # StarCoder2 §3.1
    assert steps.minhash.bands * steps.minhash.rows == 250  # of 256 hashes


def test_bands_have_the_least_error_at_the_published_similarity(recipe):
    """Of all splits of at most 256 hashes: missed pairs above 0.7 and found pairs below it, weighted alike."""
    grid = [(step + 0.5) / 200 for step in range(200)]

    def error(bands, rows):
        chance = [1 - (1 - s**rows) ** bands for s in grid]
        return sum(found if s < 0.7 else 1 - found for s, found in zip(grid, chance, strict=True))

    best = min(((b, r) for b in range(1, 257) for r in range(1, 256 // b + 1)), key=lambda split: error(*split))
    assert best == (recipe.steps.minhash.bands, recipe.steps.minhash.rows)


def test_order_follows_the_method(recipe):
    labels = list(recipe.steps)
    for earlier, later in (
        ("read", "language"),
        ("license", "fetch"),  # nothing is fetched that the licence forbids
        ("fetch", "code_quality"),
        ("minhash", "label"),
        ("decontaminate", "label"),
        ("label", "classifier"),
        ("classifier", "threshold"),
    ):
        assert labels.index(earlier) < labels.index(later)


@pytest.fixture(scope="module")
def registry():
    for plugin in STEP_PLUGINS:
        pytest.importorskip(plugin, reason=f"the recipe names steps of {plugin}")
    return load()


def planned(registry, *overrides):
    data = compose(["+data=stack_edu", *overrides], registry)["data"]
    settings = {key: value for key, value in data.items() if key != "name"}
    return {step.label: step for step in plan_steps(typed.build(RecipeConfig, settings, "data"), registry)}, data


def test_defaults_label_code_by_language(registry):
    steps, data = planned(registry)
    assert data["source"]["name"] == "demo_code"
    assert (steps["label"].entry.name, steps["label"].config.domain) == ("score_rules", "code")
    assert (steps["classifier"].entry.name, steps["classifier"].config.by) == ("classifier", "language")


@pytest.mark.slow
def test_the_published_scale_is_a_matter_of_settings(registry):
    steps, _ = planned(
        registry,
        "data.paths=[rows.parquet]",
        "data.steps.read.use=read_parquet",
        "data.scorer=llm",
        "data.scorer.model=meta-llama/Meta-Llama-3-70B-Instruct",
        "data.steps.label.sample=500000",
        "data.classifier=encoder",
        "data.classifier.encoder=bigcode/starencoder",
        "data.classifier.max_tokens=1024",
        "data.classifier.warmup_steps=200",
        "~data.steps.minhash",
    )
    assert steps["read"].entry.name == "read_parquet"
    label = steps["label"].config
    assert (label.domain, label.prompt_by, label.sample) == ("code", "language", 500_000)
    classifier = steps["classifier"].config
    assert (classifier.encoder, classifier.by, classifier.epochs) == ("bigcode/starencoder", "language", 20)
    assert (classifier.learning_rate, classifier.freeze, classifier.max_tokens) == (3e-4, True, 1024)
    assert "minhash" not in steps
