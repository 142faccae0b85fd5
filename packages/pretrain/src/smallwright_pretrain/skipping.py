"""Batches that a training leaves out, as numbers of batches and as ranges of sequences. No torch."""

import sys
from collections.abc import Sequence
from itertools import zip_longest

from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.feed import joined
from smallwright_pretrain.segments import stage_at, stages

Skip = Sequence[Sequence[int]]
"""First and last batch of each range."""


def skipped_sequences(config: TorchTitanConfig) -> list[list[int]]:
    """Return the sequences that are not trained on, [from, up to], counted from the run's first one.

    A batch has the number of the step that trains on it where nothing is skipped; of the sequences, those that are
    skipped count too, so that what is left out of a stage moves the numbers of the stages behind it.
    """
    found, begin = [], 0
    for stage in stages(config):
        left_out = 0
        for first, last in _ranges(config, stage.first, stage.last):
            count = stage.global_batch_size
            found.append([begin + (first - stage.first) * count, begin + (last + 1 - stage.first) * count])
            left_out += (last + 1 - first) * count
        begin += stage.sequences + left_out
    return found


def batch_of(config: TorchTitanConfig, step: int) -> int:
    """Return the number of the batch that a step trains on: the step's own, and what its stage skipped before."""
    stage = stage_at(config, step)
    batch = step
    for first, last in _ranges(config, stage.first, stage.last):
        if first <= batch:
            batch += last + 1 - first
    return batch


def same_skips(one: Skip, other: Skip) -> int:
    """Return a step until which two runs that leave out these batches train on the same ones."""
    before = 0
    for left, right in zip_longest(*(joined([(first, last + 1) for first, last in skip]) for skip in (one, other))):
        if left != right:
            different = min(pair[0] for pair in (left, right) if pair is not None)
            return different - 1 - before  # earlier ones lie, at most, in the same stage
        before += left[1] - left[0]
    return sys.maxsize


def _ranges(config: TorchTitanConfig, first: int, last: int) -> list[tuple[int, int]]:
    """Return the skipped batches of a stage, [first, last] with both, those that touch made one."""
    ranges = joined([(one, other + 1) for one, other in config.skip])
    return [(max(one, first), min(other - 1, last)) for one, other in ranges if one <= last and other > first]
