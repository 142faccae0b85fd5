"""The log of a policy: what it is asked, what is taken of its answers, and the data that follows."""

from fractions import Fraction

import numpy as np
import pytest
from core.errors import UserError
from core.interfaces import MixturePolicy
from core.policy import PolicyConfig
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.feed import Feed, FeedStage, SourceSize
from smallwright_pretrain.order import Changing, Order
from smallwright_pretrain.policies_log import ask, changes, decisions, in_force, notes, rounded
from smallwright_pretrain.policies_plan import asked
from smallwright_pretrain.segments import stages
from smallwright_pretrain.stage_config import StageConfig


class Says(MixturePolicy):
    """Answers what it was made with, and keeps what it was asked."""

    def __init__(self, answer, **settings):
        super().__init__(PolicyConfig(**settings))
        self.answer, self.asked = answer, None

    def decide(self, step, losses_by_source, shares):
        self.asked = (losses_by_source, shares)
        self.state = {"steps": [*self.state.get("steps", []), step]}
        self.told = {"reason": "so", "step": "is the trainer's to say"}
        if isinstance(self.answer, dict) and "state" in self.answer:
            self.state = self.answer["state"]
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


LOSSES = {"web": 3.0, "code": 2.0, "gems": 1.0}
SHARES = {"web": 0.5, "code": 0.3, "gems": 0.2}


def test_an_answer_is_logged_with_what_it_follows_from():
    line = ask(Says({"web": 0.1, "code": 0.7, "gems": 0.2}), 20, LOSSES, SHARES, {"steps": [10]})
    assert line == {
        "step": 20,
        "losses": LOSSES,
        "before": SHARES,
        "after": {"web": 0.1, "code": 0.7, "gems": 0.2},
        "reason": "so",
        "state": {"steps": [10, 20]},
    }


def test_what_is_fenced_is_not_seen_and_keeps_its_share():
    policy = Says({"web": 0.25, "code": 0.75}, fenced=("gems", "mmlu"))
    line = ask(policy, 20, LOSSES, SHARES, {})
    assert policy.asked == ({"web": 3.0, "code": 2.0}, pytest.approx({"web": 0.625, "code": 0.375}))
    assert line["losses"] == {"web": 3.0, "code": 2.0}
    assert line["after"] == {"web": 0.2, "code": 0.6, "gems": 0.2}


@pytest.mark.parametrize("answer", [None, SHARES, {"web": 0.50001, "code": 0.29999, "gems": 0.2}])
def test_an_answer_that_changes_nothing_is_no_change(answer):
    line = ask(Says(answer), 20, LOSSES, SHARES, {})
    assert line["after"] is None
    assert "refused" not in line
    assert line["state"] == {"steps": [20]}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"web": 1.0, "books": 0.0}, "ValueError: the answer names books, and the mixture has web, code, gems"),
        ({"web": 0.6}, "ValueError: the shares of the answer sum to 0.6"),
        ({"web": 1.5, "code": -0.5}, "negative"),
        ({"web": float("nan")}, "no numbers"),
        ([0.5, 0.5], "TypeError: the answer is list"),
        (KeyError("missing"), "KeyError: 'missing'"),
        ({"web": 1.0, "state": {1, 2}}, "TypeError: Object of type set is not JSON serializable"),
    ],
)
def test_an_answer_that_is_none_leaves_the_mixture_and_the_memory_and_is_said(answer, said):
    line = ask(Says(answer), 20, LOSSES, SHARES, {"steps": [10]})
    assert said in line["refused"]
    assert (line["after"], line["state"]) == (None, {"steps": [10]})
    (made,) = decisions([{**line, "policy": "says"}])
    assert notes([made]) == [
        f"policy says: 1 answers were not taken, the first after step 20 ({line['refused']}); the mixture stayed as it "
        "was."
    ]


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_rounded_to_a_sum_of_1_and_none_is_lost(seed):
    generator = np.random.default_rng(seed)
    values = generator.dirichlet(np.full(30, 0.05))
    shares = {f"c{number}": float(value) for number, value in enumerate(values)} | {"none": 0.0}
    found = rounded(shares)
    assert sum(Fraction(str(share)) for share in found.values()) == 1
    assert all((found[name] > 0) == (share > 0) for name, share in shares.items())
    assert max(abs(found[name] - share) for name, share in shares.items()) < 30 / 10_000
    assert rounded({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == {"a": 0.3334, "b": 0.3333, "c": 0.3333}


def line(stage, position, **after):
    return {"step": 1, "stage": stage, "position": position, "after": after or None}


def test_a_stage_with_the_mixture_of_the_one_before_goes_on_with_what_that_came_to():
    own = {"web": StageConfig(tokens=256 * 16), "same": StageConfig(tokens=256 * 16)}
    own["other"] = StageConfig(tokens=256 * 16, mixture={"web": 1.0})
    row = stages(TorchTitanConfig(stages=own))
    found = changes([line(0, 8, web=0.6, code=0.4), line(0, 12), line(1, 4, web=0.7, code=0.3)], row)
    first, second = (
        {"web": Fraction(6, 10), "code": Fraction(4, 10)},
        {"web": Fraction(7, 10), "code": Fraction(3, 10)},
    )
    assert found == {0: [(8, first)], 1: [(0, first), (4, second)]}
    declared = {"web": 3.0, "code": 1.0}
    assert in_force(found, 0, 7, declared) == {"web": 0.75, "code": 0.25}
    assert in_force(found, 0, 8, declared) == {"web": 0.6, "code": 0.4}
    assert in_force(found, 1, 3, declared) == {"web": 0.6, "code": 0.4}
    assert in_force(found, 2, 3, declared) == {"web": 0.75, "code": 0.25}


def test_after_a_change_each_source_goes_on_in_its_pass_and_is_within_one_of_its_new_share():
    sizes = [SourceSize(name="web", windows={16: 97}), SourceSize(name="code", windows={16: 31})]
    before, after = {"web": Fraction(3, 4), "code": Fraction(1, 4)}, {"web": Fraction(1, 10), "code": Fraction(9, 10)}
    changed = FeedStage(shares=before, seq_len=16, sequences=600, changes=[(50, after), (300, before)])
    feed = Feed(sizes, [changed, FeedStage(shares=before, seq_len=16, sequences=100)], seed=1, skipped=[(40, 60)])
    alone = Feed(sizes, [FeedStage(shares=before, seq_len=16, sequences=600)], seed=1)
    located = feed.locate(0, np.arange(feed.end(0)))
    for ours, others in zip(located, alone.locate(0, np.arange(50)), strict=True):
        assert np.array_equal(ours[:50], others), "nothing before a change depends on it"
    code = np.cumsum(located.source_N == 1)
    assert all(abs(code[50 + count - 1] - code[49] - 0.9 * count) < 1 for count in range(1, 251))
    for source, size in enumerate((97, 31)):
        own = located.source_N == source
        assert np.array_equal(located.pass_N[own], np.arange(own.sum()) // size), "draws go on without a gap"
    trained = np.delete(located.source_N, np.arange(40, 60))
    assert feed.drawn_in(0).tolist() == np.bincount(trained).tolist()
    assert feed.drawn(1, 0).tolist() == np.bincount(trained).tolist()


def test_counts_of_a_changing_order_in_closed_form_are_those_of_going_through_it():
    order = Changing([(0, Order([3, 1])), (7, Order([1, 9])), (7, Order([1, 1])), (20, Order([0, 1]))])
    source_N, draw_N = order(np.arange(40))
    for position in range(41):
        assert order.drawn(position).tolist() == np.bincount(source_N[:position], minlength=2).tolist()
    for source in range(2):
        assert np.array_equal(draw_N[source_N == source], np.arange((source_N == source).sum()))


@pytest.mark.parametrize(
    ("settings", "corpora", "said"),
    [
        ({}, ["corpus"], "policy: sees corpus, and a mixture is of two or more"),
        ({"fenced": ("web",)}, ["web", "code"], "policy: sees code, and"),
        ({}, ["web", "gems"], r"wrap=false is set\. Fence it: policy\.fenced=\[gems\]"),
    ],
)
def test_a_training_whose_mixture_cannot_change_is_refused_while_planning(settings, corpora, said):
    gems = {"mixture": {"web": 0.9, "gems": {"share": 0.1, "wrap": False}}} if "gems" in corpora else {}
    with pytest.raises(UserError, match=said):
        asked(TorchTitanConfig(**gems), Says(None, **settings), corpora)
