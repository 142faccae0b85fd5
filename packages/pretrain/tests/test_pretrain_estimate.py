"""The loss on held-out text as an estimate: its mean, its error, and the shares of sources."""

import numpy as np
import pytest
from smallwright_pretrain.estimate import by_source, ratio


def test_the_loss_is_per_token_and_its_error_is_over_sequences():
    found = ratio(np.array([20.0, 60.0]), np.array([10.0, 20.0]))
    assert found.loss == pytest.approx(80 / 30)
    assert found.stderr == pytest.approx(np.sqrt(2 * 2 * (20 - 80 / 3) ** 2) / 30)
    assert ratio(np.array([20.0]), np.array([10.0])).stderr is None


def test_the_error_is_what_repeated_samples_show():
    generator = np.random.default_rng(0)
    samples = []
    for _ in range(400):
        tokens = generator.integers(5, 64, 200).astype(float)
        samples.append(ratio(tokens * generator.normal(3, 0.5, 200), tokens))
    spread = np.std([sample.loss for sample in samples])
    assert np.mean([sample.stderr for sample in samples]) == pytest.approx(spread, rel=0.1)


def test_sources_count_by_their_shares_and_not_by_what_was_held_out():
    sums, tokens = np.array([10.0, 12.0, 60.0, 64.0]), np.array([10.0, 10.0, 20.0, 20.0])
    whole, parts = by_source(sums, tokens, ["web", "web", "code", "code"], {"web": 0.75, "code": 0.25})
    assert {name: part.loss for name, part in parts.items()} == {"web": 1.1, "code": pytest.approx(3.1)}
    assert whole.loss == pytest.approx(0.75 * 1.1 + 0.25 * 3.1)
    assert whole.stderr == pytest.approx(np.hypot(0.75 * parts["web"].stderr, 0.25 * parts["code"].stderr))


def test_a_source_without_held_out_text_leaves_its_share_to_the_others():
    sums, tokens = np.array([10.0, 30.0]), np.array([10.0, 10.0])
    whole, _ = by_source(sums, tokens, ["web", "code"], {"web": 0.3, "code": 0.3, "books": 0.4})
    assert whole.loss == pytest.approx(2.0)
    assert whole.stderr is None
