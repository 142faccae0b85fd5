"""What is told of a post-training that cost the base model something."""

import pytest
from core import alignment


def rows(model, loss, accuracy):
    return [
        {"model": model, "task": "validation", "metric": "nats_per_token", "value": loss},
        {"model": model, "task": "lessons", "metric": "acc", "value": accuracy},
        {"model": model, "task": "lessons", "metric": "acc_norm", "value": 0.0},
    ]


@pytest.mark.parametrize(
    ("loss", "accuracy", "words"),
    [
        (1.2, 0.90, []),
        (1.37, 0.871, []),
        (1.71, 0.90, ["1.200 -> 1.710 nats per token (+43%)"]),
        (1.1, 0.86, ["lessons 90.0% -> 86.0%"]),
        (2.0, 0.10, ["(+67%)", "10.0%"]),
    ],
)
def test_losses_beyond_the_limits_are_told(loss, accuracy, words):
    lines = alignment.losses(rows("pretrain", 1.2, 0.9) + rows("dpo", loss, accuracy))
    assert len(lines) == len(words)
    for line, expected in zip(lines, words, strict=True):
        assert expected in line
    assert not lines or "learning_rate" in lines[-1]


def test_one_model_alone_has_lost_nothing():
    assert alignment.losses(rows("pretrain", 1.2, 0.9)) == []
    assert alignment.changes([]) == []
