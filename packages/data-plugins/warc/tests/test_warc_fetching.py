"""Records fetched one by one: by index rows, and again for documents of an earlier pass."""

import csv
import gzip
import http.server
import json
import re
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.data.executor import LocalExecutor
from core.data.recipe import LocalExecutorConfig, RecipeConfig
from core.data.runner import Recipe
from core.data.steps import StepContext
from core.errors import InputError
from core.interfaces import Job
from datatrove.data import Document
from small_crawl import write_crawl
from smallwright_warc.config import ReadIndexConfig, ReadWarcConfig, RefetchConfig
from smallwright_warc.index import parse_row
from smallwright_warc.read import ReadWarc
from smallwright_warc.read_index import ReadIndex
from smallwright_warc.refetch import Refetch


@pytest.fixture(scope="module")
def crawl(tmp_path_factory) -> Path:
    return write_crawl(tmp_path_factory.mktemp("crawl"))[0].parent


def run(step, files, documents=None, rank=0, world_size=1):
    step.bind(StepContext(label="step", position=0, seed=0, files=tuple(map(str, files))))
    kept = list(step.run(documents, rank, world_size))
    return kept, step._ledger.to_dict()


@pytest.fixture(scope="module")
def pages(crawl) -> dict[str, Document]:
    kept, _ = run(ReadWarc(ReadWarcConfig(max_record_bytes=1 << 20)), sorted(crawl.iterdir()))
    return {document.id: document for document in kept}


@pytest.fixture(scope="module")
def rows(pages) -> list[dict]:
    """The index that Common Crawl would make of the crawl, out of order."""
    found = [
        {
            "url": document.metadata["url"],
            "warc_filename": f"segments/{document.metadata['warc_file']}",
            "warc_record_offset": document.metadata["warc_offset"],
            "warc_record_length": document.metadata["warc_length"],
            "fetch_time": document.metadata["warc_date"].replace("T", " ").rstrip("Z") + ".000",
            "fetch_status": 200,
            "content_languages": "eng",
        }
        for document in pages.values()
        if "warc_length" in document.metadata
    ]
    return found[::2] + found[1::2]


def write_index(path: Path, rows: list[dict]) -> Path:
    match path.suffixes:
        case [".parquet"]:
            pq.write_table(pa.Table.from_pylist(rows), path)
        case [".csv", ".gz"]:
            with gzip.open(path, "wt", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case [".jsonl"]:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case _:
            lines = []
            for row in rows:
                names = {"filename": "warc_filename", "offset": "warc_record_offset", "length": "warc_record_length"}
                values = {name: str(row[column]) for name, column in names.items()}
                values |= {"url": row["url"], "status": "200", "languages": "eng"}
                time = "".join(re.findall(r"\d", row["fetch_time"]))[:14]
                lines.append(f"com,example)/ {time} {json.dumps(values)}\n")
            path.write_text("".join(lines))
    return path


def crawl_under(folder: Path, crawl: Path) -> Path:
    (folder / "segments").mkdir()
    for path in crawl.iterdir():
        (folder / "segments" / path.name).symlink_to(path)
    return folder


@pytest.mark.parametrize("name", ["index.parquet", "index.csv.gz", "index.jsonl", "index.cdxj"])
def test_every_form_of_index_gives_the_records_as_read_from_the_files(tmp_path, crawl, pages, rows, name):
    index = write_index(crawl_under(tmp_path, crawl) / name, rows)
    kept, ledger = run(ReadIndex(), [index])  # the files lie where the index does
    assert ledger["in"] == ledger["kept"] == len(rows) > 40
    for document in kept:
        original = pages[document.id]
        assert document.text == original.text
        extra = {"warc_path", "index_languages"}
        assert {key: value for key, value in document.metadata.items() if key not in extra} == original.metadata
        assert document.metadata["warc_path"] == f"segments/{original.metadata['warc_file']}"
        assert document.metadata["index_languages"] == "eng"
    places = [(document.metadata["warc_file"], document.metadata["warc_offset"]) for document in kept]
    assert places == sorted(places)


def test_more_shards_than_files_share_the_rows(tmp_path, crawl, rows):
    index = write_index(tmp_path / "index.jsonl", rows)
    crawl_under(tmp_path, crawl)
    parts = [run(ReadIndex(), [index], rank=rank, world_size=3) for rank in range(3)]
    ids = [document.id for kept, _ in parts for document in kept]
    assert len(ids) == len(set(ids)) == len(rows)
    assert max(len(kept) for kept, _ in parts) - min(len(kept) for kept, _ in parts) <= 1
    two = [run(ReadIndex(), [index, index], rank=rank, world_size=2)[1]["in"] for rank in range(2)]
    assert two == [len(rows)] * 2  # as many shards as files: a shard is a file


def test_what_cannot_be_fetched_is_counted_by_reason(tmp_path, crawl, rows):
    crawl_under(tmp_path, crawl)
    (tmp_path / "segments" / "broken.warc.gz").write_bytes(b"\x1f\x8b\x08\0 not a gzip stream" * 9)
    good, other = rows[0], rows[1]
    bad = [
        ({**good, "warc_filename": "segments/nowhere.warc.gz"}, "file missing"),
        ({**good, "warc_filename": "segments/broken.warc.gz", "warc_record_offset": 0}, "corrupt gzip"),
        ({**good, "warc_record_offset": 10**9}, "no record at the offset"),
        ({**good, "warc_record_offset": good["warc_record_offset"] + 1}, "no record at the offset"),
        ({**good, "warc_record_length": good["warc_record_length"] - 20}, "truncated record"),
        ({**good, "url": other["url"]}, "another URL than in the index"),
        ({**good, "warc_record_offset": "many"}, "bad index row"),
        ({**good, "warc_filename": "../../etc/passwd"}, "bad index row"),
    ]
    lines = [json.dumps(row) for row, _ in bad]
    lines += [json.dumps({**good, "fetch_status": 404}), json.dumps({**good, "warc_record_length": 10**9}), "{", "[1]"]
    index = tmp_path / "index.jsonl"
    index.write_text("\n".join(lines) + "\n\n" + json.dumps(good))
    kept, ledger = run(ReadIndex(), [index])
    assert [document.metadata["url"] for document in kept] == [good["url"]]
    assert ledger["rejected"] == {"HTTP status": 1, "larger than the limit": 1}
    wanted: dict[str, int] = {}
    for _, reason in [*bad, ({}, "bad index row"), ({}, "bad index row")]:
        wanted[reason] = wanted.get(reason, 0) + 1
    assert ledger["failed"] == dict(sorted(wanted.items()))


def test_an_index_that_breaks_off_is_one_failure(tmp_path, crawl, rows):
    crawl_under(tmp_path, crawl)
    whole = write_index(tmp_path / "index.csv.gz", rows).read_bytes()
    (tmp_path / "index.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "index.parquet").write_bytes(b"PAR1 or not")
    kept, ledger = run(ReadIndex(), [tmp_path / "index.csv.gz", tmp_path / "index.parquet"])
    assert 0 < len(kept) < len(rows)
    assert ledger["failed"].pop("file cannot be read") == 2
    assert sum(ledger["failed"].values()) <= 1  # the row that the cut goes through
    with pytest.raises(InputError, match="is not a file"):
        run(ReadIndex(), [tmp_path / "none.parquet"])


def test_rows_are_whole_numbers_and_names():
    row = {"filename": "a/b.warc.gz", "offset": "12", "length": "34", "timestamp": "20240518015810", "url": "http://x/"}
    parsed = parse_row(row)
    assert (parsed.offset, parsed.length, parsed.time) == (12, 34, "2024-05-18T01:58:10Z")
    assert parse_row({**row, "length": None}).length is None
    wrong = {
        "offset": (-1, "1e3", 1.5, 2**63, True, None),
        "length": ("x",),
        "filename": ("", "a/../../b", "a\0b"),
    }
    for key, values in wrong.items():
        for value in values:
            assert parse_row({**row, key: value}) is None, (key, value)


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """Serves byte ranges, and fails the first two requests for every range."""

    failures = 2
    ranges = True

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = Path(self.directory) / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data, wanted = path.read_bytes(), self.headers.get("Range")
        key = (self.path, wanted)
        with self.server.lock:
            self.server.seen[key] = self.server.seen.get(key, 0) + 1
            refuse = self.server.seen[key] <= self.failures and self.command == "GET"
        if refuse:
            self.send_error(503)
            return
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted or "")
        if match and self.ranges:
            first, last = int(match[1]), int(match[2])
            if first >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            part = data[first : last + 1]
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        else:
            self.send_response(200)
            part = data
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(part)


@pytest.fixture
def server(tmp_path, crawl):
    crawl_under(tmp_path, crawl)
    handler = type("Handler", (RangeHandler,), {})
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: handler(*a, directory=str(tmp_path)))
    made.lock, made.seen, made.handler = threading.Lock(), {}, handler
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_records_come_over_http_in_spite_of_errors(tmp_path, server, pages, rows):
    beyond = {**rows[0], "warc_record_offset": 10**9}
    missing = {**rows[0], "warc_filename": "segments/nowhere.warc.gz"}
    index = write_index(tmp_path / "index.jsonl", [*rows[:12], beyond, missing])
    prefix = f"http://127.0.0.1:{server.server_address[1]}/"
    settings = {"prefix": prefix, "retries": 2, "backoff_seconds": 0.01, "connections": 4}
    kept, ledger = run(ReadIndex(ReadIndexConfig(**settings)), [index])
    assert {document.id: document.text for document in kept} == {
        document.id: pages[document.id].text for document in kept
    }
    assert ledger["kept"] == 12
    assert ledger["failed"] == {"file missing": 1, "no record at the offset": 1}
    server.seen.clear()
    _, ledger = run(ReadIndex(ReadIndexConfig(**settings | {"retries": 1})), [index])
    assert ledger["failed"] == {"cannot be fetched": 13, "file missing": 1}
    server.handler.failures, server.handler.ranges = 0, False  # a server that knows no ranges sends the whole file
    assert run(ReadIndex(ReadIndexConfig(**settings)), [index])[1]["kept"] == 12


def test_refetch_gives_back_the_page_of_every_document(tmp_path, crawl, pages):
    extract_text = pytest.importorskip("smallwright_extract.step").ExtractText
    extracted = list(
        extract_text().run(Document(text=d.text, id=d.id, metadata=dict(d.metadata)) for d in pages.values())
    )
    texts = {document.id: document.text for document in extracted}
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in crawl.iterdir():
        (moved / path.name).symlink_to(path)
    extracted = extracted[::2] + extracted[1::2]
    order = [document.id for document in extracted]
    settings = RefetchConfig(paths=(f"{moved}/*.gz",), batch_documents=7)
    kept, ledger = run(Refetch(settings), [], iter(extracted))
    assert [document.id for document in kept] == order
    assert ledger["kept"] == len(pages)
    assert all(document.text == pages[document.id].text for document in kept)
    assert {document.id: document.text for document in extract_text().run(iter(kept))} == texts


@pytest.mark.parametrize("form", ["plain", "whole"])
def test_refetch_finds_records_in_files_of_other_forms(tmp_path, crawl, form):
    content = gzip.decompress((crawl / "crawl-00000.warc.gz").read_bytes())
    path = tmp_path / "one.warc.gz"
    path.write_bytes(content if form == "plain" else gzip.compress(content, 1))
    pages, _ = run(ReadWarc(ReadWarcConfig(max_record_bytes=1 << 20)), [path])
    texts = {document.id: document.text for document in pages}
    for document in pages:
        document.text = "gone"
    kept, ledger = run(Refetch(RefetchConfig(batch_documents=20)), [path], reversed(pages))
    assert ledger["kept"] == len(texts) > 20
    assert {document.id: document.text for document in kept} == texts


@pytest.mark.slow
def test_a_recipe_reads_by_index_extracts_refetches_and_extracts_again(tmp_path, crawl, pages, rows):
    pytest.importorskip("smallwright_extract", reason="the recipe names its step")
    index = write_index(crawl_under(tmp_path, crawl) / "index.parquet", rows)
    steps = {
        "read": {"use": "read_index"},
        "extract": {"use": "extract_text"},
        "refetch": {"use": "refetch", "prefix": str(tmp_path)},
        "again": {"use": "extract_text"},
    }
    documents = {}
    for shards in (1, 3):
        job = Job(
            name="data",
            output=tmp_path / str(shards),
            inputs={},
            seed=0,
            executor=LocalExecutor(LocalExecutorConfig(workers=1)),
        )
        summary = Recipe(RecipeConfig(steps=steps, paths=(str(index),), shards=shards)).run(job)
        assert [(step["in"], step["kept"]) for step in summary["funnel"]] == [(len(rows), len(rows))] * 4
        files = sorted((job.output / "documents").iterdir())
        assert len(files) == shards
        documents[shards] = {row["id"]: row["text"] for path in files for row in pq.read_table(path).to_pylist()}
    assert documents[1] == documents[3]
    assert set(documents[1]) == {name for name, page in pages.items() if "warc_length" in page.metadata}


def test_refetch_says_why_a_page_is_not_there(tmp_path, crawl, pages):
    page = next(document for document in pages.values() if document.metadata["warc_file"] == "crawl-00000.warc.gz")
    other = tmp_path / "crawl-00001.warc.gz"
    other.write_bytes((crawl / "crawl-00000.warc.gz").read_bytes())

    def reasons(files, **changes):
        document = Document(text="x", id=page.id, metadata={**page.metadata, **changes})
        return run(Refetch(), files, [document])[1]["failed"]

    file = crawl / "crawl-00000.warc.gz"
    assert reasons([file]) == {}
    assert reasons([crawl / "crawl-00001.warc.gz"]) == {"archive not among the files": 1}
    assert reasons([file], warc_offset=None) == {"no place in an archive": 1}
    assert reasons([file], warc_offset="one") == {"no place in an archive": 1}
    assert reasons([file], url="http://another.example/") == {"another page at the place": 1}
    assert reasons([file], warc_length=None, warc_offset=0) == {"record not found": 1}
    assert reasons([file], warc_offset=10**9) == {"no record at the offset": 1}
    assert reasons([other, crawl / "crawl-00001.warc.gz"], warc_file=other.name) == {"several archives of this name": 1}
    with pytest.raises(InputError, match=r"data\.steps\.step"):
        run(Refetch(RefetchConfig(paths=(f"{tmp_path}/none-*.gz",))), [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"warc_offset": -1}, "no place in an archive"),
        ({"warc_offset": 2**63}, "no place in an archive"),
        ({"warc_offset": 2**63 - 1}, "no record at the offset"),
        ({"warc_offset": 2**63 - 1, "warc_length": None}, "no record at the offset"),
        ({"warc_offset": 1.5}, "no place in an archive"),
        ({"warc_offset": True}, "no place in an archive"),
        ({"warc_offset": "1e3"}, "no place in an archive"),
        ({"warc_length": -5}, "no place in an archive"),
        ({"warc_length": 0}, "no place in an archive"),
        ({"warc_length": 2**80}, "no place in an archive"),
        ({"warc_file": ["x"]}, "no place in an archive"),
        ({"warc_path": "../crawl-00000.warc.gz"}, "path outside of the prefix"),
        ({"warc_path": "a/../../crawl-00000.warc.gz"}, "path outside of the prefix"),
        ({"warc_path": "%2e%2e/crawl-00000.warc.gz"}, "path outside of the prefix"),
        ({"warc_path": "x::file:///etc/passwd"}, "path outside of the prefix"),
        ({"warc_path": "a\0b"}, "path outside of the prefix"),
        ({"warc_path": "/"}, "path outside of the prefix"),
        ({"warc_path": "/etc/passwd"}, "file missing"),
        ({"warc_path": "n" * 5000}, "cannot be fetched"),
        ({"warc_path": "\ud800"}, "cannot be fetched"),
        ({"warc_path": "."}, "file missing"),
    ],
)
def test_no_place_in_a_document_ends_a_run_or_leaves_the_prefix(crawl, pages, changes, reason):
    page = next(document for document in pages.values() if document.metadata["warc_file"] == "crawl-00000.warc.gz")
    good = Document(text="x", id=page.id, metadata={**page.metadata, "warc_path": "crawl-00000.warc.gz"})
    good.metadata["warc_offset"] = str(good.metadata["warc_offset"])  # as rows of CSV have it
    wrong = Document(text="x", id="wrong", metadata={**good.metadata, **changes})
    kept, ledger = run(Refetch(RefetchConfig(prefix=str(crawl))), [], [wrong, good])
    assert ({document.id for document in kept}, ledger["failed"] | ledger["rejected"]) == ({page.id}, {reason: 1})
