"""Which checkpoints stay."""

import pytest
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.retention import Retention


def tokens(step):
    return 100 * step


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (Retention(), []),
        (Retention(every=4), [4, 8, 12]),
        (Retention(steps=(3, 11)), [3, 11]),
        (Retention(every_tokens=250), [3, 5, 8, 10]),
        (Retention(every_tokens=50), list(range(1, 13))),
        (Retention(every=6, steps=(1,)), [1, 6, 12]),
    ],
)
def test_kept_steps(rule, kept):
    assert [step for step in range(13) if rule.keeps(step, tokens)] == kept
    assert rule.most(12, tokens(12)) == len(kept)
    assert rule.stale(range(1, 13), 2, tokens) == [step for step in range(1, 11) if step not in kept]
    assert rule.stale(range(1, 13), 0, tokens) == [step for step in range(1, 13) if step not in kept]
    assert rule.stale(range(1, 13), None, tokens) == rule.stale([3], 2, tokens) == []


def test_a_spared_checkpoint_stays_as_long_as_the_latest_do_and_is_not_kept_for_good():
    rule = Retention(steps=(3,), spared=(5,))
    assert rule.stale(range(1, 13), 2, lambda step: step) == [1, 2, 4, 6, 7, 8, 9, 10]
    assert rule.stale(range(1, 13), 0, lambda step: step) == [1, 2, 4, *range(5, 13)]
    assert not rule.keeps(5, lambda step: step)


def test_the_step_before_the_decay_is_spared():
    assert TorchTitanConfig(steps=100, decay_ratio=0.1).retention.spared == (90,)
    assert TorchTitanConfig(steps=100, schedule="cosine").retention.spared == ()
    assert TorchTitanConfig(steps=100, warmup_steps=0, decay_ratio=1.0).retention.spared == ()
