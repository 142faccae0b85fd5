"""Batches that are left out, as ranges of sequences and as numbers."""

import numpy as np
import pytest
from core.errors import ConfigError
from core.interfaces import Job
from core.typed import build, identity
from smallwright_pretrain import branch
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.feed import Feed, FeedStage, SourceSize
from smallwright_pretrain.segments import stages
from smallwright_pretrain.skipping import batch_of, same_skips, skipped_sequences
from smallwright_pretrain.stage import TorchTitanPretrain

STAGES = {
    "first": {"tokens": 10 * 4 * 16, "global_batch_size": 4, "seq_len": 16},
    "second": {"tokens": 6 * 2 * 16, "global_batch_size": 2},
}


def config(skip, **settings):
    return build(TorchTitanConfig, {"skip": skip, **settings}, "pretrain")


def batches(settings):
    """Return, by the feed, the number of the batch that each step trains on."""
    own = stages(settings)
    skipped = [(first, last) for first, last in skipped_sequences(settings)]
    source = SourceSize(name="web", windows={16: 100})
    feed = Feed([source], [FeedStage(shares=None, seq_len=16, sequences=stage.sequences) for stage in own], 0, skipped)
    found = []
    for number, stage in enumerate(own):
        position = 0
        for _ in range(stage.steps):
            rows = feed.kept(number, position, stage.global_batch_size)
            assert np.array_equal(rows, rows[0] + np.arange(len(rows)))
            position = int(rows[-1]) + 1
            found.append(stage.first + rows[0] // stage.global_batch_size)
    return found


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        ([], list(range(1, 17))),
        ([[3, 4]], [1, 2, *range(5, 13), *range(11, 17)]),
        ([[1, 1], [3, 4], [5, 5]], [2, *range(6, 15), *range(11, 17)]),
        ([[12, 12], [2, 2]], [1, *range(3, 12), 11, *range(13, 18)]),
    ],
)
def test_the_feed_leaves_out_the_batches_of_each_stage(skip, expected):
    settings = config(skip, stages=STAGES)
    assert batches(settings) == expected
    assert [batch_of(settings, step) for step in range(1, 17)] == expected


@pytest.mark.parametrize(
    ("one", "other", "until"),
    [
        ([], [[5, 8]], 4),
        ([[5, 8]], [[5, 9]], 4),
        ([[5, 8]], [[5, 8], [20, 21]], 15),
        ([[1, 2]], [[4, 4]], 0),
    ],
)
def test_two_runs_are_the_same_until_one_leaves_out_what_the_other_has(one, other, until):
    assert same_skips(one, other) == same_skips(other, one) == until
    first, second = batches(config(one, steps=30)), batches(config(other, steps=30))
    assert first[:until] == second[:until]
    assert first[until] != second[until]


@pytest.mark.parametrize("pair", [[3], [5, 4], [0, 2], [1, 2, 3]])
def test_a_range_that_is_none_is_refused(pair):
    with pytest.raises(ConfigError, match=r"pretrain\.skip=.*must be a first and a last batch"):
        config([pair])


@pytest.mark.parametrize(
    ("skip", "begin"), [([[7, 9]], 6), ([[6, 6]], 3), ([[13, 20]], 12), ([[1, 1]], None), ([[99, 99]], 12)]
)
def test_a_run_that_leaves_out_batches_begins_with_what_an_unfinished_one_did_before_them(tmp_path, skip, begin):
    """The run that halted at its thirteenth step, say, with checkpoints of every third step."""
    halted, other = config([], steps=30), config(skip, steps=30)
    output = tmp_path / "pretrain-halted"
    record = {"identity": {"pretrain": identity(halted), "seed": 7}}
    (output / "work" / "pretrain").mkdir(parents=True)
    job = Job(name="x", output=output, inputs={}, seed=7, stage=TorchTitanPretrain(halted), record=record)
    job.write(output / "work" / "pretrain" / "job.json")
    for step in (3, 6, 9, 12):
        (output / "checkpoint" / f"step-{step}").mkdir(parents=True)
        (output / "checkpoint" / f"step-{step}" / ".metadata").touch()
        (output / "checkpoint" / f"step-{step}" / "seal.json").touch()
    found = branch.shorter({"pretrain": identity(other), "seed": 7}, other, tmp_path)
    assert (found and found.step) == begin
    assert branch.shorter({"pretrain": identity(other), "seed": 8}, other, tmp_path) is None
    assert branch.shorter(record["identity"], halted, tmp_path) is None, "itself"
