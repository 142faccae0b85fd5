"""What a comparison says: one number of decimals for a row, and where items are too few."""

from pathlib import Path

import pytest
from core.compare import arguments, build, text
from core.local_files import import_file

made = import_file(Path(__file__).with_name("comparable.py"))


def test_items_too_few_for_any_significance_are_said(tmp_path):
    for name, extra in (("a", 0.0), ("b", 1.0)):
        samples, row = made.documents([200.0 + extra + n for n in range(4)])
        made.run(tmp_path / name, tmp_path / "store", name, {"pretrain": ([row], samples)})
    sides, notes = arguments.read([str(tmp_path / "a"), str(tmp_path / "b")], None)
    (nats,) = build.compare(sides, 0, notes, (), None)["tasks"]
    assert (nats["pairs"][0]["p"], nats["note"]) == (
        0.125,
        "4 items are too few for a p below 0.05, whatever they show",
    )


@pytest.mark.parametrize(
    ("values", "written"),
    [([5.93, 5.6227, None], (1, 3)), ([376.2, 5.0], (1, 1)), ([0.5, 0.25], (1, 4)), ([0.0], (1, 3))],
)
def test_all_scores_of_a_row_have_the_same_decimals(values, written):
    assert text.scale_of({"metric": "nats_per_token", "values": values}) == written
