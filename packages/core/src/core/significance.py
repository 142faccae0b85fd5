"""What tests of studies, comparisons and scores share: scipy, which is an extra, Holm's correction, and guessing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.errors import MissingPluginError


def needed() -> Any:
    """Return ``scipy.stats``.

    Raises:
        MissingPluginError: scipy is not installed.
    """
    try:
        import scipy.stats
    except ImportError as error:
        raise MissingPluginError(
            f"tests of significance need scipy: pip install 'smallwright-core[study]' ({error})."
        ) from error
    return scipy.stats


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values with Holm's correction (1979), in the order given: the smallest times n, the next times n - 1."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


BINOMIAL = "exact binomial"
"""The test of :func:`against_chance`, as reports name it."""


def against_chance(right: int, chances: Sequence[float]) -> float:
    """Return the p-value of a score against guessing: how often a guesser has at least so many items right.

    The exact binomial test, one-sided. Where items have different numbers of choices, the number that a guesser has
    right is the sum of a binomial for each number (Poisson's binomial), which is exact too.

    Args:
        right: Items that were right.
        chances: Of each item, to guess it.
    """
    import numpy as np

    stats = needed()
    counts = Counter(chances)
    if len(counts) == 1:
        return float(stats.binom.sf(right - 1, len(chances), chances[0]))
    mass = np.ones(1)
    for chance, items in counts.items():
        mass = np.convolve(mass, stats.binom.pmf(np.arange(items + 1), items, chance))
    return float(min(1.0, mass[right:].sum()))
