"""One format for all numbers of a column, and words for the others."""

from smallwright_report import numbers, sureness


def column(values, **formats):
    return [row[0] for row in numbers.table(["x"], [[value] for value in values], formats=formats)["rows"]]


def test_a_column_has_one_number_of_decimals():
    assert column([1.23456, 2048.0, 0.5, None]) == ["1.23", "2,048.00", "0.50", ""]
    assert column([4e-05, 1.2e-05]) == ["0.000040", "0.000012"]
    assert column([1234567, 3]) == ["1,234,567", "3"]
    assert column([1, 0.25]) == ["1.000", "0.250"]
    assert column([0.881, None], x="percent") == ["88.1 %", ""]
    assert column([0.0004, 0.04, None], x="p") == ["< 0.001", "0.040", ""]
    assert column(["a", None]) == ["a", ""]


def test_intervals_are_those_of_the_rows_and_else_of_the_standard_error():
    assert sureness.interval({"value": 1.0, "stderr": None, "low": 0.9, "high": 1.0}) == "90.0 to 100.0 %"
    assert sureness.interval({"value": 0.99, "stderr": 0.02}) == "95.1 to 100.0 %"
    assert sureness.interval({"value": 0.99, "stderr": None}) == ""


def test_what_intervals_and_groups_rest_on_is_said():
    told = {"checked": "yes", "documents_removed": 7, "reason": "web: decontaminate removed 7 documents"}
    rows = [
        {"task": "a", "interval": "Wilson", "contamination": told},
        {"task": "b", "interval": "clustered", "clustered_by": "passage", "aggregated": "mean over tasks"},
        {"task": "c", "interval": "normal", "empty_answers": 3},
        {"task": "d", "metric": "judged", "value": 0.25},
        {"task": "e", "metric": "judged", "value": 1.0},
    ]
    assert sureness.cleaned(rows[0]) == "yes, 7 documents"
    said = " ".join(block["text"] for block in sureness.notes(rows))
    for part in ("none were right: a.", "their passage", "b: mean over tasks", "c: 3 answers were empty", "a: web"):
        assert part in said
    assert "d: partial, for a judge rated 25% alone" in said
    assert "e: partial" not in said
