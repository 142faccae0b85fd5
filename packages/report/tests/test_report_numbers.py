"""One format for all numbers of a column, and words for the others."""

import pytest
from smallwright_report import evaluation, numbers


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


@pytest.mark.parametrize(
    ("value", "n", "expected"),
    [(0.25, 100, 0.5), (0.35, 100, 0.0105), (0.9, 10, 0.0000), (1.0, 208, 0.0)],
)
def test_p_against_chance(value, n, expected):
    row = {"value": value, "n": n, "chance": 0.25, "higher_is_better": True}
    assert evaluation.against_chance(row) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("change", [{"chance": None}, {"chance": 2048.0}, {"n": None}, {"higher_is_better": False}])
def test_no_p_where_chance_means_something_else(change):
    assert evaluation.against_chance({"value": 0.5, "n": 10, "chance": 0.25, **change}) is None
