"""The heat map of a task on a grid."""

from smallwright_report import evaluation


def row(**more):
    return {"task": "niah", "metric": "exact_match", "model": "base", "value": 0.5, "n": 4, **more}


GRID = {
    "across": "prompt in tokens",
    "down": "depth of the needle in %",
    "cells": [[512, 0, 1.0], [512, 50, 0.0], [1024, 0, 1.0], [1024, 50, 0.0]],
}


def test_a_task_on_a_grid_gets_a_heat_map_with_its_table(report):
    report["eval"] = [row(grid=GRID), row(task="other")]
    charts = [chart for block in evaluation.blocks(report) if block["kind"] == "charts" for chart in block["charts"]]
    assert [chart.title for chart in charts] == ["Tasks", "niah, base"]
    heat = charts[1]
    assert heat.spec["mark"]["type"] == "rect"
    (cells,) = heat.spec["datasets"].values()
    assert len(cells) == 4
    assert heat.spec["encoding"]["x"]["title"] == "prompt in tokens"
    assert "over all places 50%" in heat.about
    assert len(heat.table["rows"]) == 4


def test_metrics_that_are_shares_of_right_answers_are_among_the_tasks():
    shares = ["acc_norm", "exact_match,strict-match", "pass@10", "math_verify", "prompt_level_strict_acc"]
    assert all(evaluation._is_share(row(metric=metric)) for metric in shares)
    assert not any(evaluation._is_share(row(metric=metric)) for metric in ("score", "nonsense", "rouge_l"))
