"""The loss on held-out text from the losses of its sequences, with its standard error. No torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smallwright_pretrain import mixture as mixtures


@dataclass(frozen=True)
class Estimate:
    """A mean loss in nats per token."""

    loss: float
    stderr: float | None
    """Over sequences, since tokens of one sequence are no independent samples; None of a single one."""


def ratio(sums_N: np.ndarray, tokens_N: np.ndarray) -> Estimate:
    """Return the loss per token of N sequences: a ratio of sums, and its standard error by linearisation.

    Args:
        sums_N: Summed loss of each sequence, in nats.
        tokens_N: Labels of each sequence.
    """
    count, total = len(sums_N), float(tokens_N.sum())
    loss = float(sums_N.sum()) / total
    if count < 2:
        return Estimate(loss, None)
    residuals_N = sums_N - loss * tokens_N
    return Estimate(loss, math.sqrt(count / (count - 1) * float((residuals_N**2).sum())) / total)


def by_source(
    sums_N: np.ndarray, tokens_N: np.ndarray, source_N: Sequence[str], weights: Mapping[str, float]
) -> tuple[Estimate, dict[str, Estimate]]:
    """Return the loss of the mixture, each source counting as much as in training, and the loss of each source.

    Args:
        source_N: Which source a sequence is of.
        weights: Share of each source; those that are measured are brought to a sum of 1.
    """
    names = np.asarray(source_N)
    sources = {name: ratio(sums_N[names == name], tokens_N[names == name]) for name in dict.fromkeys(source_N)}
    whole = sum(weights[name] for name in sources)
    if len(sources) == 1 or whole <= 0:
        return ratio(sums_N, tokens_N), sources
    shares = {name: weights[name] / whole for name in sources}
    loss = sum(shares[name] * found.loss for name, found in sources.items())
    errors = [shares[name] * found.stderr for name, found in sources.items() if found.stderr is not None]
    known = all(found.stderr is not None or shares[name] == 0 for name, found in sources.items())
    return Estimate(loss, math.hypot(*errors) if known else None), sources


def weights(mixture: Mapping[str, Any] | None, tokens: Mapping[str, int]) -> dict[str, float]:
    """Return the share of each corpus in a stage's training, all of its views together.

    Args:
        mixture: Of the stage; None: in proportion to the tokens.
        tokens: To train on, by corpus.
    """
    if mixture is None:
        return {name: float(count) for name, count in tokens.items()}
    shares = dict.fromkeys(tokens, 0.0)
    for part in mixtures.parts(mixture):
        shares[part.corpus] = shares.get(part.corpus, 0.0) + float(part.share)
    return shares
