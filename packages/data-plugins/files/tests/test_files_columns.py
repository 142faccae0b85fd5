"""Parquet, CSV and Arrow files, hub datasets and their folders."""

import gzip
import json
import os
import random
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core import typed
from core.data.steps import StepContext
from core.errors import ConfigError, InputError
from smallwright_files.config import ReadHubConfig, ReadParquetConfig
from smallwright_files.endings import kind_of
from smallwright_files.formats import READERS
from smallwright_files.read import ReadHub, ReadParquet
from smallwright_files.streams import open_storage


def run(step, files, world_size=1):
    step.bind(StepContext(label="read", position=0, seed=0, files=tuple(map(str, files))))
    documents, failed, received = [], {}, 0
    for rank in range(world_size):
        documents += step.run(None, rank, world_size)  # raises when the accounts do not hold
        received += step._ledger.received
        for reason, count in step._ledger.failed.items():
            failed[reason] = failed.get(reason, 0) + count
    return documents, failed, received


def parquet(files, world_size=1, **settings):
    return run(ReadParquet(ReadParquetConfig(**settings)), files, world_size)


def table(count=500):
    rng = random.Random(0)
    return pa.table(
        {
            "content": [rng.randbytes(60).hex() for _ in range(count)],
            "id": list(range(count)),
            "meta": [{"url": f"http://x.example/{i}", "n": i} for i in range(count)],
            "when": pa.array([1_700_000_000] * count, pa.timestamp("s")),
            "blob": [b"\x00\xff"] * count,
        }
    )


def test_parquet_by_column_names(tmp_path):
    pq.write_table(table(), tmp_path / "rows.parquet", row_group_size=100)
    documents, failed, received = parquet([tmp_path / "rows.parquet"], text="content", url="meta.url")
    assert (failed, received) == ({}, 500)
    assert documents[123].id == "123"
    assert documents[123].text == table()["content"][123].as_py()
    assert documents[123].metadata == {
        "url": "http://x.example/123",
        "meta": {"n": 123},
        "when": "2023-11-14T22:13:20",
        "blob": "AP8=",
        "file": "rows.parquet",
        "row": 123,
    }
    json.dumps(documents[123].metadata)
    few, _, _ = parquet([tmp_path / "rows.parquet"], text="content", metadata=("when",), url=None)
    assert set(few[0].metadata) == {"when", "file", "row"}
    shared, _, _ = parquet([tmp_path / "rows.parquet"], world_size=7, text="content", url="meta.url")
    assert sorted((d.id, d.text) for d in shared) == sorted((d.id, d.text) for d in documents)


def test_a_column_that_is_not_there_is_named(tmp_path):
    pq.write_table(table(5), tmp_path / "rows.parquet")
    with pytest.raises(InputError, match=r"text=text: .*rows.parquet has no such column. Its columns: content, id"):
        parquet([tmp_path / "rows.parquet"])


def test_references_need_no_text_column(tmp_path):
    pq.write_table(pa.table({"blob_id": ["ab", "cd"]}), tmp_path / "rows.parquet")
    documents, failed, _ = parquet([tmp_path / "rows.parquet"], without_text="keep")
    assert ([(d.text, d.metadata["blob_id"]) for d in documents], failed) == ([("", "ab"), ("", "cd")], {})


def test_the_name_of_a_folder_does_not_make_commas_tabs(tmp_path):
    path = tmp_path / "old.tsv" / "rows.csv"
    path.parent.mkdir()
    path.write_bytes(b"text,n\r\na,1\r\n")
    with open_storage(str(path)) as storage:
        (row,) = READERS[kind_of(str(path))](storage, ReadParquetConfig(), lambda number: True, str(path))
    assert row.values == {"text": "a", "n": "1"}


def test_lines_of_csv_that_are_not_utf_8_are_set_aside(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"text,n\n" + "naïve\n".encode()[:-1] + b",1\ncaf\xe9,2\nplain,3\n")
    with open_storage(str(path)) as storage:
        rows = list(READERS[".csv"](storage, ReadParquetConfig(), lambda number: True, str(path)))
    assert [row.values and row.values["text"] for row in rows] == ["naïve", None, "plain"]
    assert (rows[1].problem, rows[1].raw) == ("not UTF-8", b"caf\xe9,2")


def test_rows_without_text_or_too_long(tmp_path):
    pq.write_table(pa.table({"text": ["a", None, "", "x" * 100]}), tmp_path / "rows.parquet")
    documents, failed, _ = parquet([tmp_path / "rows.parquet"], max_row_bytes=50)
    assert ([d.text for d in documents], failed) == (["a"], {"no text": 2, "too long": 1})


@pytest.mark.slow
def test_damaged_parquet_accounts_for_every_row_it_announces(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(table(), path, row_group_size=100, compression="zstd")
    whole = path.read_bytes()
    rng = random.Random(2)
    partly = 0
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(3):
            data[rng.randrange(4, len(data) * 9 // 10)] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(data))
        documents, failed, received = parquet([path], text="content")
        assert received == 500 == len(documents) + sum(failed.values())
        partly += 0 < len(documents) < 500
    assert partly > 10
    path.write_bytes(whole[:-10])
    assert parquet([path], text="content")[1:] == ({"broken Parquet": 1}, 1)


@pytest.fixture
def dataset(tmp_path):
    """A folder as the hub lays datasets out, with four kinds of files."""
    root = tmp_path / "toy"
    for folder in ("data", "lines", "table", "arrow", "pictures"):
        (root / folder).mkdir(parents=True)
    for i in range(2):
        pq.write_table(pa.table({"text": [f"a{i}", f"b{i}"]}), root / f"data/train-{i:05d}-of-00002.parquet")
    pq.write_table(pa.table({"text": ["held out"]}), root / "data/test-00000-of-00001.parquet")
    (root / "lines/x.jsonl.gz").write_bytes(gzip.compress(b'{"text": "line"}\n' * 2))
    (root / "table/x.csv").write_text('text,n\n"two\nlines",1\nplain,2\nwrong\n')
    rows = pa.table({"text": ["arrow", "head"]})
    with pa.OSFile(str(root / "arrow/x.arrow"), "wb") as file, pa.ipc.new_stream(file, rows.schema) as writer:
        writer.write_table(rows)
    (root / "pictures/x.png").write_bytes(b"png")
    configs = "".join(
        f"- config_name: {name}\n  data_files: {name}/*\n" for name in ("lines", "table", "arrow", "pictures")
    )
    (root / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n"
        f"  - split: test\n    path: data/test-*\n{configs}---\n"
    )
    return root


def hub(dataset, **settings):
    config = typed.build(ReadHubConfig, {"dataset": dataset and str(dataset), **settings}, "data.steps.read")
    return run(ReadHub(config), config.inputs())


def test_a_folder_is_read_by_configuration_and_split(dataset):
    pytest.importorskip("datasets", reason="the extra 'hub'")
    documents, failed, _ = hub(dataset)
    assert ([d.text for d in documents], failed) == (["a0", "b0", "a1", "b1"], {})
    assert documents[0].id == "train-00000-of-00002.parquet:0"
    assert documents[0].metadata["dataset"] == "toy"
    assert [d.text for d in hub(dataset, split="test")[0]] == ["held out"]
    assert [d.text for d in hub(dataset, name="lines")[0]] == ["line", "line"]
    documents, failed, _ = hub(dataset, name="table")
    assert ([d.text for d in documents], failed) == (["two\nlines", "plain"], {"wrong number of fields": 1})
    assert documents[1].metadata["n"] == "2"
    assert [d.text for d in hub(dataset, name="arrow")[0]] == ["arrow", "head"]


def test_signs_in_the_name_of_a_folder_are_no_pattern(dataset):
    pytest.importorskip("datasets", reason="the extra 'hub'")
    moved = dataset.rename(dataset.parent / "toy [v1] *?")
    documents, failed, _ = hub(moved)
    assert ([d.text for d in documents], failed) == (["a0", "b0", "a1", "b1"], {})
    assert documents[0].metadata["dataset"] == moved.name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "tables"}, "no configuration 'tables'. Available: .*'default'"),
        ({"split": "tain"}, "has no such split. Did you mean 'train'[?] Its splits: train, test"),
        ({"name": "pictures"}, r"files are of a kind .*\(.png\); read_hub reads JSONL, Parquet, CSV and Arrow"),
        ({"dataset": "./nowhere"}, "no such folder, and no hub id"),
        ({"dataset": None}, "Name the dataset: data.steps.read.dataset="),
    ],
)
def test_what_cannot_be_read_is_said(dataset, settings, message):
    pytest.importorskip("datasets", reason="the extra 'hub'")
    with pytest.raises((InputError, ConfigError), match=message):
        hub(settings.pop("dataset", dataset), **settings)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        (
            {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"},
            "http://127.0.0.1:9 cannot be reached (",
        ),
    ],
)
@pytest.mark.slow
def test_no_hub_is_one_line_at_once(tmp_path, environment, said):
    pytest.importorskip("datasets", reason="the extra 'hub'")
    ended = subprocess.run(
        [sys.executable, "-m", "core.run", "+data=hub", "data.steps.read.dataset=owner/name"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def write_stream(table, path):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=64)


def write_file(table, path):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=64)


def write_csv(table, path):
    rows = "".join(f'"line {i}\n""quoted""",{i}\n' for i in range(table.num_rows))
    path.write_text("content,id\n" + rows)


def write_array(table, path):
    path.write_text(json.dumps([{"content": f"text {i}", "n": [i, {"a": i}]} for i in range(table.num_rows)]))


@pytest.mark.parametrize(
    ("name", "write"),
    [("s.arrow", write_stream), ("f.arrow", write_file), ("c.csv", write_csv), ("a.json", write_array)],
)
def test_random_damage_never_breaks_the_accounts(tmp_path, name, write):
    path = tmp_path / name
    write(table(200), path)
    whole = path.read_bytes()
    rng = random.Random(3)
    kept = 0
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(bytes(data))
        config = ReadHubConfig(dataset="x", text="content", without_text="keep")  # the column's name may be hit
        documents, failed, received = run(ReadHub(config), [path])
        assert received == len(documents) + sum(failed.values())
        kept += len(documents)
    assert kept > 500
