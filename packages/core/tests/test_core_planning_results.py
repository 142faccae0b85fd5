"""What the scores of shapes say, from files of scores, good and bad."""

import json

import pytest
from core.errors import InputError
from core.planning import results

COLUMNS = "depth,width,expansion,score\n"


def test_results_as_csv_and_json_give_the_same_correlations(tmp_path):
    shapes = [(9, 2560), (12, 2304), (15, 2304), (20, 1792), (28, 1536), (40, 1280)]
    rows = [{"depth": d, "width": w, "expansion": 2.5, "score": 40 + d / 10 - w / 1e4} for d, w in shapes]
    table, listed, grid = tmp_path / "scores.csv", tmp_path / "list.json", tmp_path / "grid.json"
    table.write_text(COLUMNS + "".join(",".join(map(str, row.values())) + "\n" for row in rows) + "9,1280,1,\n")
    listed.write_text(json.dumps(rows))
    grid.write_text(json.dumps({"budget": 1, "rows": [*rows, {"depth": 9, "width": 1280, "expansion": 1}]}))
    one = results.correlations(table)
    assert one == results.correlations(listed) == results.correlations(grid)
    assert one["rows"] == 6, "a row without a score is left out"
    assert one["spearman"]["depth"] == pytest.approx(1.0)
    assert -1 < one["spearman"]["width"] < -0.98, "two widths are equal"
    assert one["spearman"]["expansion"] is None
    shown = results.render(one)
    assert "0.528" in shown
    assert "-: the same in all rows" in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth,width,score\n" + "9,1280,1\n" * 4, "no column 'expansion'. Needed: depth, width, expansion, score"),
        (COLUMNS + "9,1280,1,2\n", "1 rows with a score; give at least 4"),
        (COLUMNS + "9,wide,1,2\n" * 4, "width='wide' is no number"),
        ("[1, 2]", "expected rows"),
        ("{", "cannot be read"),
        (None, "No such file"),
    ],
)
def test_results_that_cannot_be_used_name_the_fix(text, message, tmp_path):
    path = tmp_path / "scores"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        results.correlations(path)
