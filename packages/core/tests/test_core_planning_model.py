"""What a plan says of a model and its training, where the trainer says no more than it must."""

import json

import pytest


def test_a_trainer_that_says_little_is_planned_all_the_same(call, toy):
    result = json.loads(call("plan", *toy, "--device", "h100", "--devices", "8", "--json").stdout)
    assert result["embedding_share"] == 1.0, "the toy has nothing but an embedding"
    assert result["kv_cache"] is None
    assert result["learning_rate"] is None
    (row,) = result["hardware"]
    assert (row["device"], row["devices"], row["fits"]) == ("h100", 8, True)
    assert row["tokens_per_second"] == pytest.approx(8 * 989e12 * 0.4 / result["flops_per_token"])
    shown = call("plan", *toy, "--device", "all", "--mfu", "0.5", "--price", "2.5").stdout
    assert "Assumed: 50% of the peak (--mfu), linear scaling, these prices (--price)" in shown
    assert "compute-optimal" in shown
    assert "do not give 20" in shown
