"""The files with a line for each logged step, as kills and full disks leave them."""

import pytest
from core import curves
from smallwright_pretrain.distilled import PARTS
from smallwright_pretrain.records import KEYS, append, read_records


@pytest.mark.parametrize(
    "damage",
    [b'{"step": 2, "lo', b"\xff\xfe\x00\n", b"5\n", b'"text"\n', b'{"loss": 1}\n', b'{"step": "2"}\n', b"\n", b""],
)
def test_what_is_no_record_is_left_out_and_takes_no_other_with_it(tmp_path, damage):
    path = tmp_path / "records.jsonl"
    append(path, {"step": 1})
    path.write_bytes(path.read_bytes() + damage)
    append(path, {"step": 3})
    assert read_records(path) == [{"step": 1}, {"step": 3}]


def test_every_curve_that_a_training_writes_has_a_name_in_the_report():
    """That nothing else is written is held by the trainings of this package's tests, see ``one_rank_here``."""
    assert {key for key in KEYS if key not in curves.NAMES and key not in curves.NOT_SHOWN} == set()
    assert set(PARTS.values()) <= set(KEYS)
    assert curves.name_of("ce") == ("cross-entropy with the text", "nats per token")
    assert curves.name_of("forgotten_windows_by_corpus.web")[0] == "share of windows that are forgotten, by corpus"
