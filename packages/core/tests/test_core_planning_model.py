"""What a plan says of a model and its training, where the trainer says no more than it must."""

import json

import pytest
from core import plan
from core.errors import ConfigError, NotAtHand


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


def test_what_is_wrong_with_a_training_is_said_where_its_corpora_are_not_at_hand(registry, toy, monkeypatch):
    def composed(overrides, registry, *, at_hand=True, **_):
        raise NotAtHand("the hub cannot be reached.") if at_hand else ConfigError("pretrain.steps: wrong.")

    monkeypatch.setattr(plan.single, "composed", composed)
    with pytest.raises(ConfigError, match=r"^pretrain\.steps: wrong"):
        plan._planned(toy, registry)
    with pytest.raises(NotAtHand, match="the hub cannot be reached"):
        plan._planned([word for word in toy if not word.startswith("+arch")], registry)
