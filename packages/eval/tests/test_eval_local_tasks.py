"""Data files of tasks from folders."""

import pytest
from smallwright_eval.local_tasks import as_patterns


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("set [1]/[v].jsonl", "set [[]1]/[[]v].jsonl"),
        ("set [1]/*.jsonl", "set [[]1]/*.jsonl"),
        ("plain.jsonl", "plain.jsonl"),
        ("no/such/[a]*.jsonl", "no/such/[a]*.jsonl"),
    ],
)
def test_data_files_that_exist_are_no_patterns(tmp_path, file, pattern):
    (tmp_path / "set [1]").mkdir()
    for name in ("set [1]/[v].jsonl", "plain.jsonl"):
        (tmp_path / name).write_text("{}")
    root = str(tmp_path)
    assert as_patterns({"test": [f"{root}/{file}"], "x": "hf://a/*"}) == {
        "test": [f"{root}/{pattern}"],
        "x": "hf://a/*",
    }
