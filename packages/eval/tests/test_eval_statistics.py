"""How sure scores are: against the formulas of the papers, written out, and scipy's own intervals and tests."""

import itertools
import math
import random

import pytest
from core.significance import against_chance
from scipy import stats
from smallwright_eval import results, statistics


def scores(n, share, seed=0):
    chosen = random.Random(seed)
    return [float(chosen.random() < share) for _ in range(n)]


def test_errors_by_item_are_those_of_lm_eval():
    from lm_eval.api.metrics import mean_stderr

    values = scores(50, 0.3)
    found = statistics.of_items(values)
    assert found["stderr"] == pytest.approx(mean_stderr(values), rel=1e-12)
    assert found["high"] - found["low"] == pytest.approx(2 * stats.norm.ppf(0.975) * found["stderr"])
    assert (found["interval"], found["p_value"]) == ("normal", None)


def test_the_clustered_error_is_the_sum_over_pairs_of_a_cluster():
    values = scores(60, 0.5)
    clusters = [str(n // 3) for n in range(60)]
    mean = sum(values) / 60
    pairs = sum(
        (a - mean) * (b - mean)
        for (a, one), (b, two) in itertools.permutations(zip(values, clusters, strict=True), 2)
        if one == two
    )
    by_item = statistics.of_items(values)["stderr"]
    found = statistics.of_items(values, clusters)
    assert found["stderr_clustered"] == pytest.approx(math.sqrt(by_item**2 + pairs / 60**2))
    assert (found["clusters"], found["interval"], found["stderr"]) == (20, "clustered", by_item)
    same = [values[n // 3] for n in range(60)]  # three items that say the same are one
    clustered = statistics.of_items(same, clusters)["stderr_clustered"]
    assert clustered / statistics.of_items(same)["stderr"] == pytest.approx(math.sqrt(3), rel=0.05)
    alone = statistics.of_items(values, [str(n) for n in range(60)])
    assert alone["stderr_clustered"] == pytest.approx(by_item)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (7, 7), (0, 1), (200, 200)])
def test_all_or_none_right_has_wilsons_interval_and_no_error(right, n):
    found = statistics.of_items([1.0] * right + [0.0] * (n - right))
    wanted = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert (found["low"], found["high"]) == pytest.approx((wanted.low, wanted.high))
    assert (found["interval"], found["stderr"]) == ("Wilson", None)


@pytest.mark.parametrize(("right", "n", "chance"), [(30, 100, 0.25), (0, 10, 0.5), (10, 10, 0.5), (52, 208, 0.25)])
def test_guessing_is_the_exact_binomial_test(right, n, chance):
    wanted = stats.binomtest(right, n, chance, alternative="greater").pvalue
    assert against_chance(right, [chance] * n) == pytest.approx(wanted)


def test_items_of_several_numbers_of_choices_are_tested_exactly_too():
    chances = [0.5] * 7 + [0.25] * 11 + [0.2] * 4
    for right in (0, 6, 13, 22):
        assert against_chance(right, chances) == pytest.approx(float(stats.poisson_binom.sf(right - 1, chances)))


def test_clusters_are_what_items_share_and_are_many():
    docs = [{"passage": f"p{n // 2}", "subject": f"s{n % 2}", "question": n} for n in range(40)]
    field, clusters = statistics.clusters_of(docs)
    assert (field, len(set(clusters))) == ("passage", 20)
    assert statistics.clusters_of(docs, "question") is None, "each item has its own"
    assert statistics.clusters_of([{"subject": f"s{n % 2}"} for n in range(40)]) is None, "two clusters are too few"
    assert statistics.clusters_of([{"passage": None}, {}]) is None


def test_a_share_of_the_parts_of_items_has_its_error_over_the_items():
    """IFEval's instructions: those of one prompt stand or fall together."""
    parts = [[1.0, 1.0], [0.0, 0.0], [1.0]] * 20
    flat = [one for item in parts for one in item]
    share = sum(flat) / len(flat)
    of = results.Measured(items=[], chances=None, clusters=None, several={("followed", "none"): parts})
    found = results._sure("followed", "none", share, 0, {"task": of}, None)
    assert found["clustered_by"] == "item"
    squares = sum(sum(one - share for one in item) ** 2 for item in parts)
    assert found["stderr_clustered"] == pytest.approx(math.sqrt(squares) / len(flat), rel=0.02)
    assert found["high"] - share == pytest.approx(statistics.Z * found["stderr_clustered"])
