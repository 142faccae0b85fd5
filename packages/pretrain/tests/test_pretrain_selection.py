"""RHO-loss takes what is learnable and not learnt yet, and a choice is written down, read again and counted."""

import numpy as np
import pytest
from core import typed
from core.errors import ConfigError, UserError
from core.interfaces import SelectionPolicy
from pretrain_support import Tiny, TinyConfig
from smallwright_pretrain import policies_plan, selecting, selection_log
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.policies_config import RHOConfig
from smallwright_pretrain.policies_rho import RHO
from smallwright_pretrain.stage import TorchTitanPretrain
from smallwright_testing import SelectionPolicyConformance

POLICY = RHO(RHOConfig(reference="a model"))
NONE = np.zeros(6, bool)


class TestRHO(SelectionPolicyConformance):
    plugin = "rho"
    settings = {"reference": "a model"}
    wrong_settings = {"policy.candidates": {"candidates": 1}, "policy.reference": {"reference": ""}}


class Broken(SelectionPolicy):
    candidates = 3

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def select(self, step, losses, reference, count):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_the_published_share_is_the_default():
    assert RHOConfig(reference="a model").candidates == 10, "32 of 320"


def test_noise_and_what_is_learnt_rank_below_what_is_learnable():
    """Noise is hard for both, what is learnt easy for both; the raw loss would take the noise."""
    losses, reference = {"noise": 6.0, "learnable": 4.0, "learnt": 1.0}, {"noise": 6.0, "learnable": 1.5, "learnt": 1.0}
    chosen = POLICY.select(1, list(losses.values()), list(reference.values()), 1)
    assert [list(losses)[place] for place in chosen] == ["learnable"]


def test_to_a_reference_that_is_the_model_all_are_alike_and_the_first_are_taken():
    assert POLICY.select(1, [3.0, 1.0, 2.0], [3.0, 1.0, 2.0], 2) == [0, 1]


def test_a_choice_is_written_and_read_again():
    losses, reference = np.array([4.0, 2.0, 3.0, 5.0, 1.0, 6.0]), np.array([1.0, 1.0, 1.0, 4.5, 1.0, 1.0])
    places, told = selecting.ask(POLICY, 1, losses, reference, NONE, 2, {})
    assert (places.tolist(), told) == ([0, 5], {"state": {}})
    line = selecting.line(places, np.array([0, 1, 0, 1, 0, 0]), ["web", "code"], losses, reference)
    assert selecting.places(line).tolist() == [0, 5]
    assert line["by_source"] == {"web": 2, "code": 0}
    assert line["loss"] == [3.5, 5.0]


def test_of_fenced_candidates_as_many_are_taken_as_without_a_policy():
    losses, reference = np.array([9.0, 1.0, 9.0, 2.0, 9.0, 3.0]), np.ones(6)
    fenced = np.array([True, False] * 3)
    places, _ = selecting.ask(POLICY, 1, losses, reference, fenced, 2, {})
    assert places.tolist() == [0, 5], "one of the fenced, the first, though all are harder"


@pytest.mark.parametrize("answer", [[0], [0, 0], [0, 6], [-1, 2], None, ValueError("no")])
def test_an_answer_that_is_no_choice_leaves_the_batch_as_it_is_without_a_policy(answer):
    places, told = selecting.ask(Broken(answer), 1, np.ones(6), None, NONE, 2, {"turn": 1})
    assert places.tolist() == [0, 3]
    assert told["state"] == {"turn": 1}
    assert told["refused"]


def test_a_log_says_what_was_trained_on_by_stage_and_source():
    one = {"step": 1, "stage": 0, "chosen": "", "candidates": 6, "policy": "rho", "loss": [3.0, 4.0]}
    lines = [
        {**one, "by_source": {"web": 2, "code": 0}},
        {**one, "step": 2, "by_source": {"web": 1, "code": 1}, "loss": [2.0, 3.0], "refused": "ValueError: no"},
        {**one, "step": 3, "stage": 1, "by_source": {"web": 0, "code": 2}, "loss": [1.0, 2.0]},
    ]
    assert selection_log.counts(lines) == {0: {"web": 3, "code": 1}, 1: {"web": 0, "code": 2}}
    assert selection_log.counts(lines, 1) == {0: {"web": 2, "code": 0}}
    assert selection_log.summary(lines)["selection"] == {
        "policy": "rho", "candidates": 18, "chosen": 6, "refused": 1, "loss": [2.0, 3.0],
    }  # fmt: skip
    assert selection_log.notes(lines) == [
        "policy rho trained on 6 of 18 sequences: their mean loss was 3.000, of all 2.000.",
        "policy rho: 1 choices were not taken.",
    ]
    assert selection_log.notes([{"step": 1, "after": None}]) == []


@pytest.mark.parametrize(
    ("values", "policy", "message"),
    [
        ({"nproc": 2, "context_parallel": 2}, {}, r"pretrain\.context_parallel=2: \+policy measures whole sequences"),
        ({"forgetting": {}}, {}, r"pretrain\.forgetting: measures windows by the order of the mixture"),
        ({"rounds": {}}, {}, r"policy: .*pretrain\.rounds are drawn from no mixture"),
        (
            {"mixture": {"web": 0.5, "code": {"share": 0.5, "wrap": False}}},
            {},
            r"policy\.candidates=10: goes through code",
        ),
        ({}, {"fenced": ["wed"]}, r"policy\.fenced=\[wed\]: there is no corpus wed. There are web, code"),
        ({}, {"fenced": ["web", "code"]}, r"policy\.fenced=\[web, code\]: leaves no corpus to choose from"),
    ],
)
def test_what_cannot_be_is_refused_while_planning(values, policy, message):
    config = typed.build(TorchTitanConfig, values, "pretrain")
    chosen = RHO(typed.build(RHOConfig, {"reference": "a model", **policy}, "policy"))
    with pytest.raises(ConfigError, match=message):
        policies_plan.asked(config, chosen, ["web", "code"])


def test_a_reference_that_is_not_there_is_named_by_its_own_key():
    chosen = RHO(typed.build(RHOConfig, {"reference": "/nowhere"}, "policy"))
    with pytest.raises(UserError, match=r"^policy\.reference=/nowhere: no such folder"):
        TorchTitanPretrain(TorchTitanConfig()).beside(chosen).plan(Tiny(TinyConfig()))


def test_a_plan_counts_two_forward_passes_a_candidate_and_the_reference(monkeypatch):
    architecture, config = Tiny(TinyConfig()), typed.build(TorchTitanConfig, {"steps": 4, "seq_len": 16}, "pretrain")
    monkeypatch.setattr(policies_plan, "counted", lambda *_: architecture)
    trainer = TorchTitanPretrain(config)
    plain, chosen = trainer.plan(architecture), trainer.beside(POLICY).on(1, None).plan(architecture)
    assert chosen["extra_flops_per_token"] == pytest.approx(10 * 2 * architecture.flops_per_token(16) / 3)
    assert chosen["memory_bytes"] - plain["memory_bytes"] == 4 * architecture.parameters()
    assert trainer.beside(None).plan(architecture) == plain
