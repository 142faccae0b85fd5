"""The line of a stage: what is done, what the stage says of it, the money so far, and how long the rest takes."""

import time

import pytest
from core.progress import ProgressBar, ProgressWriter


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Tell the line of events, each at its second, and return what is printed where there is no terminal."""

    def tell(*events, cost=None):
        clock = iter([0.0, 0.0])
        monkeypatch.setattr(time, "monotonic", lambda: next(clock))
        path = tmp_path / "progress"
        path.write_text("")
        bar = ProgressBar(path, "pretrain", cost)
        for second, event in events:
            monkeypatch.setattr(time, "monotonic", lambda second=second: second)
            writer = ProgressWriter(path)
            writer._last = -1.0
            writer(**event)
            bar.update()
        bar.close()
        return capsys.readouterr().err.splitlines()

    return tell


def event(done, **more):
    return {"done": done, "total": 100, "unit": "steps", "note": "loss 2.5", **more}


def test_what_is_left_follows_from_the_steps_of_this_process(told):
    lines = told((11.0, event(50)), (22.0, event(60)), (41.0, event(80)))
    assert lines == [
        "  pretrain: 50 of 100 steps loss 2.5",
        "  pretrain: 60 of 100 steps loss 2.5, 44.0 s left",
        "  pretrain: 80 of 100 steps loss 2.5, 20.0 s left",
    ]


def test_what_comes_before_the_total_is_known_is_no_part_of_the_speed(told):
    lines = told((5.0, event(0) | {"total": None}), (11.0, event(50)), (22.0, event(60)))
    assert lines[-1].endswith("44.0 s left"), lines


def test_the_money_so_far_is_said_of_a_device(told):
    asked = []

    def cost(device, count, seconds):
        asked.append((device, count, seconds))
        return "$1.00 of $2.00"

    lines = told((11.0, event(50)), (22.0, event(60, device="H100", count=8)), cost=cost)
    assert lines[-1] == "  pretrain: 60 of 100 steps loss 2.5, $1.00 of $2.00, 44.0 s left"
    assert asked == [("H100", 8, 22.0)]


def test_a_stage_that_knows_no_total_says_no_end(told):
    assert told((11.0, event(5, total=None)), (22.0, event(9, total=None)))[-1] == "  pretrain: 9 steps loss 2.5"
