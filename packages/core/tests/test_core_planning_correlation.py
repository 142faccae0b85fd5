"""Ranks and Spearman's correlation against values worked out by hand."""

import math

import pytest
from core.planning.correlation import ranks, spearman


def test_equal_values_share_the_mean_of_their_ranks():
    assert ranks([10, 20, 20, 5]) == [2.0, 3.5, 3.5, 1.0]
    assert ranks([7, 7, 7]) == [2.0, 2.0, 2.0]


def test_spearman_agrees_with_the_definition_and_handles_ties():
    x = [1, 2, 3, 4, 5]
    assert spearman(x, [2, 4, 8, 16, 32]) == pytest.approx(1.0)
    assert spearman(x, [5, 4, 3, 2, 1]) == pytest.approx(-1.0)
    y = [3, 1, 4, 2, 5]
    squares = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    assert spearman(x, y) == pytest.approx(1 - 6 * squares / (5 * 24))
    # Pearson's correlation of (1, 2.5, 2.5, 4) and (1, 3, 2, 4): the short formula would give 0.95.
    assert spearman([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert spearman([1, 1, 1], [1, 2, 3]) is None
