"""Devices: time and money follow from FLOPs, and the assumed share of the peak from a published speed."""

import pytest
from core.errors import ConfigError
from core.planning import devices


def test_time_and_money_follow_from_flops():
    device = devices.device("a100-80gb")
    # 312e12 FLOP/s at half the peak over 1.56e9 FLOPs a token are 100,000 tokens/s on one, an hour for 360M tokens.
    row = devices.cost(device, devices=1, flops_per_token=1.56e9, tokens=360_000_000, mfu=0.5, price=2.0)
    assert row == {"tokens_per_second": pytest.approx(1e5), "hours": pytest.approx(1.0), "money": pytest.approx(2.0)}
    eight = devices.cost(device, devices=8, flops_per_token=1.56e9, tokens=360_000_000, mfu=0.5)
    assert eight["hours"] == pytest.approx(1 / 8)
    assert eight["money"] == pytest.approx(device.price)
    # An hour before it takes no token of it.
    before = devices.cost(
        device, devices=1, flops_per_token=1.56e9, tokens=360_000_000, mfu=0.5, flops_before=156e12 * 3600
    )
    assert before["hours"] == pytest.approx(2.0)
    assert before["tokens_per_second"] == row["tokens_per_second"]


def test_mobillamas_speed_is_the_share_of_the_peak_that_the_assumption_names():
    # 14,500 tokens/s on an A100, 1,195,900,928 executed parameters, 22 layers of width 2048, 2048 tokens; with all of
    # the attention matrix counted, as MobiLlama's authors would.
    flops = 6 * 1_195_900_928 + 12 * 22 * 2048 * 2048
    assert 14_500 * flops / devices.device("a100-80gb").peak_flops == pytest.approx(0.38, abs=0.01)


def test_an_unknown_device_gets_the_nearest_name():
    with pytest.raises(ConfigError, match=r"--device a100-80: unknown\. Did you mean 'a100-80gb'\? Devices: h100, "):
        devices.device("a100-80")
