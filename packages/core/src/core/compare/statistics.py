"""Is a difference between two sides on the same items more than chance: tests, intervals, and Holm's correction.

scipy does the work. It is an extra: ``pip install 'smallwright-core[study]'``.
"""

import dataclasses
import math
from collections.abc import Sequence

from core.significance import holm, needed

__all__ = ["Paired", "holm", "needed", "of_differences", "of_items"]

LEVEL = 0.95
RESAMPLES = 9_999
"""Random sign flips, where there are too many to try them all."""
BATCH = 1_000_000
"""Differences that are held in memory at once."""
SEED = 0
MCNEMAR, SIGN_FLIP = "exact McNemar", "sign-flip permutation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paired:
    """How the second of two sides differs from the first."""

    difference: float
    low: float
    high: float
    p: float
    test: str


def of_items(first: Sequence[float], second: Sequence[float]) -> Paired:
    """Compare two sides by their scores of the same items, in the same order.

    Scores that are all 0 or 1 get the exact McNemar test: a binomial test over the items that one side alone has right.
    Its interval is Agresti and Min's (2005, Statistics in Medicine 24, section 4): the normal one after half an item
    was added to each of the four cells, so that it stays honest where few items or none differ. Other scores get the
    test of :func:`of_differences`, and Student's interval.

    Returns:
        The difference of the means, second minus first, with its 95 % interval and two-sided p.
    """
    stats = needed()
    differences = [b - a for a, b in zip(first, second, strict=True)]
    if not all(value in (0.0, 1.0) for value in (*first, *second)):
        return of_differences(differences, [1.0] * len(differences))
    n, gained, lost = len(differences), differences.count(1.0), differences.count(-1.0)
    p = stats.binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0
    more, less, all_ = gained + 0.5, lost + 0.5, n + 2
    middle = (more - less) / all_
    half = stats.norm.ppf((1 + LEVEL) / 2) * math.sqrt(max(0.0, (more + less) / all_ - middle**2) / all_)
    return Paired(
        difference=(gained - lost) / n,
        low=float(max(-1.0, middle - half)),
        high=float(min(1.0, middle + half)),
        p=float(min(1.0, p)),
        test=MCNEMAR,
    )


def of_differences(differences: Sequence[float], weights: Sequence[float]) -> Paired:
    """Test whether the sum of paired differences is zero, by flipping their signs.

    All sign flips are tried where there are at most ``RESAMPLES`` of them, else that many at random, the same ones
    every time. The interval is Student's, of the ratio of both sums over items.

    Args:
        differences: Of each item: what the second side has more than the first.
            At least two.
        weights: Size of each item (tokens of a document); the result is per unit of it. All 1: the mean over items.
    """
    stats = needed()
    import numpy as np

    values, sizes = np.asarray(differences, dtype=float), np.asarray(weights, dtype=float)
    n, total = len(values), float(sizes.sum())
    mean = float(values.sum() / total)
    residuals = values - mean * sizes
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * math.sqrt(float((residuals**2).sum()) * n / (n - 1)) / total
    p = 1.0
    moved = values[values != 0]  # the sign of nothing changes nothing
    if len(moved) > 1:
        batch = max(1, BATCH // len(moved))
        found = stats.permutation_test(
            (moved,), np.sum, permutation_type="samples", n_resamples=RESAMPLES, batch=batch, rng=SEED
        )
        p = float(found.pvalue)
    return Paired(difference=mean, low=mean - float(half), high=mean + float(half), p=min(1.0, p), test=SIGN_FLIP)
