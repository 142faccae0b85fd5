"""pass@k without bias."""

import math


def estimate(samples: int, passed: int, k: int) -> float:
    """Return the chance that at least one of ``k`` samples passes, from ``passed`` of ``samples`` that did.

    The estimator of Chen et al. 2021 (arXiv:2107.03374), equation 1: one minus the share of the choices of ``k``
    samples among which none passes. ``1 - (1 - passed/samples) ** k`` would be too low.

    Raises:
        ValueError: fewer samples than ``k``.
    """
    if samples < k:
        raise ValueError(f"pass@{k} of {samples} samples: there must be {k} at least")
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)
