"""What is forgotten: which windows are measured, again and by how much their loss rose."""

import numpy as np
from smallwright_pretrain import forgetting
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.feed import Feed, FeedStage, SourceSize
from smallwright_pretrain.forgetting import ForgettingConfig
from smallwright_pretrain.forgetting_run import trained


def test_a_window_is_forgotten_when_its_loss_rose_by_more_than_the_margin():
    again = [["web", 1, 2.0, 2.5], ["web", 2, 2.0, 2.05], ["web", 3, 2.0, 1.45], ["code", 1, 1.0, 1.5]]
    found = forgetting.by_source(again, margin=0.1)
    assert found["web"]["forgotten"] == 1 / 3
    assert abs(found["web"]["rise"]) < 1e-9
    assert found["code"] == {"windows": 1, "forgotten": 1.0, "rise": 0.5}


def test_windows_of_the_same_length_are_measured_again_spread_over_the_training():
    lines = [
        {"seq_len": 16 if step < 8 else 32, "trained": [["web", step, float(step)], ["code", step, 0.5]]}
        for step in range(10)
    ]
    assert forgetting.earlier(lines, 16, 4) == [
        *(("web", step, float(step)) for step in (0, 2, 4, 6)),
        *(("code", step, 0.5) for step in (0, 2, 4, 6)),
    ]
    assert len(forgetting.earlier(lines, 32, 4)) == 4


def test_what_is_measured_was_trained_on_in_the_interval_and_rare_sources_are_met():
    sizes = [SourceSize(name="web", windows={16: 5000}), SourceSize(name="gems", windows={16: 50})]
    feed = Feed(sizes, [FeedStage(shares={"web": 0.99, "gems": 0.01}, seq_len=16, sequences=4000)], 1, [(1000, 1500)])
    found = trained(feed, 0, 800, 2500, 3)
    located = feed.locate(0, feed.kept(0, 800, 1200))
    seen = {(feed.names[source], int(window)) for source, window in zip(*located[::2], strict=True)}
    assert set(found) <= seen
    assert [name for name, _ in found] == ["web"] * 3 + ["gems"] * 3
    assert trained(feed, 0, 1000, 1500, 3) == [], "all of it was skipped"
    assert np.array_equal(trained(feed, 0, 800, 2500, 3), found)


def test_a_summary_says_the_last_measurement_of_each_corpus():
    one = {"step": 2, "again": [["web", 1, 2.0, 2.5]]}
    settings = ForgettingConfig(windows=4, margin=0.2)
    assert settings.fresh == 1
    assert forgetting.summary(settings, [one, {"step": 4, "again": [["web", 1, 2.0, 2.1]]}]) == {
        "forgetting": {
            "step": 4,
            "margin": 0.2,
            "by_source": {"web": {"windows": 1, "forgotten": 0.0, "rise": 0.10000000000000009}},
        }
    }
    assert forgetting.summary(settings, [{"step": 2, "again": []}]) == {}
    assert TorchTitanConfig().forgetting is None
