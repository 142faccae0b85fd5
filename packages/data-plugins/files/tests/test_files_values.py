"""What a row has is kept as it is, or set aside under its name: texts in bytes, times, large numbers, own fields."""

import decimal
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core import graph
from core.compose import compose
from core.data.steps import StepContext
from core.discovery import load
from core.errors import InputError
from smallwright_files.config import ReadJsonlConfig, ReadParquetConfig, RowsConfig
from smallwright_files.listing import artifact_files
from smallwright_files.read import ReadJsonl, ReadParquet
from smallwright_files.rows import Row, to_document

KOREAN = "우리 회사는 서울에 있으며 매년 새로운 제품을 만들고 있습니다. 펲시"


def run(step, *files):
    step.bind(StepContext(label="read", position=0, seed=0, files=tuple(map(str, files))))
    documents = list(step.run(None))  # raises when the accounts do not hold
    return documents, step._ledger.to_dict()


def parquet(path, columns, **settings):
    pq.write_table(pa.table(columns), path)
    return run(ReadParquet(ReadParquetConfig(**settings)), path)


def jsonl(path, *lines, **settings):
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return run(ReadJsonl(ReadJsonlConfig(**settings)), path)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(11)])
def test_texts_in_columns_of_bytes_are_read(tmp_path, kind):
    texts = ["naïve cafe".encode(), b"hello world", b"\xff\xfe caf\xe9 ab"[:11].ljust(11)]
    columns = {"text": pa.array(texts, kind), "id": [b"a", b"b", b"c"], "url": [b"http://a/", None, None]}
    documents, ledger = parquet(tmp_path / "x.parquet", columns)
    assert [(document.id, document.text) for document in documents] == [("a", "naïve cafe"), ("b", "hello world")]
    assert documents[0].metadata["url"] == "http://a/"
    assert ledger["failed"] == {"not UTF-8": 1}
    assert parquet(tmp_path / "x.parquet", columns, max_row_bytes=16)[1]["failed"] == {"not UTF-8": 1}


def test_pages_in_columns_of_bytes_are_decoded_as_they_declare(tmp_path):
    pages = [b"<meta charset=euc-kr><p>" + KOREAN.encode("cp949"), "<p>é".encode("utf-16"), "\ufeff<p>é".encode()]
    documents, ledger = parquet(tmp_path / "x.parquet", {"html": pages}, text="html")
    assert [document.text.partition("<p>")[2] for document in documents] == [KOREAN, "é", "é"]
    assert ledger["failed"] == {}


def test_times_and_bytes_go_to_the_metadata(tmp_path):
    moment = 1_700_000_000_123_456_789
    columns = {
        "text": ["x"],
        "at": pa.array([moment], pa.timestamp("ns")),
        "whole": pa.array([moment // 10**9 * 10**9], pa.timestamp("ns")),
        "there": pa.array([moment], pa.timestamp("ns", "Asia/Seoul")),
        "clock": pa.array([3_600_000_000_001], pa.time64("ns")),
        "took": pa.array([1_500_000_000], pa.duration("ns")),
        "nested": pa.array([{"list": [moment, None]}], pa.struct({"list": pa.list_(pa.timestamp("ns"))})),
        "seconds": pa.array([1_700_000_000], pa.timestamp("s")),
        "name": [b"bytes of text"],
        "blob": [b"\x00\xff"],
        "inside": [{"blob": b"\xff"}],
        "decimal": pa.array([decimal.Decimal("12345678901234567890.5")]),
    }
    (document,), ledger = parquet(tmp_path / "x.parquet", columns)
    assert document.metadata == {
        "at": "2023-11-14T22:13:20.123456789",
        "whole": "2023-11-14T22:13:20",
        "there": "2023-11-14T22:13:20.123456789+00:00",
        "clock": "01:00:00.000000001",
        "took": 1.5,
        "nested": {"list": ["2023-11-14T22:13:20.123456789", None]},
        "seconds": "2023-11-14T22:13:20",
        "name": "bytes of text",
        "blob": "AP8=",
        "inside": {"blob": "/w=="},
        "decimal": "12345678901234567890.5",
        "file": "x.parquet",
        "row": 0,
    }
    json.dumps(document.metadata)
    assert ledger["tables"] == {}


def test_a_value_that_nothing_can_hold_is_named_and_the_row_stays(tmp_path):
    late = pa.array([10**14, 10**9, None], pa.timestamp("s"))
    documents, ledger = parquet(tmp_path / "x.parquet", {"text": ["a", "b", "c"], "late": late})
    assert [document.metadata.get("left_out") for document in documents] == [["late"], None, None]
    assert documents[1].metadata["late"] == "2001-09-09T01:46:40"
    assert ledger["tables"] == {"fields left out for their kind": {"late": 1, "rows": 1}}
    letters = pa.array([b"good", b"\xff"], pa.binary()).view(pa.string())
    documents, ledger = parquet(tmp_path / "x.parquet", {"text": ["a", "b"], "tag": letters, "id": letters})
    assert [document.id for document in documents] == ["good", "x.parquet:1"]
    assert [document.metadata.get("left_out") for document in documents] == [None, ["tag", "id"]]
    big = {"text": ["a"], "big": ["y" * 500]}
    _, ledger = parquet(tmp_path / "x.parquet", big, max_metadata_bytes=100)
    assert ledger["tables"] == {"fields left out for their size": {"big": 1, "rows": 1}}


def test_integers_of_any_size_keep_their_digits(tmp_path):
    large, larger = 2**64, -(10**40)
    row = {"text": "x", "id": large, "n": larger, "u": 2**64 - 1, "deep": {"n": [large]}, "f": 1e300, "small": 7}
    (document,), _ = jsonl(tmp_path / "x.jsonl", json.dumps(row).encode())
    assert document.id == str(large)
    expected = {"n": larger, "u": 2**64 - 1, "deep": {"n": [large]}, "f": 1e300, "small": 7}
    assert {key: document.metadata[key] for key in expected} == expected
    (document,), _ = jsonl(tmp_path / "x.jsonl", b'{"text": "x", "n": [1.0, NaN, 12345678901234567890123]}')
    assert document.metadata["n"] == [1.0, None, 12345678901234567890123]


def test_a_rows_own_fields_are_not_overwritten(tmp_path):
    row = {"text": "x", "file": "mine.py", "row": 9, "left_out": "?", "url": "http://own/", "link": "http://link/"}
    (document,), _ = jsonl(tmp_path / "x.jsonl", json.dumps(row).encode(), url="link")
    assert document.metadata == {
        "url": "http://link/",
        "original_file": "mine.py",
        "original_row": 9,
        "original_left_out": "?",
        "original_url": "http://own/",
        "file": "x.jsonl",
        "row": 0,
    }
    values = {"text": "x", "dataset": "own", "original_dataset": "older", "id": [1], "url": ["a"]}
    document, problem = to_document(Row(3, values), "f", RowsConfig(), {"dataset": "hub"})
    assert problem is None
    assert document.id == "f:3"
    expected = {"dataset": "hub", "original_dataset": "older", "original_original_dataset": "own", "id": [1]}
    assert {key: document.metadata[key] for key in expected} == expected
    assert document.metadata["original_url"] == ["a"]


@pytest.mark.parametrize(
    ("given", "identity"),
    [(7.0, "7"), (float("nan"), "f:0"), ("", "f:0"), (b"k", "k"), (2**70, str(2**70)), (None, "f:0")],
)
def test_ids_of_other_kinds_are_ids(given, identity):
    assert to_document(Row(0, {"text": "x", "id": given}), "f", RowsConfig(), {})[0].id == identity


def test_a_text_in_another_field_is_said_before_any_work(tmp_path):
    rows = [{"title": "short", "content": f"a long text, number {n}", "meta": {"note": "x"}} for n in range(5)]
    lines = [json.dumps(row).encode() for row in rows]
    said = (
        r"^data\.steps\.read\.text=text: the rows of .*x\.jsonl have no such field\. Their fields: title, content, "
        r"meta\.note\. Name the field of the text, such as data\.steps\.read\.text=content\.$"
    )
    with pytest.raises(InputError, match=said):
        jsonl(tmp_path / "x.jsonl", b"not JSON", *lines)
    assert len(jsonl(tmp_path / "x.jsonl", *lines, b'{"text": "here"}')[0]) == 1
    assert len(jsonl(tmp_path / "x.jsonl", *lines, text="meta.note")[0]) == 5
    assert len(jsonl(tmp_path / "x.jsonl", *lines, without_text="keep")[0]) == 5
    assert jsonl(tmp_path / "x.jsonl", b"not JSON")[1]["failed"] == {"invalid JSON": 1}
    with pytest.raises(InputError, match=r"data\.steps\.read\.text=text: .* Its columns: content"):
        parquet(tmp_path / "x.parquet", {"content": ["x"]})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_text_in_another_field_is_said_while_planning(tmp_path, kind):
    rows = [{"title": "short", "content": "a long text"}] * 3
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    registry, read = load(), "data.jsonl.steps.read"
    given = ["+data=[jsonl,fineweb]", f"data.jsonl.paths=[{tmp_path}/x.{kind}]", f"{read}.use=read_{kind}"]
    with pytest.raises(InputError, match=rf"^{read}\.text=text: .*x\.{kind} ha.* title, content"):
        graph.build(compose(given, registry), registry)
    assert graph.build(compose([*given, f"{read}.text=content"], registry), registry)


def test_a_file_with_two_colons_in_its_name_is_read(tmp_path):
    (tmp_path / "a::b").mkdir()
    assert jsonl(tmp_path / "a::b" / "x::y.jsonl", b'{"text": "here"}')[0][0].text == "here"
    assert parquet(tmp_path / "a::b" / "x::y.parquet", {"text": ["here"]})[0][0].text == "here"


def test_zstd_with_frames_to_be_skipped_is_read(tmp_path):
    def zstd(data: bytes) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()

    skip = b"\x50\x2a\x4d\x18\x04\0\0\0size"
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(skip + zstd(b'{"text": "a"}\n{"te') + skip + skip + zstd(b'xt": "b"}\n') + skip)
    documents, ledger = run(ReadJsonl(ReadJsonlConfig()), path)
    assert [document.text for document in documents] == ["a", "b"]
    assert ledger["failed"] == {}


def test_files_and_folders_with_signs_in_their_names_are_read(tmp_path):
    folder = tmp_path / "set [2024]" / "documents"
    folder.mkdir(parents=True)
    path = folder / "[v]*?.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a"}\n'))
    assert [document.id for document in run(ReadJsonl(ReadJsonlConfig()), path)[0]] == ["[v]*?.jsonl.gz:0"]
    pq.write_table(pa.table({"text": ["x"]}), folder / "00000.parquet")
    assert artifact_files(str(tmp_path / "set [2024]"), "documents") == (str(folder / "00000.parquet"),)


def damaged(folder, kind):
    """Write a whole file and a damaged one; the damaged one is first."""
    rows = [{"text": f"text {number} of many"} for number in range(200)]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "b.parquet")
        (folder / "a.parquet").write_bytes((folder / "b.parquet").read_bytes()[:-9])
        return ReadParquetConfig(), folder / "a.parquet", folder / "b.parquet", "broken Parquet: "
    content = gzip.compress("\n".join(map(json.dumps, rows)).encode())
    (folder / "b.jsonl.gz").write_bytes(content)
    (folder / "a.jsonl.gz").write_bytes(content[:40] + bytes(byte ^ 255 for byte in content[40:60]) + content[60:])
    return ReadJsonlConfig(), folder / "a.jsonl.gz", folder / "b.jsonl.gz", "corrupt compressed stream: "


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_damaged_file_is_named_while_planning_and_refused_where_none_is_whole(tmp_path, capsys, kind):
    config, bad, good, reason = damaged(tmp_path, kind)
    for _ in range(2):  # as the runs of a sweep
        config.check_files([str(bad), str(good)], "data.steps.read")
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {bad} is damaged ({reason}")
    assert said.count("\n") == 1
    with pytest.raises(InputError) as refused:
        config.check_files([str(bad)], "data.steps.read")
    assert str(refused.value).startswith(f"data.steps.read: {bad} is damaged ({reason}")
    assert str(refused.value).endswith("there is nothing to read. Give other files.")
