"""The feed as a pure function: passes, stages, skipped ranges, and counts in closed form."""

import numpy as np
import pytest
from core.errors import InputError
from smallwright_pretrain.feed import Feed, FeedStage, Listed, SourceSize, joined

SIZES = [
    SourceSize(name="web", windows={16: 997, 64: 249}),
    SourceSize(name="code", windows={16: 64, 64: 16}),
    SourceSize(name="gems", windows={16: 5, 64: 1}),
]
SHARES = {"web": 0.7, "code": 0.29, "gems": 0.01}


def stage(sequences=4000, seq_len=16, shares=SHARES, **more):
    return FeedStage(shares=shares, seq_len=seq_len, sequences=sequences, **more)


def counted(located, upto, sources=3):
    return np.bincount(located.source_N[:upto], minlength=sources).tolist()


def test_every_pass_visits_each_window_once_in_an_order_of_its_own():
    feed = Feed(SIZES, [stage(20_000)], seed=1)
    located = feed.locate(0, np.arange(20_000))
    for source, size in enumerate((997, 64, 5)):
        own = located.source_N == source
        rows = [located.window_N[own & (located.pass_N == number)] for number in range(located.pass_N[own].max())]
        assert all(np.array_equal(np.sort(row), np.arange(size)) for row in rows)
        assert len(rows) > 1
        assert len({tuple(row) for row in rows}) > 1, "another order in another pass"
    other = Feed(SIZES, [stage(20_000)], seed=2).locate(0, np.arange(20_000))
    assert not np.array_equal(located.window_N, other.window_N)
    assert np.array_equal(located.source_N, other.source_N)


@pytest.mark.parametrize("ranks", [1, 3, 8, 250])
def test_a_position_leads_to_the_same_window_whoever_asks_and_when(ranks):
    feed = Feed(SIZES, [stage()], seed=1)
    together = feed.locate(0, np.arange(1000, 2000))
    for rank in range(min(ranks, 5)):
        apart = feed.locate(0, np.arange(1000 + rank, 2000, ranks))
        for one, all_of_them in zip(apart, together, strict=True):
            assert np.array_equal(one, all_of_them[rank::ranks])


def test_counts_in_closed_form_are_those_of_going_through_all_positions():
    stages = [stage(3000), stage(500, shares={"code": "1/3", "gems": "2/3"}), stage(700, seq_len=64), stage(900)]
    feed = Feed(SIZES, stages, seed=1)
    before = np.zeros(3, int)
    for number, own in enumerate(stages):
        located = feed.locate(number, np.arange(own.sequences))
        for position in (0, 1, 17, own.sequences // 2, own.sequences):
            assert feed.drawn(number, position).tolist() == (before + counted(located, position)).tolist()
        before = before + counted(located, own.sequences)


def test_stages_of_one_length_go_on_in_the_pass_and_another_length_begins_one():
    stages = [stage(500), stage(300, shares={"web": 1}), stage(100, seq_len=64), stage(300, shares={"web": 1})]
    feed = Feed(SIZES, stages, seed=1)
    drawn = [feed.locate(number, np.arange(own.sequences)) for number, own in enumerate(stages)]
    web = [located.window_N[located.source_N == 0] for located in drawn]
    short = np.concatenate([web[0], web[1], web[3]])
    assert len(short) == 350 + 300 + 300
    assert len(set(short.tolist())) == len(short), "no window twice before all have been seen"
    assert not drawn[2].pass_N[drawn[2].source_N == 0].any()
    assert web[2].max() < 249


def test_without_shares_an_epoch_is_each_window_once():
    feed = Feed(SIZES, [stage(2 * 1066, shares=None)], seed=1)
    for first in (0, 1066):
        located = feed.locate(0, np.arange(first, first + 1066))
        assert counted(located, None) == [997, 64, 5]
        assert len(set(zip(located.source_N.tolist(), located.window_N.tolist(), strict=True))) == 1066
    some = Feed(SIZES, [stage(69, shares=None, drawn_from=("code", "gems"))], seed=1)
    assert some.drawn(0, 69).tolist() == [0, 64, 5]


def test_skipped_sequences_are_left_out_and_make_the_stage_no_shorter():
    feed = Feed(SIZES, [stage(100), stage(100)], seed=1, skipped=[(10, 30), (25, 40), (130, 131)])
    assert feed.skipped == ((10, 40), (130, 131))
    assert (feed.end(0), feed.begin(1), feed.end(1)) == (130, 130, 101), (
        "what begins where a stage ends is the next one's"
    )
    assert feed.kept(0, 0, 12).tolist() == [*range(10), 40, 41]
    assert feed.kept(0, 35, 2).tolist() == [40, 41]
    assert [feed.left(0, position) for position in (0, 10, 40, 130)] == [100, 90, 90, 0]
    assert feed.kept(1, 0, 3).tolist() == [1, 2, 3]
    plain = Feed(SIZES, [stage(300)], seed=1).locate(0, np.arange(300))
    kept = feed.locate(0, feed.kept(0, 0, 100))
    expected = np.concatenate([plain.window_N[:10], plain.window_N[40:130]])
    assert np.array_equal(kept.window_N, expected)
    assert feed.drawn(0, feed.end(0)).tolist() == counted(kept, None)
    assert feed.drawn(1, 7).sum() == 106


def test_a_skip_may_reach_over_the_end_of_a_stage():
    feed = Feed(SIZES, [stage(100), stage(100)], seed=1, skipped=[(90, 200)])
    assert (feed.end(0), feed.begin(1)) == (210, 210)
    assert feed.kept(0, 0, 100)[-1] == 209
    assert feed.drawn(1, 100).sum() == 200


def test_a_share_of_what_has_no_window_is_refused():
    with pytest.raises(InputError, match=r"^pretrain\.seq_len=32: a sequence takes 33 tokens, and no corpus"):
        Feed(SIZES, [stage(seq_len=32, shares=None)], seed=1)
    with pytest.raises(
        InputError, match=r"^pretrain\.seq_len=32: the mixture draws from web, which has no window of 33"
    ):
        Feed([SourceSize(name="web", windows={16: 9})], [stage(seq_len=32, shares={"web": 1})], seed=1)


def test_ranges_that_touch_become_one():
    assert joined([(5, 9), (1, 5), (20, 20), (30, 31), (8, 12)]) == ((1, 12), (30, 31))


def pairs(located):
    return list(zip(located.source_N.tolist(), located.window_N.tolist(), strict=True))


def test_drawn_windows_come_once_a_pass_and_counts_are_those_of_going_through_them():
    listed = Listed(np.array([0, 0, 0, 1, 1]), np.array([2, 5, 7, 0, 3]))
    row = [stage(sequences=12), stage(sequences=12, shares=None, listed=listed, name="round-2")]
    feed = Feed(SIZES, row, seed=1, skipped=[(15, 17)])
    assert (feed.begin(1), feed.end(1), feed.left(1, 4)) == (12, 14, 9)
    for turn in range(2):
        assert set(pairs(feed.locate(1, np.arange(turn * 5, turn * 5 + 5)))) == set(pairs(listed))
    positions = feed.kept(1, 0, 12)
    assert positions.tolist() == [0, 1, 2, *range(5, 14)]
    located = feed.locate(1, positions)
    for upto in range(15):
        assert feed.drawn_in(1, upto).tolist() == counted(located, int((positions < upto).sum()))
    assert pairs(feed.locate(1, positions[3:5])) == pairs(located)[3:5]
    assert pairs(Feed(SIZES, row, seed=2).locate(1, positions)) != pairs(located)


def test_the_windows_of_stages_are_each_named_once_and_in_their_order():
    row = [stage(sequences=900), stage(sequences=100, shares={"code": 1})]
    feed = Feed(SIZES, row, seed=1, skipped=[(3, 9)])
    expected = set()
    for number, own in enumerate(row):
        expected |= set(pairs(feed.locate(number, feed.kept(number, 0, own.sequences))))
    assert len(expected) < 1000
    assert pairs(feed.trained_windows([0, 1])) == sorted(expected)
