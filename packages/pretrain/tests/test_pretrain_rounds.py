"""Windows of a further round: drawn by the softmax of their loss, without replacement, alike from any shards."""

import itertools

import numpy as np
import pytest
from core.errors import InputError
from smallwright_pretrain import drawing, rounds
from smallwright_pretrain.feed import Listed
from smallwright_pretrain.rounds_config import RoundsConfig

LOSSES = np.array([1.0, 2.0, 3.0, 4.0])


def test_the_probabilities_of_the_published_vector():
    assert rounds.probabilities(LOSSES).round(4).tolist() == [0.0321, 0.0871, 0.2369, 0.6439]
    assert rounds.probabilities(LOSSES + 1e4).round(4).tolist() == [0.0321, 0.0871, 0.2369, 0.6439]


@pytest.mark.parametrize(("windows", "rate", "expected"), [(75_000, 0.5, 37_500), (3, 0.5, 2), (5, 0.5, 3), (9, 0, 0)])
def test_the_number_is_the_rate_of_them_rounded(windows, rate, expected):
    assert rounds.number(windows, rate) == expected


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        rounds.number(10, rate)


def test_first_draws_follow_the_softmax_and_pairs_those_without_replacement():
    """Four windows in each of 50,000 draws; a pair (i, j) has p_i p_j / (1 - p_i) + p_j p_i / (1 - p_j)."""
    draws = 50_000
    keys = rounds.keys(np.tile(LOSSES, draws), np.arange(4 * draws), seed=3).reshape(draws, 4)
    order = np.argsort(-keys, axis=1)
    p = rounds.probabilities(LOSSES)
    assert np.bincount(order[:, 0], minlength=4) / draws == pytest.approx(p, abs=0.01)
    for i, j in itertools.combinations(range(4), 2):
        found = np.mean([set(pair) == {i, j} for pair in order[:, :2].tolist()])
        assert found == pytest.approx(p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]), abs=0.01)


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_shards_in_any_order_give_what_all_windows_give(shards):
    generator = np.random.default_rng(0)
    losses, windows, count = generator.normal(3, 1, 5000), np.arange(5000), rounds.number(5000, 0.5)
    whole = rounds.draw(losses, windows, count, seed=1)
    assert len(set(whole.windows_S.tolist())) == count, "none is drawn twice"
    parts = np.array_split(generator.permutation(5000), shards)
    drawn = [rounds.draw(losses[part], windows[part], count, seed=1) for part in parts]
    found = rounds.merged(reversed(drawn), count)
    assert np.array_equal(found.windows_S, whole.windows_S)
    assert np.array_equal(found.keys_S, whole.keys_S)
    assert not np.array_equal(rounds.draw(losses, windows, count, seed=2).windows_S, whole.windows_S)


def test_hard_windows_are_drawn_more_often():
    losses = np.repeat([1.0, 2.0, 3.0], 1000)
    chosen = rounds.draw(losses, np.arange(3000), 1500, seed=0).windows_S
    easy, middle, hard = np.bincount(chosen // 1000, minlength=3)
    assert easy < middle < hard


def test_ends_are_no_trouble():
    assert len(rounds.draw(LOSSES, np.arange(4), 0, seed=0).windows_S) == 0
    assert sorted(rounds.draw(LOSSES, np.arange(4), 9, seed=0).windows_S) == [0, 1, 2, 3]
    assert len(rounds.merged([], 3).windows_S) == 0


def test_a_loss_that_is_no_number_is_refused_with_its_window():
    with pytest.raises(ValueError, match=r"1 windows is not finite, the first window 11"):
        rounds.draw(np.array([1.0, np.nan]), np.array([10, 11]), 1, seed=0)


def test_a_round_that_ended_with_a_loss_that_is_no_number_says_what_to_lower(tmp_path):
    windows = Listed(np.zeros(3, np.int64), np.arange(3))
    over = drawing.pass_over(tmp_path, windows, 16)
    over.write(0, {drawing.LOSS: np.array([1.0, np.nan, 2.0])})
    with pytest.raises(InputError, match=r"pretrain\.rounds: round 1 has ended, .*Lower pretrain\.learning_rate"):
        drawing.draw_from(over, windows, ["web"], RoundsConfig(), seed=1, ended=1)
    assert not (tmp_path / "drawn.json").exists()
