"""Which checkpoints stay, and how many tokens a step stands for."""

import pytest
from smallwright_pretrain.retention import Retention, TokenCount

TOKENS = TokenCount(per_step=100)


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
    assert [step for step in range(13) if rule.keeps(step, TOKENS)] == kept
    assert rule.stale(range(1, 13), 2, TOKENS) == [step for step in range(1, 11) if step not in kept]
    assert rule.stale(range(1, 13), 0, TOKENS) == []


def test_tokens_follow_from_the_step_also_where_batches_changed():
    assert [TokenCount(100).at(step) for step in (1, 12)] == [100, 1200]
    assert TokenCount(400, steps_before=10, tokens_before=1000).at(12) == 1800
