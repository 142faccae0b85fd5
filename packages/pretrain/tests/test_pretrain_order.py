"""The order of sources keeps every prefix at the shares, and the order of windows is a permutation."""

from fractions import Fraction

import numpy as np
import pytest
from smallwright_pretrain import order as orders
from smallwright_pretrain.mixture import parts, whole_counts
from smallwright_pretrain.order import Order, interleaved, permuted
from test_pretrain_mixture import AMBER, STAGE_4


def counts_of(fractions):
    total = sum(fractions)
    return whole_counts([share / total for share in fractions], 20_000)[0]


def random_counts(sources: int):
    return counts_of([Fraction(share) for share in np.random.default_rng(sources).dirichlet(np.full(sources, 0.4))])


MIXTURES = {
    "SmolLM2's stage 4": counts_of([part.share for part in parts(STAGE_4)]),
    "Amber": counts_of([Fraction(str(tokens)) for tokens in AMBER.values()]),
    "one draw among many": [1, 9_999],
    "equal": [1, 1, 1],
    "none of one": [3, 0, 5],
    **{f"{sources} random": random_counts(sources) for sources in (2, 3, 5, 8, 13, 21, 30)},
}


def largest_error(source_M: np.ndarray, counts: list[int]) -> float:
    """Return the largest distance of a source from its share after any prefix."""
    prefix = np.arange(1, len(source_M) + 1)
    shares = np.array(counts) / sum(counts)
    drawn = [np.cumsum(source_M == k) for k in range(len(counts))]
    return max(float(np.abs(row - share * prefix).max()) for row, share in zip(drawn, shares, strict=True))


@pytest.mark.parametrize("name", MIXTURES)
def test_after_any_prefix_every_source_is_within_one_sequence_of_its_share(name):
    counts = MIXTURES[name]
    source_M = interleaved(counts)
    assert np.bincount(source_M, minlength=len(counts)).tolist() == counts
    used = sum(count > 0 for count in counts)
    assert largest_error(source_M, counts) <= 1 - 1 / (2 * used - 2) + 1e-9, "Tijdeman's bound"


LONG = [(3, 5, 7), (300, 41, 6, 1), (997, 2, 2), (1, 1, 1, 1, 496), (0, 250, 249), tuple(range(1, 31))]


@pytest.mark.parametrize("block", [40, 200, 1000])
@pytest.mark.parametrize("counts", LONG)
def test_an_order_counts_what_it_draws_also_where_its_period_is_made_of_blocks(counts, block, monkeypatch):
    monkeypatch.setattr(orders, "LARGEST_PERIOD", block)
    monkeypatch.setattr(orders, "BLOCK", block)
    order = Order(counts)
    assert order.period == sum(counts)
    total = 3 * order.period
    source_N, draw_N = order(np.arange(total))
    for k, count in enumerate(counts):
        assert draw_N[source_N == k].tolist() == list(range(3 * count)), "every draw once, in their order"
    for position in range(0, total + 1, 7):
        expected = np.bincount(source_N[:position], minlength=len(counts))
        assert order.drawn(position).tolist() == expected.tolist()
    assert order.drawn(order.period).tolist() == list(counts)
    assert largest_error(source_N, list(counts)) < 3


def test_far_positions_cost_nothing_to_reach():
    order = Order([29, 71])
    far = 10**15
    source_N, draw_N = order(np.array([far]))
    assert order.drawn(far)[source_N[0]] == draw_N[0]
    assert order.drawn(far).sum() == far


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 63, 64, 65, 1000, 4096, 99_991])
def test_a_pass_is_a_permutation_for_every_key(size):
    places, sizes = np.arange(size), np.full(size, size)
    for key in (0, 1, 2**63, 2**64 - 1):
        found = permuted(places, sizes, np.full(size, key, np.uint64))
        assert np.array_equal(np.sort(found), places)


def test_permutations_of_neighbouring_keys_have_nothing_in_common():
    size = 10_007
    places, sizes = np.arange(size), np.full(size, size)
    one, other = (permuted(places, sizes, np.full(size, key, np.uint64)) for key in (7, 8))
    bound = 4 / np.sqrt(size)
    assert abs(np.corrcoef(one, other)[0, 1]) < bound
    assert abs(np.corrcoef(one, places)[0, 1]) < bound
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < bound
    first_tenth = np.bincount(one[: size // 10] * 20 // size, minlength=20)
    expected = size / 10 / 20
    assert ((first_tenth - expected) ** 2 / expected).sum() < 44, "chi-squared with 19 degrees of freedom, 0.001"


def test_sizes_and_keys_may_differ_from_place_to_place():
    sizes = np.array([10, 1000, 10, 1000])
    keys = np.array([1, 2, 1, 2], np.uint64)
    together = permuted(np.array([3, 3, 4, 4]), sizes, keys)
    alone = [
        permuted(np.array([p]), np.array([s]), np.array([k], np.uint64))[0]
        for p, s, k in zip([3, 3, 4, 4], sizes, keys, strict=True)
    ]
    assert together.tolist() == [int(window) for window in alone]
