"""Settings of the mixture policies of this package."""

import dataclasses
from collections.abc import Mapping

from core.errors import ConfigError
from core.policy import PolicyConfig
from core.typed import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShearedConfig(PolicyConfig):
    """Dynamic batch loading of Sheared LLaMA (arXiv 2310.06694, section 2.2)."""

    targets: Mapping[str, float] = setting(ge=0)
    """Loss that each corpus should come to, in nats per token: the corpora that are furthest above theirs get more."""
    smoothing: float = setting(1e-4, ge=0, le=1)
    """Part of every share that is the same for all corpora, so that none is lost."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoReMiConfig(PolicyConfig):
    """Group DRO of DoReMi (arXiv 2305.10429, algorithm 1)."""

    reference: Mapping[str, float] = setting(ge=0)
    """Loss of a reference model on each corpus, in nats per token."""
    step_size: float = setting(1.0, gt=0)
    smoothing: float = setting(1e-4, ge=0, le=1)
    """As of ``sheared``; the published value was not checked again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ODMConfig(PolicyConfig):
    """Online data mixing (arXiv 2312.02406): Exp3 with the corpora as arms and the loss as reward."""

    memory: float = setting(0.9, ge=0, lt=1)
    """Part of the estimated reward that the past has."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """A new share for a corpus, once its loss passes a threshold."""

    corpus: str = setting(min_length=1)
    """Whose loss is looked at."""
    above: float | None = None
    """It acts when the loss is above this, in nats per token."""
    below: float | None = None
    """It acts when the loss is below this."""
    share: float = setting(ge=0, le=1)
    """Of ``of`` from then on; the other corpora share the rest as they did."""
    of: str | None = None
    """Corpus whose share changes; None: the one that is looked at."""

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ConfigError("above and below: give exactly one of them.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RulesConfig(PolicyConfig):
    """Rules by threshold, each of which acts once."""

    rules: Mapping[str, Rule] = setting(min_length=1)
    """By names of yours; where several would act at once, the first does, and the others at the next measurement."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecisionsConfig(PolicyConfig):
    """What people decided, from a file."""

    file: str = setting(min_length=1, files=True)
    """YAML or JSON: a list of ``{step, mixture, scores, reason, name}``; of these ``scores`` can be left out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RHOConfig(PolicyConfig):
    """RHO-LOSS (arXiv 2206.07137): of many sequences, those whose loss a model like this could still bring down."""

    reference: str = setting(min_length=1)
    """A model that was trained on text which this training does not read: an artifact, a folder of Hugging Face's
    format or a hub id, of the run's tokenizer. Its loss is the part that cannot be learnt; it may be far smaller."""
    candidates: int = setting(10, ge=2)
    """Sequences that are looked at for each one that is trained on; the paper trains on 32 of 320."""
