"""What a mixture policy must answer: it changes the shares of a training's corpora by the losses on them."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import ConfigError
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Base of the settings of a mixture policy."""

    fenced: tuple[str, ...] = setting(())
    """Corpora and tasks that decide nothing: a policy sees no loss and no share of such a corpus, whose share stays as
    it is, and a decision that names the score of such a task is refused."""


class MixturePolicy(ABC):
    """A rule that changes a mixture while a model is trained.

    What it answers follows from the arguments of :meth:`decide`, its settings and :attr:`state` alone: a training that
    goes on where it was killed decides the same.
    """

    state: dict[str, Any]
    """What it remembers from one decision to the next, as JSON knows it; kept in the log of decisions."""
    told: dict[str, Any]
    """What the log says of the last answer beside the shares, such as ``reason``; empty before each question."""

    def __init__(self, config: Any = None) -> None:
        self.config = config
        self.state, self.told = {}, {}

    @property
    def fenced(self) -> tuple[str, ...]:
        """Names of corpora and tasks that it does not see."""
        return tuple(getattr(self.config, "fenced", ()))

    def check(self, where: str, corpora: Sequence[str]) -> None:
        """Refuse, while planning, settings that do not fit the run.

        Args:
            where: Place of the settings in the configuration: ``policy``.
            corpora: Labels of the corpora that it will see, those that are fenced left out.

        Raises:
            core.errors.UserError: the message starts with ``where`` and the key.
        """
        return

    @abstractmethod
    def decide(
        self, step: int, losses_by_source: Mapping[str, float], shares: Mapping[str, float]
    ) -> Mapping[str, float] | None:
        """Return the shares from the next batch on; None: they stay as they are.

        Args:
            step: The optimizer step after which the losses were measured.
            losses_by_source: Loss on held-out text by corpus, in nats per token.
            shares: Of the corpora in the next batch, which sum to 1.

        Returns:
            Shares of the same corpora, from 0 on, which sum to 1. Anything else is logged and leaves the mixture as it
            is, and so does an exception.
        """


class SelectionPolicy(MixturePolicy):
    """A rule that trains on some of more sequences than a batch has, and leaves the mixture as it is.

    For each sequence of a batch, :attr:`candidates` of them are read in the shares of the mixture. The model measures
    its loss on all of them before the step, and only those that :meth:`select` names are trained on.
    """

    @property
    def candidates(self) -> int:
        """Sequences that are looked at for each one that is trained on."""
        return int(self.config.candidates)

    def reference(self) -> tuple[str, str] | None:
        """Return the setting, such as ``reference``, and what it names: a model that measures the candidates, too.

        It may be an artifact, a folder of Hugging Face's format or a hub id, and becomes the input ``reference`` of the
        training. None: there is none.
        """
        return None

    @abstractmethod
    def select(
        self, step: int, losses: Sequence[float], reference: Sequence[float] | None, count: int
    ) -> Sequence[int]:
        """Return the places of the candidates that are trained on, each once.

        Args:
            step: The optimizer step that trains on them.
            losses: Mean loss of each candidate under the model as it is, in nats per token.
            reference: The same under the model that :meth:`reference` names; None: there is none.
            count: How many there must be, at most as many as there are candidates.

        Returns:
            Anything that is no such choice is logged, and the batch is the one of a training without a policy; so it is
            after an exception.
        """

    def decide(
        self, step: int, losses_by_source: Mapping[str, float], shares: Mapping[str, float]
    ) -> Mapping[str, float] | None:
        """Return None: the shares stay as they are."""
        return None


def check_covers(key: str, given: Mapping[str, Any], corpora: Sequence[str], *, all_of_them: bool = True) -> None:
    """Refuse a setting by corpus that names one which the run does not have, or lacks one.

    Args:
        key: Place of the setting in the configuration, such as ``policy.targets``.
        given: By corpus.
        corpora: As in :meth:`MixturePolicy.check`.
        all_of_them: Whether each corpus must have a value.

    Raises:
        core.errors.ConfigError: naming the key and the corpus.
    """
    listed = ", ".join(corpora)
    for name in given:
        if name not in corpora:
            raise ConfigError(f"{key}.{name}: the policy sees no corpus {name}. It sees {listed}.")
    for name in corpora if all_of_them else ():
        if name not in given:
            raise ConfigError(f"{key}: has no value for {name}. Give one for each of {listed}.")
