"""The files with a line for each logged step, as kills and full disks leave them."""

import pytest
from smallwright_pretrain.records import append, read_records


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
