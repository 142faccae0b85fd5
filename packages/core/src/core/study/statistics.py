"""What paired differences say: a test, an interval, an effect size, and how many seeds would decide.

All that is not in the standard library is scipy's, which comes with the extra ``[study]`` and is imported only here.
"""

import dataclasses
import math
from collections.abc import Sequence
from statistics import fmean, stdev

from core.significance import needed
from core.study.config import least_for_permutation

EXACT_UP_TO = 16
"""Pairs of which a permutation test looks at every way to set the signs, at most 65,536; above, at so many of them."""
MOST_NEEDED = 10_000
"""Seeds: where more would be needed, no number is named."""
SAME = 1e-12
"""Share of the largest difference by which others may differ from rounding alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paired:
    """What the differences of pairs say; more is better."""

    mean: float
    low: float
    high: float
    """Of the 95 % interval of the mean difference, Student's."""
    effect_size: float | None
    """Cohen's d_z with Hedges' correction; None where the differences do not spread, or there are two."""
    p: float
    """Of a mean at least so high if there were no difference: one-sided."""
    p_opposite: float
    """The same for a mean so low."""
    constant: bool
    """Whether all differences are the same number, so that the spread is zero and t is not defined."""


def compare(differences: Sequence[float], test: str) -> Paired:
    """Test whether the mean of differences is above zero.

    Args:
        differences: One for each pair, two at least; more is better.
        test: ``permutation`` or ``paired_t``. Where all differences are the same number, t is not defined and the
            permutation test, which always is, takes its place.
    """
    stats = needed()
    n, mean = len(differences), fmean(differences)
    spread = stdev(differences)
    largest = max(map(abs, differences))
    if spread <= SAME * largest:
        mean, spread = (mean if largest else 0.0), 0.0
    half = float(stats.t.ppf(0.975, n - 1)) * spread / math.sqrt(n)
    if test == "permutation" or not spread:
        p, opposite = permutation(differences), permutation([-difference for difference in differences])
    else:
        t = mean / (spread / math.sqrt(n))
        p, opposite = float(stats.t.sf(t, n - 1)), float(stats.t.cdf(t, n - 1))
    return Paired(
        mean=mean,
        low=mean - half,
        high=mean + half,
        effect_size=mean / spread * hedges(n) if spread and n > 2 else None,
        p=p,
        p_opposite=opposite,
        constant=not spread,
    )


def permutation(differences: Sequence[float]) -> float:
    """Return the share of all ways to set the signs of differences that give a mean at least as high."""
    stats = needed()
    if not any(differences):
        return 1.0
    found = stats.permutation_test(
        (list(differences),),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**EXACT_UP_TO,
        alternative="greater",
        rng=0,
    )
    return float(found.pvalue)


def hedges(n: int) -> float:
    """Return Hedges' correction of a standardised mean of ``n`` differences, exact (Hedges 1981, eq. 6e)."""
    free = n - 1
    return math.exp(math.lgamma(free / 2) - math.lgamma((free - 1) / 2)) / math.sqrt(free / 2)


def power_of(n: int, effect_size: float, alpha: float) -> float:
    """Return the probability that a one-sided paired t-test of ``n`` pairs finds an effect of this size."""
    stats = needed()
    limit = stats.t.isf(alpha, n - 1)
    return float(stats.nct.sf(limit, n - 1, abs(effect_size) * math.sqrt(n)))


def seeds_needed(effect_size: float, alpha: float, power: float, test: str) -> int | None:
    """Return the fewest seeds with which an effect of this size is found with this probability.

    A permutation test needs about as many as a t-test (its efficiency beside it is 1 in the limit), and never fewer
    than can give a p-value below alpha at all.

    Returns:
        None where it is more than :data:`MOST_NEEDED`.
    """
    least = least_for_permutation(alpha) if test == "permutation" else 2
    if not effect_size:
        return None
    low = high = least
    while power_of(high, effect_size, alpha) < power:
        low, high = high + 1, 2 * high
        if low > MOST_NEEDED:
            return None
    while low < high:  # power grows with n
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle, effect_size, alpha) >= power else (middle + 1, high)
    return low if low <= MOST_NEEDED else None
