"""The statistics of studies, against brute force, figures by hand and what must be true of any test."""

import itertools
import math
import random
from statistics import fmean, stdev

import pytest
from core.study import statistics
from core.study.config import least_for_permutation

stats = pytest.importorskip("scipy.stats")


def differences(n, shift, seed):
    drawn = random.Random(seed)
    return [drawn.gauss(shift, 1.0) for _ in range(n)]


@pytest.mark.parametrize("n", [2, 3, 5, 8])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 2.0])
def test_the_permutation_test_is_exact(n, shift):
    given = differences(n, shift, n)
    ways = [fmean(s * d for s, d in zip(signs, given, strict=True)) for signs in itertools.product((1, -1), repeat=n)]
    by_hand = sum(way >= fmean(given) - 1e-12 for way in ways) / len(ways)
    assert statistics.permutation(given) == pytest.approx(by_hand)
    paired = statistics.compare(given, "permutation")
    assert (paired.p, paired.p_opposite) == pytest.approx((by_hand, statistics.permutation([-d for d in given])))


def test_ties_count_and_the_least_p_is_that_of_one_way_in_all():
    assert statistics.permutation([1.0, 1.0, 1.0, 1.0, 1.0]) == 2**-5
    assert (
        statistics.permutation([0.1, 0.2, 0.3, -0.3])
        == sum(
            fmean(s * d for s, d in zip(signs, (0.1, 0.2, 0.3, 0.3), strict=True)) >= 0.075 - 1e-12
            for signs in itertools.product((1, -1), repeat=4)
        )
        / 16
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_paired_t_test_and_its_interval_are_scipys(seed):
    given = differences(6, 0.5, seed)
    paired = statistics.compare(given, "paired_t")
    reference = stats.ttest_1samp(given, 0.0, alternative="greater")
    both = stats.ttest_1samp(given, 0.0).confidence_interval(0.95)
    assert paired.p == pytest.approx(reference.pvalue)
    assert paired.p + paired.p_opposite == pytest.approx(1.0)
    assert (paired.low, paired.mean, paired.high) == pytest.approx((both.low, fmean(given), both.high))
    assert paired.effect_size == pytest.approx(fmean(given) / stdev(given) * statistics.hedges(6))


@pytest.mark.parametrize(("n", "known"), [(3, 0.5642), (5, 0.7979), (10, 0.9139), (20, 0.9599)])
def test_hedges_correction_has_the_values_of_his_table(n, known):
    """Hedges 1981, table 1: c(2) = 0.5642, c(4) = 0.7979, c(9) = 0.9139, c(19) = 0.9599, by degrees of freedom."""
    assert statistics.hedges(n) == pytest.approx(known, abs=1e-3)


@pytest.mark.parametrize("test", ["permutation", "paired_t"])
@pytest.mark.parametrize("value", [0.0, 0.1, -2.5])
def test_differences_that_are_one_number_give_no_nan(test, value):
    paired = statistics.compare([value] * 3, test)
    assert (paired.mean, paired.low, paired.high) == pytest.approx((value, value, value))
    assert paired.constant
    assert paired.effect_size is None
    assert (paired.p, paired.p_opposite) == {0.0: (1.0, 1.0), 0.1: (2**-3, 1.0), -2.5: (1.0, 2**-3)}[value]


def test_rounding_is_no_spread():
    paired = statistics.compare([0.3, 0.1 + 0.2, 0.3], "paired_t")
    assert paired.constant
    assert paired.p == 2**-3


@pytest.mark.parametrize(("effect_size", "known"), [(0.2, 156), (0.5, 27), (0.8, 12), (1.0, 8)])
def test_the_seeds_needed_are_those_of_the_tables(effect_size, known):
    """A one-sided paired t-test at alpha 0.05 and power 0.8, as G*Power and statsmodels' TTestPower have it."""
    assert statistics.seeds_needed(effect_size, 0.05, 0.8, "paired_t") == known


def test_the_seeds_needed_fall_with_the_effect_and_rise_with_what_is_asked():
    sizes = (0.05, 0.1, 0.3, 0.7, 1.5, 4.0, 40.0, 4000.0)
    needed = [statistics.seeds_needed(size, 0.05, 0.8, "paired_t") for size in sizes]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == 2
    for size in sizes[:-1]:
        usual = statistics.seeds_needed(size, 0.05, 0.8, "paired_t")
        assert statistics.seeds_needed(size, 0.05, 0.95, "paired_t") >= usual
        assert statistics.seeds_needed(size, 0.01, 0.8, "paired_t") >= usual
        assert statistics.seeds_needed(-size, 0.05, 0.8, "paired_t") == usual
    assert statistics.seeds_needed(0.001, 0.05, 0.8, "paired_t") is None
    assert statistics.seeds_needed(0.0, 0.05, 0.8, "paired_t") is None


@pytest.mark.parametrize("alpha", [0.4, 0.25, 0.1, 0.05, 0.01])
def test_a_permutation_test_of_the_least_seeds_can_decide_and_of_one_less_cannot(alpha):
    least = least_for_permutation(alpha)
    assert 2**-least < alpha
    assert 2 ** -(least - 1) >= alpha
    assert statistics.seeds_needed(50.0, alpha, 0.8, "permutation") == least


def test_power_is_that_of_a_simulation():
    found = [statistics.compare(differences(6, 1.0, seed), "paired_t").p < 0.05 for seed in range(400)]
    assert fmean(found) == pytest.approx(statistics.power_of(6, 1.0, 0.05), abs=4 * math.sqrt(0.25 / 400))
