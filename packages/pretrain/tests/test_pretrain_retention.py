"""Which checkpoints stay."""

import pytest
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
    assert rule.stale(range(1, 13), 2, tokens) == [step for step in range(1, 11) if step not in kept]
    assert rule.stale(range(1, 13), 0, tokens) == []
