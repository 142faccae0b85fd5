"""The published recipes: what a plan says of them without their corpora, against the figures of the papers."""

import functools
from pathlib import Path

import pytest
from core import compose, discovery, graph
from core.errors import UserError
from core.planning import stages
from core.planning.model import Hardware

FOLDER = Path(__file__).parents[3] / "hydra_conf" / "experiment"
EXPERIMENTS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
FROM_A_MODEL = ["finemath_ablation"]
"""Recipes that go on from a model that exists."""


@pytest.fixture(scope="module")
def registry():
    return discovery.load()


@pytest.fixture(scope="module")
def planned(registry, tmp_path_factory):
    """Return a function that plans a recipe by the labels of its corpora, as where the hub cannot be reached."""

    def plan(experiment, *more, hardware=None):
        config = compose.compose([f"+experiment={experiment}", *more], registry)
        specs = graph.build(config, registry, without_corpus=True, at_hand=False)
        return stages.plan(specs, tmp_path_factory.mktemp("store"), registry, hardware)

    return plan


@pytest.fixture(scope="module")
def trained(registry):
    """Return a function that gives the settings of a recipe's training."""

    @functools.cache
    def settings(experiment, *more):
        config = compose.compose([f"+experiment={experiment}", *more], registry)
        specs = graph.build(config, registry, without_corpus=True, at_hand=False)
        return next(spec for spec in specs if spec.name == "pretrain").config

    return settings


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name not in FROM_A_MODEL])
def test_a_recipe_is_planned_without_its_corpora(planned, experiment):
    plan = planned(experiment)
    assert plan["stages"] == []
    assert plan["tokens"] > 1e9


COMMANDS = [
    (path.stem, line.partition("python -m core.")[2].split()[1:])
    for path in sorted(FOLDER.glob("*.yaml"))
    for line in path.read_text(encoding="utf-8").splitlines()
    if line.startswith("#   python -m core.")
]
"""The commands in the heads of the recipes."""


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "words"), COMMANDS, ids=[f"{name}-{len(words)}" for name, words in COMMANDS])
def test_the_commands_in_its_head_are_of_the_recipe_and_can_be_given(registry, experiment, words):
    overrides = [word for word in words if "=" in word and "<" not in word]
    assert f"+experiment={experiment}" in overrides
    compose.compose(overrides, registry)


def test_the_context_extension_begins_at_a_checkpoint_that_the_1_7b_keeps(trained):
    (step,) = (int(word.partition("@")[2]) for _, words in COMMANDS for word in words if "branch_from=" in word)
    assert step in trained("smollm2_1_7b").keep_steps
    extension = trained("smollm2_context_extension")
    from smallwright_pretrain.segments import stages

    assert next(stage.first for stage in stages(extension) if stage.name == "extension") == step + 1


@pytest.mark.slow
def test_pangu_pi_pro_trains_a_second_round_on_half_of_the_first(trained):
    """1.6T tokens in batches of 2M, then half as many; also at nano scale."""
    settings = trained("pangu_pi_pro_1b")
    assert settings.steps_of_rounds == [762_939, 381_469]
    assert settings.warmup_steps == round(0.03 * 762_939)
    assert trained("pangu_pi_pro_1b", "+scale=nano").steps_of_rounds == [32, 16]


def test_a_corpus_that_cannot_be_read_is_named_with_its_label(registry):
    overrides = ["+experiment=smollm2_1_7b", "data.fineweb_edu.steps.read.dataset=./nowhere"]
    with pytest.raises(UserError, match=r"^data\.fineweb_edu\.steps\.read\.dataset=./nowhere: "):
        graph.build(compose.compose(overrides, registry), registry)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_nano_run_has_the_shares_the_order_and_the_decay_of_its_recipe(trained, experiment):
    more = ["+arch=gqa", "arch.size=smollm2-1.7b"] if experiment in FROM_A_MODEL else []
    whole, nano = trained(experiment, *more), trained(experiment, "+scale=nano")
    assert nano.tokens < 50_000
    assert nano.mixture == whole.mixture
    assert (nano.schedule, nano.decay_ratio, nano.min_lr_factor) == (
        whole.schedule,
        whole.decay_ratio,
        whole.min_lr_factor,
    )
    if whole.stages is not None:
        assert list(nano.stages) == list(whole.stages)
        assert [stage.mixture for stage in nano.stages.values()] == [stage.mixture for stage in whole.stages.values()]


@pytest.mark.parametrize(
    ("experiment", "step", "rate"),
    [
        # SmolLM2's public configurations: linear warm-up, constant, linear to 0.
        ("smollm2_1_7b", 1_000, 2.5e-4),
        ("smollm2_1_7b", 2_000, 5e-4),
        ("smollm2_1_7b", 4_716_000, 5e-4),
        ("smollm2_1_7b", 4_978_000, 2.5e-4),
        ("smollm2_1_7b", 5_240_000, 0.0),
        ("smollm2_135m", 1_000, 1.5e-3),
        ("smollm2_135m", 1_800_000, 1.5e-3),
        ("smollm2_135m", 2_000_000, 0.0),
        ("smollm2_360m", 2_080_000, 3e-3),
        ("smollm2_360m", 2_600_000, 0.0),
        # MobiLlama, arXiv 2402.16840 section 4: 3e-4 to 3e-5.
        ("mobillama_0_5b", 2_000, 3e-4),
        ("mobillama_0_5b", 768_513, 3e-5),
        # Where the context extension begins: 35,727 of the decay's 524,000 steps before the end.
        ("smollm2_context_extension", 5_204_273, 3.41e-5),
    ],
)
def test_the_rate_is_the_published_one(trained, experiment, step, rate):
    from smallwright_pretrain.schedule import learning_rate

    assert learning_rate(trained(experiment), step) == pytest.approx(rate, rel=1e-3)


def test_the_1_7b_reads_its_corpora_as_often_as_the_paper_says(planned):
    """SmolLM2, arXiv 2502.02737 section 4: tokens by stage from its shares, in billions, and epochs."""
    reads = planned("smollm2_1_7b")["mixture"]
    tokens = [{name: row["tokens"] / 1e9 for name, row in stage["sources"].items()} for stage in reads["stages"]]
    published = [
        {"fineweb_edu": 3240, "dclm": 2160, "starcoder": 600},
        {"fineweb_edu": 900, "dclm": 600, "starcoder": 400, "openwebmath": 100},
        {"fineweb_edu": 592, "dclm": 888, "stack_edu": 320},
        {"fineweb_edu": 232, "dclm": 348, "stack_edu": 240, "openwebmath": 0.8, "aug_gsm8k": 0.2, "cosmopedia": 40},
    ]
    for ours, theirs in zip(tokens, published, strict=True):
        for name, count in theirs.items():
            assert ours[name] == pytest.approx(count, rel=2e-3), name  # 11T stands for 10.989T in the paper
    maths = [sum(row[name] for name in ("infimm_webmath", "openwebmath") if name in row) for row in tokens[2:3]]
    assert maths == [pytest.approx(200, rel=2e-3)]
    epochs = {name: row["epochs"] for name, row in reads["corpora"].items()}
    for name, count in {
        "fineweb_edu": 3.8,
        "dclm": 1.05,
        "starcoder": 4.0,
        "stack_edu": 4.5,
        "cosmopedia": 1.4,
    }.items():
        assert epochs[name] == pytest.approx(count, rel=0.03), name


def test_the_hours_of_the_study_on_one_gpu_are_predicted(planned):
    """L20-Edu-135M took about 72 hours on one L20 (card of AliceYin/l20-edu-135m)."""
    hardware = Hardware(names=("l20",), counts=(1,))
    (row,) = planned("l20_edu_135m", hardware=hardware)["hardware"]
    assert row["hours"] == pytest.approx(72, rel=0.15)


def test_mobillama_is_planned_on_as_many_gpus_as_there_are(planned):
    hardware = Hardware(names=("a100-80gb",), counts=(8, 64, 160))
    rows = planned("mobillama_0_5b", hardware=hardware)["hardware"]
    assert [row["devices"] for row in rows] == [8, 64, 160]
    assert all(row["memory_bytes"] < row["device_memory_bytes"] for row in rows)


@pytest.mark.slow
def test_amber_reads_its_chunks_and_keeps_a_revision_of_each(trained, planned):
    """LLM360 Amber, arXiv 2312.06550: 360 chunks of 1,706,976 sequences of 2,049 tokens, the last of them a label."""
    config = trained("amber")
    assert (
        config.tokens == pytest.approx(360 * 1_706_976 * 2049, rel=1e-5) == pytest.approx(1_259_133_776_640, rel=1e-5)
    )
    assert config.keep_every * config.global_batch_size == pytest.approx(1_706_976, rel=2e-3)
    assert config.revisions
    reads = planned("amber")["mixture"]
    assert sum(row["tokens"] for row in reads["corpora"].values()) == pytest.approx(config.tokens, rel=1e-6)
