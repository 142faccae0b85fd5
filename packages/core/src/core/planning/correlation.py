"""Spearman's rank correlation, written out here so that planning needs no SciPy."""

import math
from collections.abc import Sequence


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value from 1; equal values share the mean of their places."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    result = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            result[place] = (start + end) / 2 + 1
        start = end + 1
    return result


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Pearson's correlation of the ranks, from -1 to 1; None where one side is constant.

    The short formula ``1 - 6 sum d^2 / (n (n^2 - 1))`` is wrong where values are equal; this one is not.
    """
    assert len(x) == len(y), "one value of y for each of x"
    rank_x, rank_y = ranks(x), ranks(y)
    middle = (len(x) + 1) / 2
    covariance = math.fsum((a - middle) * (b - middle) for a, b in zip(rank_x, rank_y, strict=True))
    spread_x = math.fsum((a - middle) ** 2 for a in rank_x)
    spread_y = math.fsum((b - middle) ** 2 for b in rank_y)
    return covariance / math.sqrt(spread_x * spread_y) if spread_x and spread_y else None
