"""Lines of JSON, compressed or not, whole or broken: every line accounted for."""

import bz2
import gzip
import json
import lzma
import random

import pyarrow as pa
import pytest
from core.data.steps import StepContext
from core.errors import InputError
from smallwright_files.config import ReadJsonlConfig
from smallwright_files.read import ReadJsonl
from smallwright_files.streams import BZIP2_BLOCKS


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


COMPRESS = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstd,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def run(files, world_size=1, **settings):
    """Read with every rank in turn. Returns the documents and the sums of the ledgers."""
    step = ReadJsonl(ReadJsonlConfig(**settings))
    step.bind(StepContext(label="read", position=0, seed=0, files=tuple(map(str, files))))
    documents, failed, received = [], {}, 0
    for rank in range(world_size):
        documents += step.run(None, rank, world_size)  # raises when the accounts do not hold
        received += step._ledger.received
        for reason, count in step._ledger.failed.items():
            failed[reason] = failed.get(reason, 0) + count
        assert not step._ledger.rejected
    return documents, failed, received


def read_bytes(tmp_path, data, **settings):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    return run([path], **settings)


def rows(count, size=40):
    rng = random.Random(0)
    return [{"id": f"r{i}", "text": rng.randbytes(size).hex(), "n": i} for i in range(count)]


def as_jsonl(items):
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


@pytest.mark.parametrize("kind", COMPRESS)
def test_every_compression_gives_the_same_rows(tmp_path, kind):
    items = rows(3000)
    first, second = as_jsonl(items[:1500]), as_jsonl(items[1500:])
    data = COMPRESS[kind](first) + COMPRESS[kind](second)  # streams may follow each other
    documents, failed, received = read_bytes(tmp_path, data)
    assert failed == {}
    assert received == 3000
    assert [document.text for document in documents] == [item["text"] for item in items]
    assert documents[7].id == "r7"
    assert documents[7].metadata == {"n": 7, "file": "rows.jsonl", "row": 7}


def test_each_bad_line_fails_with_its_reason(tmp_path):
    lines = [
        b'{"text": "good"}',
        b'{"text": "cut',
        b'["a", "list"]',
        b'"a string"',
        b'{"texts": "another key"}',
        b'{"text": 5}',
        b'{"text": "  "}',
        b'{"text": "\xff\xfe"}',
        b'{"text": "' + b"x" * 5000 + b'"}',
        b"",
        b"   ",
        b"[" * 5000,
        b'{"text": "NaN is read", "x": NaN}',
        b'{"text": "no end of line"}',
    ]
    documents, failed, received = read_bytes(tmp_path, b"\n".join(lines), max_row_bytes=2000)
    assert [document.text for document in documents] == ["good", "NaN is read", "no end of line"]
    assert failed == {"invalid JSON": 1, "not an object": 2, "no text": 3, "not UTF-8": 1, "too long": 2}
    assert received == 12


def test_what_failed_is_kept_aside(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "good"}\n{"text": "cut\n')
    step = ReadJsonl(ReadJsonlConfig())
    ledgers = tmp_path / "ledgers"
    ledgers.mkdir()
    context = StepContext(
        label="read", position=0, seed=0, files=(str(path),), rejected=tmp_path / "rejected", ledgers=ledgers
    )
    step.bind(context)
    assert len(list(step.run(None))) == 1
    import pyarrow.parquet as pq

    (aside,) = pq.read_table(next((tmp_path / "rejected").glob("*.parquet"))).to_pylist()
    assert (aside["id"], aside["text"], aside["reason"]) == ("rows.jsonl:1", '{"text": "cut', "invalid JSON")


def test_byte_order_mark_and_windows_lines(tmp_path):
    documents, failed, _ = read_bytes(tmp_path, b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b"}\r\n')
    assert ([document.text for document in documents], failed) == (["a", "b"], {})


def test_fields_by_dotted_names(tmp_path):
    row = {
        "doc": {"body": "hello", "lang": "en"},
        "a.b": "dotted",
        "meta": {"link": "http://x.example/"},
        "turns": [{"content": "first"}],
        "key": 17,
    }
    data = as_jsonl([row])
    (document,), _, _ = read_bytes(tmp_path, data, text="doc.body", url="meta.link", id="key")
    assert (document.text, document.id) == ("hello", "17")
    assert document.metadata["url"] == "http://x.example/"
    assert document.metadata["doc"] == {"lang": "en"}
    assert "meta" not in document.metadata
    (document,), _, _ = read_bytes(tmp_path, data, text="turns.0.content", metadata=("key",))
    assert (document.text, document.metadata) == ("first", {"key": 17, "file": "rows.jsonl", "row": 0})
    (document,), _, _ = read_bytes(tmp_path, data, text="a.b")
    assert document.text == "dotted"
    assert read_bytes(tmp_path, data, text="turns.5.content")[1] == {"no text": 1}


def test_metadata_has_a_limit_and_fits_the_columns(tmp_path):
    deep: list = []
    for _ in range(400):
        deep = [deep]
    row = {"text": "x", "big": "y" * 500, "small": 1, "deep": deep, "score": "high", "none": None, "lone": "\ud800"}
    (document,), _, _ = read_bytes(tmp_path, as_jsonl([row]), max_metadata_bytes=200)
    assert document.metadata == {
        "small": 1,
        "original_score": "high",
        "lone": "?",
        "left_out": ["big", "deep"],
        "file": "rows.jsonl",
        "row": 0,
    }
    (document,), _, _ = read_bytes(tmp_path, as_jsonl([{"text": "x", "score": 3}]))
    assert document.metadata["score"] == 3.0


def test_references_without_text_can_be_kept(tmp_path):
    data = as_jsonl([{"blob_id": "ab"}, {"text": "here", "blob_id": "cd"}])
    documents, failed, _ = read_bytes(tmp_path, data, without_text="keep")
    assert [(document.text, document.metadata["blob_id"]) for document in documents] == [("", "ab"), ("here", "cd")]
    assert failed == {}


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "bzip2"])
@pytest.mark.slow
def test_a_cut_stream_is_one_failure_and_what_came_before_is_kept(tmp_path, kind):
    items = rows(20_000)
    whole = COMPRESS[kind](as_jsonl(items))
    for share in (0.5, 0.9, 1):
        cut = whole[: min(int(len(whole) * share), len(whole) - 3)]
        documents, failed, received = read_bytes(tmp_path, cut)
        assert failed == {"truncated compressed stream": 1}
        assert received == len(documents) + 1
        assert [document.text for document in documents] == [item["text"] for item in items[: len(documents)]]
        assert len(documents) > 0.4 * share * len(items) or kind == "bzip2"


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_stands_before_damage_in_the_same_piece_is_kept(tmp_path, kind):
    good, other = COMPRESS[kind](as_jsonl(rows(10))), COMPRESS[kind](as_jsonl(rows(3000)))
    skipped = b"\x50\x2a\x4d\x18\xff\0\0\0"
    for damage in (other[: len(other) // 2], b"garbage", skipped if kind == "zstd" else good[:-6] + b"\0" * 6):
        documents, failed, _ = read_bytes(tmp_path, good + damage)
        assert [document.id for document in documents[:10]] == [row["id"] for row in rows(10)]
        assert failed.pop("not UTF-8", 0) + failed.pop("invalid JSON", 0) == 0
        assert sum(failed.values()) == 1


def test_numbers_that_only_python_reads_are_read(tmp_path):
    documents, failed, _ = read_bytes(tmp_path, b'{"text": "a", "x": 1e400, "y": -2E+999, "z": 1e-400}')
    assert failed == {}
    assert [documents[0].metadata[key] for key in "xyz"] == [float("inf"), -float("inf"), 0.0]


def test_garbage_after_a_gzip_member_is_one_failure(tmp_path):
    data = gzip.compress(as_jsonl(rows(10)), mtime=0)
    documents, failed, _ = read_bytes(tmp_path, data + b"garbage")
    assert (len(documents), failed) == (10, {"corrupt compressed stream": 1})
    documents, failed, _ = read_bytes(tmp_path, data + b"\0" * 100)
    assert (len(documents), failed) == (10, {})


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMPRESS)
def test_random_damage_never_breaks_the_accounts(tmp_path, kind):
    rng = random.Random(1)
    whole = COMPRESS[kind](as_jsonl(rows(300)))
    for _ in range(120):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        documents, failed, received = read_bytes(tmp_path, bytes(data))
        assert received == len(documents) + sum(failed.values())
        again, failed_again, _ = read_bytes(tmp_path, bytes(data))
        assert [(d.id, d.text) for d in again] == [(d.id, d.text) for d in documents]
        assert failed_again == failed


@pytest.mark.slow
def test_a_bomb_of_one_line_fills_no_memory(tmp_path, peak_memory):
    bomb = gzip.compress(b'{"text": "' + b"a" * 100_000_000 + b'"}\n{"text": "after"}\n', compresslevel=6, mtime=0)

    def read():
        documents, failed, _ = read_bytes(tmp_path, bomb, max_row_bytes=1_000_000)
        assert ([document.text for document in documents], failed) == (["after"], {"too long": 1})

    assert peak_memory(read) < 20_000_000


def test_ranks_share_the_rows_of_files(tmp_path):
    for name, count in (("a", 10), ("b", 3)):
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(as_jsonl(rows(count)) + b"bad\n", mtime=0)[:-4])
    files = sorted(tmp_path.glob("*.gz"))
    key = lambda document: (document.metadata["file"], document.metadata["row"])  # noqa: E731
    whole, failed, received = run(files)
    assert failed == {"truncated compressed stream": 2, "invalid JSON": 2}
    for world_size in (2, 3, 5, 40):
        documents, failed_there, received_there = run(files, world_size)
        assert sorted((key(d), d.id, d.text) for d in documents) == sorted((key(d), d.id, d.text) for d in whole)
        assert (failed_there, received_there) == (failed, received)


def test_ids_tell_files_of_one_name_apart_and_do_not_depend_on_the_place(tmp_path):
    def ids(root):
        for folder in ("en", "de"):
            (root / folder).mkdir(parents=True)
            (root / folder / "0.jsonl").write_text('{"text": "x"}\n')
        documents, _, _ = run([root / "en/0.jsonl", root / "de/0.jsonl"])
        return [document.id for document in documents]

    assert ids(tmp_path / "here") == ids(tmp_path / "there" / "deeper") == ["en/0.jsonl:0", "de/0.jsonl:0"]


def test_storage_that_fails_ends_the_run_and_counts_nothing(tmp_path):
    import fsspec
    from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

    class Unplugged(MemoryFile):
        def read(self, *arguments):
            raise ConnectionResetError("unplugged")

    class Unreliable(MemoryFileSystem):
        protocol = "unreliable"

        def _open(self, path, mode="rb", **_):
            return Unplugged(self, path, b"x")

    fsspec.register_implementation("unreliable", Unreliable, clobber=True)
    with pytest.raises(InputError, match=r"unreliable://x\.jsonl cannot be read: unplugged\. Finished"):
        run(["unreliable://x.jsonl"])
    with pytest.raises(InputError, match="is not a file"):
        run([tmp_path / "missing.jsonl"])


def test_text_that_starts_like_bzip2_is_text(tmp_path):
    assert bz2.compress(b"")[4:10] in BZIP2_BLOCKS
    assert read_bytes(tmp_path, b"BZh9 is how bzip2 starts\n")[1] == {"invalid JSON": 1}


def read_array(tmp_path, data, world_size=1, **settings):
    path = tmp_path / "rows.json"
    path.write_bytes(data)
    return run([path], world_size, **settings)


@pytest.mark.slow
def test_a_json_file_may_be_one_array(tmp_path):
    items = rows(9000, size=200)
    for indent in (None, 2):
        data = json.dumps(items, indent=indent).encode()
        assert len(data) > 3_000_000  # more than one piece
        documents, failed, received = read_array(tmp_path, b"\xef\xbb\xbf \n" + data)
        assert ([document.text for document in documents], failed) == ([item["text"] for item in items], {})
        assert received == 9000
    shared, _, received = read_array(tmp_path, gzip.compress(data, mtime=0), world_size=3)
    assert sorted(document.id for document in shared) == sorted(document.id for document in documents)
    assert received == 9000
    assert read_array(tmp_path, b'{"text": "lines"}\n{"text": "too"}\n')[2] == 2
    assert read_array(tmp_path, b"[]")[2] == 0


@pytest.mark.parametrize(
    ("data", "kept", "failed"),
    [
        (b'[{"text": "a"}, 5, {"text": "b"}]', 2, {"not an object": 1}),
        (b'[{"text": "a"}, {"text": "b"', 1, {"broken JSON array": 1}),
        (b'[{"text": "a"} x {"text": "b"}]', 1, {"broken JSON array": 1}),
        (b'[{"text": "a"}, {"text": "\xff"}]', 0, {"broken JSON array": 1}),
        (b'[{"text": "a"}, {"text": "' + b"x" * 3_000_000 + b'"}]', 1, {"too long": 1}),
        (b'[{"text": "a"}, ' + b"[" * 100_000, 1, {"broken JSON array": 1}),
        (gzip.compress(b'[{"text": "a"}, {"text": "b"}]', mtime=0)[:-8], 2, {"truncated compressed stream": 1}),
        (b'[{"text": "a"}] [', 1, {"broken JSON array": 1}),
    ],
)
def test_broken_arrays_are_one_failure(tmp_path, data, kept, failed):
    documents, found, _ = read_array(tmp_path, data, max_row_bytes=1_000_000)
    assert (len(documents), found) == (kept, failed)
