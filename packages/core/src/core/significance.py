"""What the tests of studies and of comparisons share: scipy, which is an extra, and Holm's correction."""

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
