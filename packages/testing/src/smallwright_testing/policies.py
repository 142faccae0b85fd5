"""What holds for a policy: its answers are shares or choices, and follow from what it is told and remembers alone."""

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from core.interfaces import MixturePolicy, SelectionPolicy

from smallwright_testing.base import Conformance

Told = tuple[int, Mapping[str, float]]


class MixturePolicyConformance(Conformance):
    """Tests of a mixture policy, on the losses of a training that gets better. ::

    class TestMine(MixturePolicyConformance):
        plugin = "mine"
    """

    kind = "mixture_policies"
    where = "policy"
    shares: ClassVar[Mapping[str, float]] = {"web": 0.6, "code": 0.3, "math": 0.1}
    """The mixture that the training begins with; one of its corpora may have no share."""
    losses: ClassVar[Sequence[Told]] = (
        (10, {"web": 4.1, "code": 3.2, "math": 3.9}),
        (20, {"web": 3.4, "code": 2.1, "math": 3.0}),
        (30, {"web": 3.0, "code": 1.4, "math": 2.5}),
        (40, {"web": 2.9, "code": 1.2, "math": 2.4}),
    )
    """Steps and the losses after them, in nats per token."""

    @classmethod
    def policy(cls) -> MixturePolicy:
        """Return the policy, after its look at the corpora."""
        entry = cls.entry()
        made: MixturePolicy = entry.build(entry.settings(cls.given(), cls.where))
        made.check(cls.where, list(cls.shares))
        return made

    @classmethod
    def answers(cls, *, new_process: bool = False) -> list[Mapping[str, float] | None]:
        """Return what the policy answers to all losses, each time with the mixture that it came to.

        Args:
            new_process: Whether what it remembers crosses to a new policy before each question, as JSON.
        """
        entry = cls.entry()
        config = entry.settings(cls.given(), cls.where)
        policy, shares = entry.build(config), dict(cls.shares)
        found: list[Mapping[str, float] | None] = []
        for step, losses in cls.losses:
            if new_process:
                state = json.loads(json.dumps(policy.state))
                policy = entry.build(config)
                policy.state = state
            policy.told = {}
            answer = policy.decide(step, dict(losses), dict(shares))
            json.dumps(policy.told)
            found.append(None if answer is None else dict(answer))
            shares = shares if answer is None else {name: answer.get(name, 0.0) for name in shares}
        return found

    def test_answers_are_shares_of_the_corpora_that_it_was_told_of(self) -> None:
        for answer in self.answers():
            if answer is None:
                continue
            assert set(answer) <= set(self.shares)
            assert all(share >= 0 for share in answer.values()), answer
            assert abs(sum(answer.values()) - 1) <= 1e-6, answer

    def test_what_it_is_told_twice_it_answers_twice(self) -> None:
        assert self.answers() == self.answers()

    def test_a_killed_run_goes_on_to_the_same_decisions(self) -> None:
        assert self.answers(new_process=True) == self.answers()

    def test_a_corpus_without_a_share_is_no_trouble(self) -> None:
        names = list(self.shares)
        self.policy().decide(10, dict(self.losses[0][1]), {**dict.fromkeys(names, 0.0), names[0]: 1.0})

    def test_what_it_is_told_is_left_as_it_was(self) -> None:
        policy, losses, shares = self.policy(), dict(self.losses[0][1]), dict(self.shares)
        policy.decide(10, losses, shares)
        assert losses == self.losses[0][1]
        assert shares == self.shares


Losses = tuple[Sequence[float], Sequence[float]]


class SelectionPolicyConformance(Conformance):
    """Tests of a policy that chooses among sequences. ::

    class TestMine(SelectionPolicyConformance):
        plugin = "mine"
    """

    kind = "mixture_policies"
    where = "policy"
    corpora: ClassVar[Sequence[str]] = ("web", "code")
    count: ClassVar[int] = 2
    """Sequences of a batch."""
    losses: ClassVar[Sequence[Losses]] = (
        ((4.0, 3.9, 4.2, 4.1, 5.0, 4.0), (3.0, 2.0, 4.1, 3.5, 4.9, 3.9)),
        ((3.0, 3.1, 2.8, 2.2, 3.0, 2.9), (2.9, 2.0, 2.7, 2.3, 1.0, 2.9)),
        ((2.5, 2.5, 2.5, 2.5, 2.5, 2.5), (2.5, 2.5, 2.5, 2.5, 2.5, 2.5)),
    )
    """Losses of the candidates under the model and under the reference, step by step."""

    @classmethod
    def bases(cls) -> tuple[type, ...]:
        """Return the class that the registered one must subclass."""
        return (SelectionPolicy,)

    @classmethod
    def policy(cls) -> SelectionPolicy:
        """Return the policy, after its look at the corpora."""
        entry = cls.entry()
        made: SelectionPolicy = entry.build(entry.settings(cls.given(), cls.where))
        made.check(cls.where, list(cls.corpora))
        return made

    @classmethod
    def answers(cls, *, new_process: bool = False) -> list[list[int]]:
        """Return the places that the policy chooses at each step.

        Args:
            new_process: Whether what it remembers crosses to a new policy before each question, as JSON.
        """
        policy, found = cls.policy(), []
        for step, (losses, reference) in enumerate(cls.losses, start=1):
            if new_process:
                state = json.loads(json.dumps(policy.state))
                policy = cls.policy()
                policy.state = state
            policy.told = {}
            other = None if policy.reference() is None else list(reference)
            found.append([int(place) for place in policy.select(step, list(losses), other, cls.count)])
            json.dumps(policy.told)
        return found

    def test_choices_are_as_many_places_as_a_batch_has_each_once(self) -> None:
        for answer, (losses, _) in zip(self.answers(), self.losses, strict=True):
            assert len(answer) == len(set(answer)) == self.count, answer
            assert all(0 <= place < len(losses) for place in answer), answer

    def test_it_looks_at_more_sequences_than_a_batch_has(self) -> None:
        assert self.policy().candidates > 1

    def test_what_it_is_told_twice_it_answers_twice(self) -> None:
        assert self.answers() == self.answers()

    def test_a_killed_run_goes_on_to_the_same_choices(self) -> None:
        assert self.answers(new_process=True) == self.answers()

    def test_what_it_is_told_is_left_as_it_was(self) -> None:
        policy, (losses, reference) = self.policy(), self.losses[0]
        told, other = list(losses), list(reference)
        policy.select(1, told, None if policy.reference() is None else other, self.count)
        assert (told, other) == (list(losses), list(reference))

    def test_the_mixture_stays(self) -> None:
        assert self.policy().decide(1, dict.fromkeys(self.corpora, 2.0), dict.fromkeys(self.corpora, 0.5)) is None
