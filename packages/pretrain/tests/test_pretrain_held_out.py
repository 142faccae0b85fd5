"""Held-out text of several corpora in the shares of a mixture."""

import math

import pytest
from smallwright_pretrain.held_out import HeldOut
from smallwright_testing.tokens import write_tokens


def test_corpora_count_by_the_shares_of_the_validation_loss(tmp_path):
    write_tokens(tmp_path / "web", [[1] * 30], [[1] * 10], unigram_loss=4.0, validation_bytes=40)
    write_tokens(tmp_path / "code", [[1] * 10], [[1] * 10], unigram_loss=2.0, validation_bytes=20)
    write_tokens(tmp_path / "none", [[1] * 60], unigram_loss=9.0)
    tokens = {name: tmp_path / name for name in ("web", "code", "none")}
    assert HeldOut.of(tokens, None) == HeldOut(unigram_loss=3.5, bytes_per_token=3.5)
    half = HeldOut.of(tokens, {"web": 0.5, "code": {"share": 0.5, "view": "long"}})
    assert half == HeldOut(unigram_loss=3.0, bytes_per_token=3.0)
    assert half.bits_per_byte(math.log(2) * 6) == pytest.approx(2.0)
    assert half.bits_per_byte(None) is None
    assert HeldOut.of({"none": tmp_path / "none"}, None).bits_per_byte(1.0) is None
