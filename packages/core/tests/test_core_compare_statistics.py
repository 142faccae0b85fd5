"""Tests of paired differences against values worked out by hand and by trying everything."""

import itertools
import math
import sys

import pytest
from core.compare import statistics
from core.errors import MissingPluginError


def right_and_wrong(both, gained, lost, neither):
    first = [1.0] * both + [0.0] * gained + [1.0] * lost + [0.0] * neither
    second = [1.0] * both + [1.0] * gained + [0.0] * lost + [0.0] * neither
    return first, second


def test_right_and_wrong_items_get_the_exact_mcnemar_test():
    found = statistics.of_items(*right_and_wrong(both=80, gained=8, lost=1, neither=11))
    assert found.test == statistics.MCNEMAR
    assert found.difference == pytest.approx(0.07)
    assert found.p == pytest.approx(2 * (math.comb(9, 0) + math.comb(9, 1)) / 2**9)
    # Agresti and Min: half an item more in each cell.
    middle, spread = 7 / 102, math.sqrt(10 - 49 / 102) / 102
    assert (found.low, found.high) == pytest.approx((middle - 1.959964 * spread, middle + 1.959964 * spread))


def test_sides_that_never_differ_are_not_sure_to_be_the_same():
    found = statistics.of_items(*right_and_wrong(both=10, gained=0, lost=0, neither=10))
    assert (found.difference, found.p) == (0.0, 1.0)
    assert found.low == -found.high < -0.05


def test_other_scores_get_all_sign_flips_where_they_can_be_tried():
    first, second = [0.1, 0.5, 0.3, 0.9, 0.2, 0.4, 0.6], [0.3, 0.6, 0.2, 1.0, 0.6, 0.4, 0.9]
    moved = [b - a for a, b in zip(first, second, strict=True) if a != b]
    sums = [sum(s * d for s, d in zip(signs, moved, strict=True)) for signs in itertools.product((1, -1), repeat=6)]
    expected = sum(abs(value) >= abs(sum(moved)) - 1e-9 for value in sums) / len(sums)
    found = statistics.of_items(first, second)
    assert found.test == statistics.SIGN_FLIP
    assert found.p == pytest.approx(expected)
    assert found.difference == pytest.approx(sum(moved) / 7)
    assert found.low < found.difference < found.high


def test_many_flips_are_drawn_the_same_every_time():
    values = [math.sin(n) + 0.1 for n in range(200)]
    one, two = (statistics.of_differences(values, [1.0] * 200) for _ in range(2))
    assert one == two
    z = one.difference / ((one.high - one.low) / 2 / 1.972)  # 1.972: Student's quantile of 199
    assert one.p == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), abs=0.02)


def test_documents_count_by_their_tokens():
    found = statistics.of_differences([3.0, -1.0, 4.0], [30.0, 10.0, 20.0])
    assert found.difference == pytest.approx(0.1)
    residuals = [3.0 - 3.0, -1.0 - 1.0, 4.0 - 2.0]
    error = math.sqrt(sum(r * r for r in residuals) * 3 / 2) / 60
    assert found.high - found.difference == pytest.approx(4.302653 * error)  # Student's quantile of 2
    assert found.p == pytest.approx(4 / 8)  # |sum| of 6 or more: both of +3+1+4 and of +3-1+4


def test_one_difference_is_no_evidence():
    assert statistics.of_differences([5.0, 0.0], [1.0, 1.0]).p == 1.0


def test_holm_steps_down_and_never_back():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.6]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_without_scipy_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(MissingPluginError, match=r"pip install 'smallwright-core\[study\]'"):
        statistics.needed()
