"""Pages made to exhaust a reader: each is set aside with a reason, in bounded memory, and the next page is read."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("smallwright_extract", reason="what is read is extracted by it")

LINE = b"the same words without any end of line " * 1000
READ_AND_EXTRACT = """
import json, resource, sys
from core.data.steps import StepContext
from smallwright_extract.step import ExtractText
from smallwright_warc.read import ReadWarc

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def run(file):
    reader, extractor = ReadWarc(), ExtractText()
    reader.bind(StepContext(label="read", position=0, seed=0, files=(file,)))
    extractor.bind(StepContext(label="extract", position=1, seed=0))
    kept = [document.id for document in extractor.run(reader.run(None))]
    return kept, reader._ledger.to_dict(), extractor._ledger.to_dict()

run(sys.argv[1])
before = peak()
kept, read, extract = run(sys.argv[2])
print(json.dumps({"kept": kept, "read": read, "extract": extract, "grown": peak() - before}))
"""


def head(number: int, length: int, kind: str = "response", media: str = "application/http") -> bytes:
    return (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
        f"WARC-Target-URI: http://a.example/{number}\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def response(number: int, body: bytes, headers: str = "Content-Type: text/html") -> bytes:
    block = f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + body
    return head(number, len(block)) + block + b"\r\n\r\n"


def page(number: int) -> bytes:
    return response(number, b"<html><body><p>A page between the others, with a sentence to keep.</p></body></html>")


def long_line(path: Path, number: int, megabytes: int) -> None:
    """Append a record of one endless line, piece by piece."""
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>"
    repeats = megabytes * 1_000_000 // len(LINE)
    with open(path, "ab") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as out:
        out.write(head(number, len(http) + repeats * len(LINE)) + http)
        for _ in range(repeats):
            out.write(LINE)
        out.write(b"\r\n\r\n")


def run(small: Path, large: Path) -> dict:
    ended = subprocess.run(
        [sys.executable, "-c", READ_AND_EXTRACT, small, large], capture_output=True, text=True, timeout=300, check=True
    )
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.warc.gz"
    path.write_bytes(b"".join(gzip.compress(page(number)) for number in range(3)))
    return path


@pytest.mark.slow
def test_hostile_pages_are_set_aside_and_the_next_is_read(tmp_path, small):
    bomb = gzip.compress(gzip.compress(b"<p>" + b"a" * 100_000_000))
    bodies = [
        (b"<div>" * 100_000 + b"deep", "Content-Type: text/html"),
        (b"<p>" + b"\0" * 100_000, "Content-Type: text/html"),
        (bomb, "Content-Type: text/html\r\nContent-Encoding: gzip, gzip"),
        (b"5\r\nhello\r\n" * 400_000, "Content-Type: text/html\r\nTransfer-Encoding: chunked"),
        (b"<p>Its Content-Length is wrong.</p>", "Content-Type: text/html\r\nContent-Length: 999999999999"),
        (b"<p>" + b"&lt;" * 1_500_000, "Content-Type: text/html"),
        (b"<!--" * 200_000, "Content-Type: text/html"),
        (b"<meta a>" * 20_000, "Content-Type: text/html"),
    ]
    records = []
    for number, (body, headers) in enumerate(bodies):
        records += [gzip.compress(response(100 + number, body, headers), 1), gzip.compress(page(number))]
    path = tmp_path / "hostile.warc.gz"
    path.write_bytes(b"".join(records))
    result = run(small, path)
    assert {f"urn:uuid:{number}" for number in range(len(bodies))} <= set(result["kept"])
    assert "urn:uuid:104" in result["kept"]
    read, extract = result["read"], result["extract"]
    assert read["in"] == 2 * len(bodies)
    assert read["rejected"] == {"larger than the limit": 1, "not text": 1}
    assert read["failed"] == {"too many chunks": 1}
    assert (
        extract["in"]
        == read["kept"]
        == extract["kept"] + sum(sum(extract[outcome].values()) for outcome in ("rejected", "failed"))
    )
    assert extract["rejected"]["nested too deeply"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("form", ["alone", "many in one member"])
def test_two_hundred_megabytes_on_one_line_cost_no_memory(tmp_path, small, form):
    path = tmp_path / "long.warc.gz"
    path.write_bytes(gzip.compress(page(1)))
    long_line(path, 2, 200)
    with open(path, "ab") as file:
        file.write(gzip.compress(page(3)))
    if form == "many in one member":
        plain = tmp_path / "one.warc.gz"
        with gzip.open(path) as source, gzip.open(plain, "wb", compresslevel=1) as target:
            while piece := source.read(1 << 20):
                target.write(piece)
        path = plain
    result = run(small, path)
    assert result["kept"] == ["urn:uuid:1", "urn:uuid:3"]
    assert result["read"]["rejected"] == {"larger than the limit": 1}
    assert result["grown"] < 40_000_000


@pytest.mark.slow
def test_a_cut_inside_two_hundred_megabytes_costs_no_memory_either(tmp_path, small):
    path = tmp_path / "long.warc.gz"
    path.write_bytes(gzip.compress(page(1)))
    long_line(path, 2, 200)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size * 9 // 10)
    result = run(small, path)
    assert result["kept"] == ["urn:uuid:1"]
    assert result["read"]["failed"] == {"truncated record": 1}
    assert result["grown"] < 40_000_000
