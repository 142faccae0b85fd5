"""The rule about spikes: what it sees, what it does, and that it goes on from its own memory."""

import pytest
from smallwright_pretrain.spikes import SpikeConfig, SpikeWatch, notes

RULE = {"window": 4, "sigmas": 3.0}


def watch(action="skip", **settings):
    return SpikeWatch(SpikeConfig(action=action, **{**RULE, **settings}))


def see(rule, losses, grad_norm=1.0):
    return [found and found.action for found in (rule.see(loss=loss, grad_norm=grad_norm) for loss in losses)]


def test_a_value_far_above_the_last_ones_is_skipped_and_not_remembered():
    rule = watch()
    assert see(rule, [4.0, 4.1, 3.9, 4.0]) == [None] * 4
    assert see(rule, [9.0, 4.0, 9.0]) == ["skip", None, "skip"]


def test_nothing_is_judged_before_the_window_is_full_and_falls_are_no_spikes():
    assert see(watch(), [4.0, 40.0, 3.0, 5.0, 0.1]) == [None] * 5


@pytest.mark.parametrize(("watched", "found"), [("loss", None), ("grad_norm", "skip"), ("both", "skip")])
def test_only_what_is_watched_is_judged(watched, found):
    rule = watch(watch=watched)
    see(rule, [4.0, 4.1, 3.9, 4.0])
    assert see(rule, [4.0], grad_norm=5.0) == [found]


def test_patience_waits_for_so_many_in_a_row_and_halts():
    rule = watch("halt", patience=3)
    see(rule, [4.0, 4.1, 3.9, 4.0])
    assert see(rule, [9.0, 9.0, 4.0, 9.0, 9.0, 9.0]) == [None] * 5 + ["halt"]


def test_another_level_is_no_spike_and_halts():
    rule = watch(limit=2)
    see(rule, [4.0, 4.1, 3.9, 4.0])
    assert see(rule, [9.0, 9.0, 9.0]) == ["skip", "skip", "halt"]


def test_a_rule_goes_on_from_its_memory_as_if_it_had_not_been_ended():
    losses = [4.0, 4.1, 3.9, 4.0, 9.0, 4.05, 4.3, 9.0, 9.0, 9.0]
    alone = see(watch(limit=2), losses)
    for cut in range(len(losses)):
        first, second = watch(limit=2), watch(limit=2)
        before = see(first, losses[:cut])
        second.restore(first.state())
        assert before + see(second, losses[cut:]) == alone
    assert "halt" in alone


def test_a_verdict_says_what_was_seen_in_one_line():
    rule = SpikeConfig(action="halt", **RULE)
    one = SpikeWatch(rule)
    see(one, [4.0, 4.1, 3.9, 4.0])
    assert one.see(loss=9.0, grad_norm=1.0).line(12, rule) == (
        "step 12: the loss was 9, more than 3 standard deviations (0.071) above the mean of the last 4 steps (4)"
    )


def test_a_summary_says_which_steps_changed_no_weight():
    records = [{"step": step, "action": "skip"} for step in range(4, 16)] + [{"step": 99, "action": "halt"}]
    [said] = notes(records)
    assert said.startswith("pretrain.spikes: 12 steps changed no weight, for they were out of line: 4, 5, 6, ")
    assert said.endswith("12, 13 and more.")
    assert notes(records[-1:]) == notes([]) == []
