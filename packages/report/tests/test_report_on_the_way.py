"""The scores of a model while it was trained, as the page of a run has them."""

import copy

import pytest
from smallwright_report import on_the_way, run_page


def row(step, value, metric="acc"):
    return {"step": step, "tokens": 10 * step, "task": "words", "metric": metric, "value": value, "stderr": 0.1,
            "chance": 0.25, "n": 8}  # fmt: skip


FOUND = {
    "scores": [row(2, 0.25), row(2, 0.5, "acc_norm"), row(4, 0.5), row(4, 0.75, "acc_norm")],
    "done": [2, 4], "left_out": [3], "failed": [{"step": 6, "reason": "no <b>room</b>"}],
    "held_seconds": 0.1, "held_seconds_at_most": 0.1, "waited_seconds": 0.0,
}  # fmt: skip


def test_a_task_has_a_chart_over_tokens_with_errors_and_chance_that_the_final_evaluation_ends():
    final = {"task": "words", "metric": "acc", "value": 0.75, "stderr": 0.1, "chance": 0.25, "n": 8}
    other = {**final, "metric": "acc_norm", "n": 800}  # of other items: no point of this curve
    title, charts, table, failed = on_the_way.blocks({"tokens": 80, "evaluations": FOUND}, [final, other])
    (chart,) = charts["charts"]
    assert "ends at 0.75, and chance is 0.25" in chart.about
    band, line, points, rule, name = chart.spec["layer"]
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    assert line["encoding"]["x"]["field"] == points["encoding"]["x"]["field"] == "tokens"
    assert rule["encoding"]["y"]["field"] == name["encoding"]["y"]["field"] == "value"
    cells = [row[2:5] for row in chart.table["rows"]]
    assert cells == [["20", "2", "0.250"], ["40", "4", "0.500"], ["80", "end", "0.750"]]
    assert len(table["table"]["rows"]) == 5
    assert failed["text"] == "The evaluation of step 6 failed: no <b>room</b>"
    assert title["text"] == "Scores on the way"


@pytest.mark.slow
def test_a_page_shows_them_and_one_without_has_no_such_part(report):
    assert on_the_way.blocks({"tokens": 80}, []) == []
    assert "Scores on the way" not in run_page.render(report)
    shown = copy.deepcopy(report)
    shown["pretrain"]["evaluations"] = FOUND
    page = run_page.render(shown)
    assert "Scores on the way" in page
    assert "no &lt;b&gt;room&lt;/b&gt;" in page
