"""What can be wrong in a study's settings is said in one line with its key, from a file or the command line."""

import pytest
from core import discovery, typed
from core.errors import ConfigError, InputError, UserError
from core.study import find
from core.study.config import StudyConfig

GOOD = {
    "claim": "New is better.",
    "arms": {"old": ["a=1"], "new": ["a=2"]},
    "control": "old",
    "metric": "pretrain.loss",
    "direction": "lower",
}


def build(**changes):
    return typed.build(StudyConfig, {**GOOD, **changes}, "")


@pytest.mark.parametrize(
    ("given", "seeds"),
    [("range(0,3)", (0, 1, 2)), ("range(4)", (0, 1, 2, 3)), ("range( 7 , 9 )", (7, 8)), ([5, 3], (5, 3))],
)
def test_seeds(given, seeds):
    assert build(seeds=given).all_seeds == seeds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"control": "odl"}, "control=odl: no such arm. Did you mean 'old'? Arms: old, new."),
        ({"arms": {"old": ["a=1"], "new": ["a=1"]}}, "arms.new: has the overrides of arms.old."),
        ({"arms": {"old": ["a=1"]}}, "arms="),
        ({"arms": {"old": "a=1", "new": ["a=2"]}}, "arms.old='a=1': expected list"),
        ({"seeds": [3]}, "seeds: one seed, and"),
        ({"seeds": "range(2,2)"}, "seeds: no seeds, and"),
        ({"seeds": [1, 2, 1]}, "seeds: 1 is named twice."),
        ({"seeds": "0-4"}, "seeds=0-4: write a list"),
        ({"seeds": "range(0,1000000000)"}, "seeds=range(0,1000000000): 1000000000 seeds; at most"),
        ({"seeds": [-1, 2]}, "seeds=-1: a seed is from 0"),
        ({"direction": "up"}, "direction=up: must be one of lower, higher."),
        ({"test": "anova"}, "test=anova: must be one of permutation, paired_t."),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"base": ["pretrain.seed=3"]}, "base: pretrain.seed=3: the study sets pretrain.seed itself."),
        ({"arms": {"old": ["a=1"], "new": ["+seed=2"]}, "seed_key": "seed"}, "arms.new: +seed=2: the study sets seed"),
        ({"arms": {"old/1": ["a=1"], "new": ["a=2"]}, "control": "new"}, "arms='old/1'"),
        (
            {"arms": {"old": ["a=1"], "new": ["a=2,3"]}},
            "arms.new: a=2,3: several values, and a study has one run of an",
        ),
        ({"base": ["a=range(0,3)"]}, "base: a=range(0,3): several values"),
        ({"arms": {"old": ["a=1"], "new": ["store=b"]}}, "arms.new: store=b: store is one for all arms. Give it in ba"),
        ({"arms": {"old": ["a=1"], "new": ["+launcher=local"]}}, "launcher is one for all arms."),
        ({"metrik": "x"}, "metrik: unknown key. Did you mean 'metric'?"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(ConfigError) as raised:
        build(**changes)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_command_line_is_taken_apart():
    words = ["mine", "seeds=range(0,3)", "+launcher=local", "pretrain.steps=4", "equal.pretrain.tokens=0", "~eval"]
    assert find.split(words) == (
        "mine",
        ["seeds=range(0,3)", "equal.pretrain.tokens=0"],
        ["+launcher=local", "pretrain.steps=4", "~eval"],
    )
    assert find.split(["pretrain.steps=4", "mine"])[0] == "mine"
    assert find.split([]) == (None, [], [])


TEXT = """
claim: "Old: worse."
arms: {old: [a=1], new: [a=2]}
control: old
metric: pretrain.loss
direction: lower
alpha: 5e-2
"""


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hydra_conf" / "study").mkdir(parents=True)
    (tmp_path / "hydra_conf" / "study" / "mine.yaml").write_text(TEXT)
    return discovery.load()


def test_a_study_is_found_by_name_and_by_path_and_the_command_line_wins(registry):
    own = ["seeds=[4,2]", "alpha=0.01", "arms.newer=[a=3]", "equal.pretrain.tokens=0.1", "claim=so it is"]
    for place in ("mine", "hydra_conf/study/mine.yaml"):
        name, study = find.load(place, own, registry)
        assert (name, study.all_seeds, study.alpha, study.claim) == ("mine", (4, 2), 0.01, "so it is")
        assert study.arms == {"old": ("a=1",), "new": ("a=2",), "newer": ("a=3",)}
        assert study.equal == {"pretrain.tokens": 0.1}
    assert find.load("mine", [], registry)[1].alpha == 0.05


def test_studies_are_listed_with_their_claims_also_one_that_is_broken(registry, tmp_path):
    (tmp_path / "hydra_conf" / "study" / "broken.yaml").write_text(TEXT.replace("control: old", "control: none"))
    found = dict(find.listed(registry))
    assert found["mine"] == "Old: worse."
    assert found["broken"].startswith("cannot be read: study broken: control=none: no such arm.")


@pytest.mark.parametrize(
    ("name", "text", "own", "message"),
    [
        ("nine", None, [], "nine: no such study. Did you mean 'mine'? There are: "),
        ("no.yaml", None, [], "no.yaml: there is no such file."),
        ("bad.yaml", "a: [", [], "study bad.yaml: no YAML:"),
        ("bad.yaml", "- a", [], "study bad.yaml: expected settings"),
        ("bad.yaml", "3", [], "study bad.yaml: expected settings"),
        ("bad.yaml", "a: &a [*a]", [], "study bad.yaml: no YAML that can be read: it has itself as a part."),
        ("bad.yaml", "", [], "study bad.yaml: claim: not set."),
        ("mine", None, ["seeds=[1,"], "seeds=[1,: cannot read the value as YAML."),
        ("mine", None, ["claim.of=x"], "claim.of=x: claim has no settings."),
        ("mine", None, ["~seeds"], "~seeds: write seeds=<value>."),
    ],
)
def test_what_cannot_be_read_is_named(registry, tmp_path, name, text, own, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as raised:
        find.load(name, own, registry)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, (ConfigError, InputError))


def test_a_misspelt_setting_of_the_study_is_no_override_of_the_runs():
    find.check_shared(["+arch=gqa", "pretrain.steps=3", "seed=4", "~eval", "store=here"])
    with pytest.raises(ConfigError, match=r"sees=\[1,2\]: unknown key. Did you mean 'seeds'\?"):
        find.check_shared(["sees=[1,2]"])


def test_core_run_says_which_command_takes_a_study(registry):
    from core import compose

    with pytest.raises(ConfigError, match=r"python -m core\.study mine"):
        compose.compose(["+study=mine"], registry)
