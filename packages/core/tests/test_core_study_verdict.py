"""The verdict of a study by its documented rule, from settings and a sweep's table."""

import json
import math

import pytest
from core.errors import InputError
from core.study import say, verdict
from core.study.config import StudyConfig

pytest.importorskip("scipy.stats")
LOSS = "pretrain.loss"


def study(**changes):
    given = {
        "claim": "New is better.",
        "base": ("+data=toy", "pretrain.steps=5"),
        "arms": {"old": ("+arch=tiny",), "new": ("+arch=tiny", "pretrain.steps=9")},
        "control": "old",
        "seeds": (0, 1, 2, 3),
        "metric": LOSS,
        "direction": "lower",
    }
    return StudyConfig(**{**given, **changes})


def sweep(settings, values, **more):
    """The table of a sweep: ``values`` are those of each arm by seed; an exception's text is of a run that failed."""
    rows = []
    for place, seed in enumerate(settings.all_seeds):
        for arm in settings.arms:
            value = values[arm][place]
            failed = isinstance(value, str)
            metrics = {} if failed else {LOSS: value, **{key: numbers[arm] for key, numbers in more.items()}}
            rows.append(
                {
                    "values": {"arm": arm, settings.seed_key: str(seed)},
                    "status": "failed" if failed else "finished",
                    "error": value if failed else None,
                    "directory": f"{arm}-{seed}",
                    "metrics": metrics,
                }
            )
    return {"runs": rows}


def judged(settings, values, **more):
    found = verdict.judge("mine", settings, ["seed=7"], sweep(settings, values, **more))
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert " nan" not in " ".join(say.lines(found)).lower()
    return found


OLD = [2.0, 2.1, 1.9, 2.05]
BETTER = [1.5, 1.62, 1.38, 1.6]
NOISY = [1.7, 2.3, 1.7, 2.2]


@pytest.mark.parametrize(
    ("new", "changes", "expected", "word"),
    [
        (BETTER, {}, "holds", "new is better than old by 0.487"),
        (BETTER, {"direction": "higher"}, "does not hold", "new is worse than old"),
        (BETTER, {"test": "permutation"}, "undecided", "5 seeds would decide"),
        (NOISY, {}, "undecided", "seeds would decide it with a probability of 80%"),
        (OLD, {}, "does not hold", "the same pretrain.loss at each of 4 seeds"),
        ([value + 1 for value in OLD], {}, "undecided", "5 seeds would decide"),  # no spread: t is not defined
        ([value - 0.001 for value in BETTER], {"smallest": 0.3}, "holds", "by 0.488"),
        (BETTER, {"smallest": 0.9}, "does not hold", "no difference of 0.9 or more"),
        ([2.0, "it died", 1.9, "it died too"], {}, "does not hold", "the same pretrain.loss at each of 2 seeds"),
        (["a", "b", 1.0, "c"], {}, "undecided", "only 1 seed has a value for both"),
        (["a", "b", "c", "d"], {}, "undecided", "no seed has a value for both"),
        ([math.nan, 1.5, 1.8, math.inf], {}, "undecided", "Undecided at 2 seeds"),
    ],
)
def test_the_verdict(new, changes, expected, word):
    found = judged(study(**changes), {"old": OLD, "new": new})
    assert found["verdict"] == found["comparisons"][0]["verdict"] == expected, found["sentence"]
    assert word in found["sentence"]
    assert (found["comparisons"][0]["seeds_needed"] is None) == (expected != "undecided" or "has a value" in word)


def test_the_numbers_are_arm_minus_control_in_the_metrics_own_sign():
    lower = judged(study(), {"old": OLD, "new": BETTER})["comparisons"][0]
    higher = judged(study(direction="higher"), {"old": OLD, "new": BETTER})["comparisons"][0]
    assert lower["differences"] == pytest.approx([-0.5, -0.48, -0.52, -0.45])
    assert lower["low"] < lower["mean_difference"] < lower["high"] < 0
    assert lower["effect_size"] < -5
    for key in ("differences", "mean_difference", "low", "high", "effect_size"):
        assert lower[key] == pytest.approx(higher[key])
    assert (lower["p"], lower["p_opposite"]) == pytest.approx((higher["p_opposite"], higher["p"]))


def test_a_seed_that_failed_is_left_out_with_its_pair_and_said():
    found = judged(study(), {"old": OLD, "new": [1.5, "it died", 1.38, 1.6]})
    row = found["comparisons"][0]
    assert row["seeds"] == [0, 2, 3]
    assert len(row["differences"]) == 3
    assert found["notes"] == ["new at seed 1 is left out, and its pair with it: it died"]
    assert found["arms"][0]["mean"] == pytest.approx(sum(OLD) / 4)
    assert found["arms"][1]["runs"][1] == {"seed": 1, "value": None, "directory": "new-1", "error": "it died"}


def test_several_arms_are_corrected_and_the_claim_is_about_all_of_them():
    arms = {"old": ("a=1",), "new": ("a=2",), "newer": ("a=3",)}
    values = {"old": OLD, "new": BETTER, "newer": [1.9, 1.94, 1.85, 1.88]}
    found = judged(study(arms=arms), values)
    p = {row["arm"]: row["p"] for row in found["comparisons"]}
    adjusted = {row["arm"]: row["p_adjusted"] for row in found["comparisons"]}
    assert p["new"] < p["newer"]
    assert adjusted == pytest.approx({"new": 2 * p["new"], "newer": max(2 * p["new"], p["newer"])})
    assert found["verdict"] == "holds"
    assert judged(study(arms=arms), {**values, "newer": NOISY})["verdict"] == "undecided"
    assert judged(study(arms=arms), {**values, "newer": [9.0, 9.1, 9.3, 9.2]})["verdict"] == "does not hold"


def test_the_overrides_of_an_arm_are_told_as_they_won():
    found = judged(study(), {"old": OLD, "new": BETTER})
    assert [arm["overrides"] for arm in found["arms"]] == [
        ["+data=toy", "pretrain.steps=5", "+arch=tiny", "seed=7"],
        ["+data=toy", "pretrain.steps=9", "+arch=tiny", "seed=7"],
    ]


def test_arms_that_only_the_runs_show_to_be_unequal_decide_nothing():
    settings = study(equal={"pretrain.size": 0.02})
    values = {"old": OLD, "new": BETTER}
    assert judged(settings, values, **{"pretrain.size": {"old": 100, "new": 102}})["verdict"] == "holds"
    found = judged(settings, values, **{"pretrain.size": {"old": 100, "new": 103}})
    assert found["verdict"] == "undecided"
    assert "equal.pretrain.size=0.02: new has 103 and old 100, 3.00% apart" in found["sentence"]


def test_an_equality_that_the_runs_cannot_show_decides_nothing():
    settings = study(equal={"pretrain.size": 0.02})
    values = {"old": OLD, "new": BETTER}
    with pytest.raises(InputError, match=r"equal.pretrain.size: no run has it"):
        judged(settings, values)
    table = sweep(settings, values, **{"pretrain.size": {"old": 100, "new": 101}})
    for row in table["runs"]:
        if row["values"]["arm"] == "new":
            del row["metrics"]["pretrain.size"]
    found = verdict.judge("mine", settings, [], table)
    assert found["verdict"] == "undecided"
    assert "equal.pretrain.size=0.02: new has no such number" in found["sentence"]


def test_an_unknown_metric_names_those_that_there_are():
    settings = study(metric="pretrain.los")
    with pytest.raises(InputError, match=r"metric=pretrain.los: no run has it. Did you mean 'pretrain.loss'\?"):
        verdict.judge("mine", settings, [], sweep(settings, {"old": OLD, "new": BETTER}))


def test_the_terminal_has_arms_figures_and_the_verdict():
    said = "\n".join(say.lines(judged(study(), {"old": OLD, "new": BETTER})))
    for words in (
        "claim    New is better.",
        "pretrain.loss, lower is better; 4 seeds, paired t-test, one-sided, alpha 0.05",
        "control  old  2.013 ± 0.085 (n = 4)",
        "new - old  -0.487, 95 % -0.535 to -0.440, effect size -11.81",
        "p < 0.001",
        "verdict  Holds: new is better than old by 0.487 in pretrain.loss (95 % interval of the difference -0.535 to",
    ):
        assert words in said, said
