"""How rows come out of files, and what planning says of a file that nothing can be learned from."""

import gzip
import json

import pytest
from core.errors import ConfigError, InputError
from smallwright_posttrain import dataset
from smallwright_posttrain.config import DpoConfig, SftConfig
from smallwright_posttrain.files import read_rows
from smallwright_posttrain.forms import chat_row, preference_row
from smallwright_posttrain.rows import BadRow

ROWS = [{"prompt": "Überall?", "completion": "Ja."}, {"prompt": "\u2028 q", "completion": "a"}]
COMPACT = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)


def rows_of(path):
    return [value if isinstance(value, dict) else str(value) for _, value in read_rows(path, "dataset")]


@pytest.mark.parametrize(
    "content",
    [
        COMPACT + "\n",
        COMPACT.replace("\n", "\r\n\r\n"),
        "\ufeff" + COMPACT,
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2, ensure_ascii=False),
        "\ufeff\n" + json.dumps(ROWS, indent=2),
        "\n".join(json.dumps(row, indent=1) for row in ROWS),
        json.dumps({"data": ROWS}),
        json.dumps({"version": 1, "train": ROWS}, indent=4),
    ],
    ids=["lines", "crlf", "bom", "array", "indented", "bom-array", "objects", "inside", "inside-indented"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_rows_are_the_same_in_every_layout(tmp_path, content, pack):
    path = tmp_path / "set.json"
    path.write_bytes(pack(content.encode()))
    assert rows_of(path) == ROWS


def test_parquet_is_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "set.parquet")
    assert rows_of(tmp_path / "set.parquet") == ROWS


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.csv", b'prompt,completion\r\n"a, ""b""\nc",d\r\n\r\n e ,\r\n',
         [{"prompt": 'a, "b"\nc', "completion": "d"}, {"prompt": " e ", "completion": None}]),
        ("a.tsv", b"\xef\xbb\xbfprompt\tcompletion\na, b\tc\n", [{"prompt": "a, b", "completion": "c"}]),
        ("a.csv", b"prompt;completion\na;b, c\n", [{"prompt": "a", "completion": "b, c"}]),
        ("a.csv", b',messages\n0,"[{""role"": ""user"", ""content"": ""q""}]"\n',
         [{"messages": [{"role": "user", "content": "q"}]}]),
        ("a.csv", b"messages\n\"[{'role': 'user', 'content': 'q'}\n {'role': 'assistant', 'content': 'a}\\n{'}]\"\n",
         [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a}\n{"}]}]),
        ("a.csv", b"completion\n\"[{'a': 1}]\"\n", [{"completion": "[{'a': 1}]"}]),
        ("a.csv", b"prompt,completion\na\nb,c,d\n\"e\" f,g\n\xe9,h\ni,j\n",
         ["not as many cells as the first line names"] * 2
         + ["not comma-separated: text stands beside a quoted cell", "not UTF-8: convert the file to UTF-8",
            {"prompt": "i", "completion": "j"}]),
        ("a.csv", b'prompt,completion\na,b\nc,"d\ne,f\n',
         [{"prompt": "a", "completion": "b"}, "a quote that is not closed: nothing behind it can be read"]),
        ("a.csv", b"prompt,completion\n", []),
        ("a.tsv", b"", []),
    ],
)  # fmt: skip
def test_tables_are_read(tmp_path, name, content, rows, pack):
    path = tmp_path / (name if pack is bytes else f"{name}.gz")
    path.write_bytes(pack(content))
    assert rows_of(path) == rows


def test_a_cell_of_a_table_can_be_as_long_as_a_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,completion\nq," + "x" * 200_000 + "\n")
    assert len(rows_of(path)[0]["completion"]) == 200_000


def test_a_long_array_is_read_in_pieces(tmp_path):
    rows = [{"prompt": "x" * (7919 * n % 200_000), "completion": str(n)} for n in range(12)]
    (tmp_path / "set.json").write_text(json.dumps(rows))
    assert rows_of(tmp_path / "set.json") == rows


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'{not json\n{"a": 1}\n', ["not valid JSON", {"a": 1}]),
        (b'{"a": 1}\n[1, 2]\n3\n', [{"a": 1}, "not a JSON object", "not a JSON object"]),
        (b'[{"role": "user", "content": "q"}]\n[{"role": "user", "content": "r"}]\n',
         [{"messages": [{"role": "user", "content": text}]} for text in "qr"]),
        (b'{"a": "\xe9"}\n{"a": 1}\n', ["not UTF-8: convert the file to UTF-8", {"a": 1}]),
        (b'[{"a": "\xe9"}, {"a": 1}]', ["not UTF-8: convert the file to UTF-8", {"a": 1}]),
        (b'[{"a": 1}, {"a": 2', [{"a": 1}, "not valid JSON from here to the end of the file"]),
        (b'[{"a": 1}, {"a": NaN}, {"a": 2}]', [{"a": 1}, {"a": pytest.approx(float("nan"), nan_ok=True)}, {"a": 2}]),
        (b'{"a": 1},\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (b'{"data": ["q", "a"]}\n', [{"data": ["q", "a"]}]),
        (b'{"data": [{"role": "user"}]}\n', [{"data": [{"role": "user"}]}]),
        (b"", []),
        (b"[]", []),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_bad_row_and_the_rest_is_read(tmp_path, content, rows):
    path = tmp_path / "set.jsonl"
    path.write_bytes(content)
    assert rows_of(path) == rows


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_text_that_is_not_utf_8_is_called_that(tmp_path, encoding):
    path = tmp_path / "set.jsonl"
    path.write_bytes(COMPACT.encode(encoding))
    with pytest.raises(InputError, match="not UTF-8"):
        rows_of(path)


def test_a_cut_gzip_file_is_named(tmp_path):
    path = tmp_path / "set.jsonl.gz"
    path.write_bytes(gzip.compress(COMPACT.encode() * 100)[:60])
    with pytest.raises(InputError, match="cannot be read"):
        rows_of(path)


@pytest.mark.parametrize(
    ("rows", "config", "reader", "message"),
    [
        ([{"vraag": "q", "antwoord": "a"}], SftConfig, chat_row,
         r"no form that is known.*Its columns: vraag, antwoord\. Read are: messages.*columns=\{prompt"),
        ([{"prompt": "q", "chosen": "a", "rejected": "b"}], SftConfig, chat_row, "which dpo learns from"),
        ([{"messages": []}], DpoConfig, preference_row, r"Its columns: messages\. Read are: prompt, chosen"),
        ([], SftConfig, chat_row, "the set is empty"),
    ],
)  # fmt: skip
def test_planning_refuses_a_set_without_a_row_that_is_read(tmp_path, rows, config, reader, message):
    path = tmp_path / "set.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(InputError, match=rf"^posttrain\.x\.dataset={path}: .*{message}"):
        dataset.check(config(dataset=str(path)), "posttrain.x", reader)


def test_planning_refuses_a_latin_1_file_as_not_utf_8(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text(COMPACT.splitlines()[0] + "\n", encoding="latin-1")
    with pytest.raises(InputError, match="not UTF-8"):
        dataset.check(SftConfig(dataset=str(path)), "posttrain.sft", chat_row)


def test_planning_takes_a_set_with_one_row_that_is_read(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text("{bad\n" * 50 + COMPACT)
    dataset.check(SftConfig(dataset=str(path)), "posttrain.sft", chat_row)


def test_planning_names_a_column_that_is_not_there(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps({"vraag": "q", "antwoord": "a"}))
    config = SftConfig(dataset=str(path), columns={"prompt": "vrag", "completion": "antwoord"})
    with pytest.raises(ConfigError, match=r"columns\.prompt=vrag: .*Did you mean 'vraag'\? Columns there: vraag, antw"):
        dataset.check(config, "posttrain.sft", chat_row)


def test_folders_and_missing_files_are_named(tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    for name, message in (("no.jsonl", "there is no such file"), ("folder.jsonl", "a folder")):
        with pytest.raises(InputError, match=message):
            dataset.check(SftConfig(dataset=str(tmp_path / name)), "posttrain.sft", chat_row)


def test_bad_rows_are_values_and_not_raised(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text("{\n")
    assert all(isinstance(value, BadRow) for _, value in read_rows(path, "dataset"))
