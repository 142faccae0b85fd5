"""Mixture policies give what the papers say, and refuse while planning what they could not do."""

import json
import math

import pytest
from core import typed
from core.errors import UserError
from smallwright_pretrain import policies_config
from smallwright_pretrain.policies import ODM, Decisions, DoReMi, Rules, Sheared
from smallwright_testing import MixturePolicyConformance

SHARES = {"a": 0.5, "b": 0.3, "c": 0.2}
LOSSES = {"a": 2.0, "b": 2.5, "c": 3.0}


def made(cls, **settings):
    return cls(typed.build(getattr(policies_config, f"{cls.__name__}Config"), settings, "policy"))


def values(shares):
    return [round(share, 5) for share in shares.values()]


def test_sheared_gives_the_published_vector():
    policy = made(Sheared, targets={"a": 1.9, "b": 2.5, "c": 2.6})
    assert values(policy.decide(50, LOSSES, SHARES)) == [0.48010, 0.26066, 0.25924]
    assert policy.told["reason"] == "c is furthest above its target"


def test_doremi_raises_only_what_is_above_the_reference_and_keeps_the_mean_of_its_shares():
    policy = made(DoReMi, reference={"a": 2.2, "b": 2.5, "c": 2.6}, smoothing=0.0)
    new = policy.decide(1, LOSSES, SHARES)
    whole = 0.5 + 0.3 + 0.2 * math.exp(0.4)
    assert list(new.values()) == pytest.approx([0.5 / whole, 0.3 / whole, 0.2 * math.exp(0.4) / whole])
    later = policy.decide(2, {"a": 2.0, "b": 2.0, "c": 2.0}, new)
    assert later == pytest.approx(new), "nothing is above its reference"
    assert policy.told["average"] == pytest.approx(new, abs=1e-6)


def test_odm_follows_exp3_by_hand():
    """Two corpora: eps_0 = 1/2, eps_1 = min(1/2, sqrt(ln 2 / 2)) = 1/2, eps_2 = sqrt(ln 2 / 4) = 0.41628."""
    policy = made(ODM, memory=0.5)
    first = policy.decide(1, {"a": 2.0, "b": 3.0}, {"a": 0.5, "b": 0.5})
    assert first == {"a": 0.5, "b": 0.5}, "all of the first turn is exploration"
    second = policy.decide(2, {"a": 2.0, "b": 3.0}, first)
    rewards = (0.5 * 2 + 0.5 * 4, 0.5 * 3 + 0.5 * 6)
    raised = 1 / (1 + math.exp(0.5 * (rewards[0] - rewards[1])))
    epsilon = math.sqrt(math.log(2) / 4)
    assert second["b"] == pytest.approx((1 - 2 * epsilon) * raised + epsilon)
    assert policy.state == {"turn": 2, "rewards": {"a": rewards[0], "b": rewards[1]}}


def test_a_rule_acts_once_and_the_others_share_the_rest_as_they_did():
    rules = {
        "enough": {"corpus": "a", "below": 2.1, "share": 0.2},
        "hard": {"corpus": "c", "above": 2.9, "share": 0.5, "of": "b"},
        "never": {"corpus": "b", "below": 1.0, "share": 0.0},
    }
    policy = made(Rules, rules=rules)
    first = policy.decide(1, LOSSES, SHARES)
    assert first == pytest.approx({"a": 0.2, "b": 0.48, "c": 0.32})
    second = policy.decide(2, LOSSES, first)
    assert second["b"] == 0.5
    assert policy.told == {"reason": "the loss of c is above 2.9", "rule": "hard"}
    assert policy.decide(3, LOSSES, second) is None


@pytest.fixture
def file(tmp_path):
    def write(*decisions, text=None):
        (path := tmp_path / "decisions.yaml").write_text(json.dumps(decisions) if text is None else text)
        return str(path)

    return write


ONE = {
    "step": 100,
    "mixture": {"a": 0.6, "b": 0.4},
    "reason": "maths lags",
    "name": "A. Person",
    "scores": {"gsm": 0.1},
}


def test_a_decision_of_a_person_holds_from_the_first_measurement_at_its_step(file):
    later = {**ONE, "step": 200, "mixture": {"c": 1}}
    policy = made(Decisions, file=file(ONE, later))
    policy.check("policy", list(SHARES))
    assert policy.decide(99, LOSSES, SHARES) is None
    assert policy.decide(120, LOSSES, SHARES) == {"a": 0.6, "b": 0.4, "c": 0.0}
    assert policy.told == {"reason": "maths lags", "name": "A. Person", "scores": {"gsm": 0.1}}
    assert policy.decide(199, LOSSES, SHARES) is None
    assert policy.decide(250, LOSSES, SHARES) == {"a": 0.0, "b": 0.0, "c": 1.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mixture": {"a": 0.6, "b": 0.3}}, r"decision 1: mixture=.*sum to 1"),
        ({"mixture": {"z": 1.0}}, r"decision 1: mixture\.z: the policy sees no corpus z\. It sees a, b, c"),
        ({"mixture": {"a": "most"}}, r"mixture=.*must be shares"),
        ({"step": 0}, r"step=0: must be a whole number above 0"),
        ({"reason": " "}, r"has no reason\. Write why"),
        ({"scores": {"mmlu": 0.3}}, r"scores\.mmlu: is fenced"),
        ({"mixtures": {}}, r"mixtures: unknown key"),
    ],
)
def test_a_decision_that_cannot_be_made_is_refused_while_planning(file, change, said):
    path = file({**ONE, **change})
    with pytest.raises(UserError, match=said) as caught:
        made(Decisions, file=path, fenced=["mmlu"]).check("policy", list(SHARES))
    assert str(caught.value).startswith(f"policy.file={path}: ")


@pytest.mark.parametrize(("text", "said"), [("a: [1", "is no YAML in line"), ("{}", "must be a list of decisions")])
def test_a_file_of_decisions_that_is_none_is_refused(file, text, said):
    with pytest.raises(UserError, match=said):
        made(Decisions, file=file(text=text)).check("policy", ["a", "b"])


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (made(Sheared, targets={"a": 1.0}), r"policy\.targets: has no value for b\. Give one for each of a, b\."),
        (made(DoReMi, reference={"a": 1.0, "b": 1.0, "z": 1.0}), r"policy\.reference\.z: the policy sees no corpus z"),
        (made(Rules, rules={"r": {"corpus": "z", "above": 1.0, "share": 0.1}}), r"policy\.rules\.r\.z: .*no corpus z"),
    ],
)
def test_settings_that_do_not_fit_the_corpora_are_refused_while_planning(policy, said):
    with pytest.raises(UserError, match=said):
        policy.check("policy", ["a", "b"])


class TestSheared(MixturePolicyConformance):
    plugin = "sheared"
    settings = {"targets": {"web": 2.0, "code": 1.0, "math": 1.5}}
    wrong_settings = {"policy.smoothing": {"smoothing": 2.0}, "policy.targets": {"targets": {"web": -1.0}}}


class TestDoReMi(MixturePolicyConformance):
    plugin = "doremi"
    settings = {"reference": {"web": 2.0, "code": 1.0, "math": 1.5}}
    wrong_settings = {"policy.step_size": {"step_size": 0.0}}


class TestODM(MixturePolicyConformance):
    plugin = "odm"
    wrong_settings = {"policy.memory": {"memory": 1.0}}


class TestRules(MixturePolicyConformance):
    plugin = "rules"
    settings = {"rules": {"low": {"corpus": "code", "below": 2.0, "share": 0.1}}}
    wrong_settings = {
        "policy.rules.low": {"rules": {"low": {"corpus": "code", "share": 0.1}}},
        "policy.rules": {"rules": {}},
    }


class TestDecisions(MixturePolicyConformance):
    plugin = "decisions"
    wrong_settings = {"policy.file": {"file": ""}}

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path, monkeypatch):
        decision = {"step": 20, "mixture": {"web": 1.0}, "reason": "it lags", "name": "A. Person"}
        (tmp_path / "decisions.json").write_text(json.dumps([decision]))
        monkeypatch.setattr(type(self), "settings", {"file": str(tmp_path / "decisions.json")})
