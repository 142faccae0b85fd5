"""How sure a score is: standard errors by item and by cluster, intervals, and the test against guessing."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean, stdev
from typing import Any

from core import significance

Z = NormalDist().inv_cdf(0.975)
"""Standard errors on either side of a 95 % interval."""
FEWEST_CLUSTERS = 10
"""With fewer the error over clusters is itself too unsure, and most often too small (Cameron and Miller 2015, J. Human
Resources 50(2), section VI)."""
SHARED = ("passage", "article", "paragraph", "story", "context", "subject", "category")
"""Fields whose value several items share: the text that they ask about, or what they are about; the first counts that
some items share and that has :data:`FEWEST_CLUSTERS` values."""


def of_items(
    values: Sequence[float], clusters: Sequence[str] | None = None, chances: Sequence[float] | None = None
) -> dict[str, Any]:
    """Return how sure a mean over items is.

    Args:
        values: Of each item, its score.
        clusters: Of each item, what it shares with others; None: items are independent.
        chances: Of each item, to guess it; None: it cannot be guessed.

    Returns:
        ``stderr`` (by item, as lm-eval has it; None where it would be 0 since all or none are right),
        ``stderr_clustered`` and ``clusters``, ``low`` and ``high`` of the 95 % interval, ``interval`` (``normal``,
        ``clustered``: normal with the clustered error, or ``Wilson``), and ``p_value`` with ``p_test``. None where
        something is not known.
    """
    n, mean = len(values), fmean(values)
    shares = all(value in (0.0, 1.0) for value in values)
    error = stdev(values) / math.sqrt(n) if n > 1 else None
    groups = len(set(clusters)) if clusters is not None else None
    clustered = clustered_error(values, clusters) if clusters is not None else None
    found: dict[str, Any] = {
        "stderr": error,
        "stderr_clustered": clustered,
        "clusters": groups,
        "low": None,
        "high": None,
        "interval": None,
        "p_value": None,
        "p_test": None,
    }
    if shares and mean in (0.0, 1.0):
        low, high = wilson(mean, n)
        found |= {"stderr": None, "stderr_clustered": None, "low": low, "high": high, "interval": "Wilson"}
    elif error is not None:
        half = Z * (error if clustered is None else clustered)
        low, high = (max(0.0, mean - half), min(1.0, mean + half)) if shares else (mean - half, mean + half)
        found |= {"low": low, "high": high, "interval": "normal" if clustered is None else "clustered"}
    if shares and chances is not None:
        found |= {
            "p_value": significance.against_chance(round(sum(values)), chances),
            "p_test": significance.BINOMIAL,
        }
    return found


def clustered_error(values: Sequence[float], clusters: Sequence[str]) -> float:
    """Return the standard error of a mean whose items share passages or subjects (Miller, arXiv 2411.00640, eq. 4).

    The error by item squared, and of each pair of items in one cluster the product of their distances from the mean.
    """
    n, mean = len(values), fmean(values)
    sums: dict[str, float] = {}
    squares = 0.0
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value - mean
        squares += (value - mean) ** 2
    by_item = squares / (n - 1) / n
    return math.sqrt(max(0.0, by_item + (sum(total**2 for total in sums.values()) - squares) / n**2))


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927): also where it is 0 or 1, which has no error by item."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def clusters_of(docs: Sequence[Mapping[str, Any]], named: str | None = None) -> tuple[str, list[str]] | None:
    """Return the field that items share, and its value of each item; None where no field makes clusters of them.

    Args:
        docs: The items.
        named: The field, where the task says so: ``metadata: {cluster: <field>}`` of its YAML.
    """
    for field in (named,) if named else SHARED:
        values = [doc.get(field) for doc in docs]
        if all(isinstance(value, (str, int)) and value != "" for value in values):
            texts = [str(value) for value in values]
            if FEWEST_CLUSTERS <= len(set(texts)) < len(texts):
                return field, texts
    return None
