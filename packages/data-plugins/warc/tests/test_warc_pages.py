"""What becomes of single records: forms of archives and bodies, lists of URLs, opt-outs, captures."""

import gzip
import io
import json
import zlib

import brotli
import pyarrow.parquet as pq
import pytest
from core.data.executor import LocalExecutor
from core.data.recipe import LocalExecutorConfig, RecipeConfig
from core.data.runner import Recipe
from core.data.steps import StepContext
from core.errors import InputError
from core.interfaces import Job
from core.typed import build
from fastwarc.stream_io import ZstdWriter
from smallwright_warc.config import ReadWarcConfig
from smallwright_warc.http import BadResponseError, Response, decode_body
from smallwright_warc.optout import opt_out_signals
from smallwright_warc.read import ReadWarc
from smallwright_warc.urls import UrlSet, normalize_url

PAGE = b"<html><head><title>x</title></head><body><p>Two and two is four.</p></body></html>"


def record(number: int = 0, kind: str = "response", block: bytes | None = None, **headers: str) -> bytes:
    if block is None:
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE
    fields = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{number}>",
        "WARC-Target-URI": f"http://a.example/{number}",
        "Content-Type": "application/http; msgtype=response",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"WARC/1.0\r\n{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def read(tmp_path, data: bytes, name: str = "a.warc", **settings):
    path = tmp_path / name
    path.write_bytes(data)
    step = ReadWarc(ReadWarcConfig(**settings))
    step.bind(StepContext(label="read", position=0, seed=0, files=(str(path),)))
    return list(step.run(None)), step._ledger.to_dict()


def zstd(data: bytes) -> bytes:
    with io.BytesIO() as out:
        writer = ZstdWriter(out)
        writer.write(data)
        writer.close()
        return out.getvalue()


@pytest.mark.parametrize(
    "pack",
    [
        b"".join,
        lambda records: b"".join(gzip.compress(one) for one in records),
        lambda records: gzip.compress(b"".join(records)),
        lambda records: b"".join(zstd(one) for one in records),
        lambda records: zstd(b"".join(records)),
    ],
    ids=["plain", "gzip by record", "gzip as one", "zstd by record", "zstd as one"],
)
def test_every_container_gives_the_same_pages(tmp_path, pack):
    documents, ledger = read(tmp_path, pack([record(number) for number in range(5)]))
    assert [document.id for document in documents] == [f"urn:uuid:{number}" for number in range(5)]
    assert {document.text for document in documents} == {PAGE.decode()}
    assert ledger["in"] == 5
    lengths = [document.metadata.get("warc_length") for document in documents]
    offsets = [document.metadata["warc_offset"] for document in documents]
    if len(set(offsets)) == 5:
        assert [offset + length for offset, length in zip(offsets, lengths, strict=True)][:4] == offsets[1:]
    else:
        assert set(offsets) == {0}
        assert set(lengths) == {None}


def test_a_snapshot_is_named_by_the_path_where_that_is_asked_for(tmp_path):
    folder = tmp_path / "CC-MAIN-2024-10" / "segments"
    folder.mkdir(parents=True)
    (named,), _ = read(folder, record(0), snapshot=r"CC-MAIN-\d{4}-\d{2}")
    assert named.metadata["snapshot"] == "CC-MAIN-2024-10"
    (other,), _ = read(tmp_path, record(0), snapshot=r"CC-MAIN-\d{4}-\d{2}")
    assert "snapshot" not in other.metadata
    with pytest.raises(ValueError, match="no regular expression"):
        ReadWarcConfig(snapshot="(")


def test_wet_records_are_plain_text_with_their_languages(tmp_path):
    text = "Escopete\nEl texto de la página, con acentos: año.".encode()
    data = record(1, "conversion", text, Content_Type="text/plain", WARC_Identified_Content_Language="spa,eng",
                  WARC_Refers_To="<urn:uuid:0>")  # fmt: skip
    (document,), _ = read(tmp_path, gzip.compress(record(0, "warcinfo", b"x")) + gzip.compress(data))
    assert document.text == text.decode()
    assert document.metadata["content_type"] == "text/plain"
    assert document.metadata["warc_languages"] == "spa,eng"
    assert document.metadata["page_bytes"] == len(text)
    _, ledger = read(tmp_path, data, record_types=("response",))
    assert ledger["rejected"] == {"not a response": 1}


def test_resources_are_pages_when_they_are_wanted(tmp_path):
    page = record(0, "resource", PAGE, Content_Type="text/html; charset=utf-8")
    image = record(1, "resource", b"\x89PNG", Content_Type="image/png")
    assert read(tmp_path, page + image)[1]["rejected"] == {"not a response": 2}
    documents, ledger = read(tmp_path, page + image, record_types=("response", "resource"))
    assert [document.text for document in documents] == [PAGE.decode()]
    assert ledger["rejected"] == {"not text": 1}


def arc(url: str, block: bytes, length: int | None = None) -> bytes:
    size = len(block) if length is None else length
    return f"{url} 1.2.3.4 20240301000000 text/html {size}\n".encode() + block + b"\n"


ARC_HEAD = arc("filedesc://x.arc", b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n")
ARC_PAGE = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE


@pytest.mark.parametrize("pack", [b"".join, lambda parts: b"".join(map(gzip.compress, parts)),
                                  lambda parts: gzip.compress(b"".join(parts))])  # fmt: skip
def test_arc_files_are_read(tmp_path, pack):
    parts = [ARC_HEAD, *(arc(f"http://a.example/{number} b", ARC_PAGE) for number in range(3))]
    documents, ledger = read(tmp_path, pack(parts), "a.arc")
    assert [document.metadata["url"] for document in documents] == [f"http://a.example/{n} b" for n in range(3)]
    assert {document.text for document in documents} == {PAGE.decode()}
    assert documents[0].metadata["warc_date"] == "2024-03-01T00:00:00Z"
    assert (ledger["in"], ledger["rejected"], ledger["failed"]) == (4, {"not a response": 1}, {})
    assert len({document.id for document in documents}) == 3


def test_damaged_arc_files_lose_only_what_is_damaged(tmp_path):
    good, cut = arc("http://a.example/1", ARC_PAGE), arc("http://a.example/2", ARC_PAGE)[:-20]
    long = arc("http://a.example/3", ARC_PAGE, len(ARC_PAGE) + 30)
    documents, ledger = read(tmp_path, ARC_HEAD + long + good + b"garbage\n" + good + cut, "a.arc")
    assert len(documents) == 2
    assert ledger["failed"] == {"bad WARC headers": 1, "truncated record": 1, "wrong record length": 1}
    members = [gzip.compress(part) for part in (ARC_HEAD, good, good, good)]
    members[2] = members[2][:30] + b"\xff" * 9 + members[2][39:]
    documents, ledger = read(tmp_path, b"".join(members) + gzip.compress(cut)[:-9], "a.arc.gz")
    assert (len(documents), sum(ledger["failed"].values()), ledger["in"]) == (2, 2, 5)


def test_only_listed_urls_are_read(tmp_path):
    listed = tmp_path / "urls.txt.gz"
    listed.write_bytes(gzip.compress(b"https://a.example/1/\n\nhttp://A.example:80/3#top\n"))
    data = b"".join(record(number) for number in range(5)) + record(9, "request", b"GET / HTTP/1.0\r\n\r\n")
    documents, ledger = read(tmp_path, data, urls=("http://a.example/4",), url_files=(str(listed),))
    assert [document.id for document in documents] == ["urn:uuid:1", "urn:uuid:3", "urn:uuid:4"]
    assert ledger["rejected"] == {"URL not in the list": 2, "not a response": 1}
    with pytest.raises(InputError, match=r"data\.steps\.read\.url_files"):
        read(tmp_path, data, url_files=("none.txt",))
    listed.write_bytes(b"not gzip")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path, data, url_files=(str(listed),))


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://WWW.A.Example.:80/b%7Ec/?q=%2f#x", "a.example/b~c?q=%2F"),
        ("https://a.example", "a.example"),
        ("https://user:word@a.example:8080/B/", "a.example:8080/B"),
        ("a.example/b", "a.example/b"),
        ("", ""),
        ("http://[::1]:8080/x", "[::1]:8080/x"),
    ],
)
def test_urls_are_compared_in_one_spelling(url, normal):
    assert normalize_url(url) == normal
    assert normalize_url(normal) == normal


def test_sets_of_urls_hold_what_was_put_in():
    urls = [f"http://a.example/{number}" for number in range(1000)]
    found = UrlSet.load(tuple(urls), (), "x")
    assert len(found) == 1000
    assert all(url in found for url in urls)
    assert "http://a.example/1000" not in found


@pytest.mark.parametrize(
    ("headers", "head", "signals"),
    [
        ({}, "", []),
        ({"x-robots-tag": "noindex, nofollow"}, "", ["noindex"]),
        ({"x-robots-tag": "None"}, "", ["noindex"]),
        ({"x-robots-tag": "GPTBot: noai, noimageai, otherbot: noindex"}, "",
         ["gptbot:noai", "gptbot:noimageai", "otherbot:noindex"]),
        ({"tdm-reservation": "1"}, "", ["tdm-reservation"]),
        ({"tdm-reservation": "0"}, "<meta name=tdm-reservation content=0>", []),
        ({}, "<META NAME='Robots' CONTENT='index,NOAI'>", ["noai"]),
        ({}, '<meta content="noindex" name="googlebot">', ["googlebot:noindex"]),
        ({}, '<meta http-equiv="X-Robots-Tag" content="noml">', ["noml"]),
        ({}, "<!-- <meta name=robots content=noindex> -->", []),
        ({}, '<meta name="description" content="noai, noindex">', []),
        ({}, '</head><body><meta name="robots" content="noindex">', []),
        ({"x-robots-tag": "noarchive"}, '<meta name="tdm-reservation" content="1">', ["noarchive", "tdm-reservation"]),
    ],
)  # fmt: skip
def test_opt_out_signals_are_found(headers, head, signals):
    assert opt_out_signals(headers, f"<html><head>{head}".encode()) == signals


def test_opted_out_pages_are_dropped_only_on_demand(tmp_path):
    def page(number: int, header: str = "", meta: str = "") -> bytes:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{header}\r\n".encode()
        return record(number, block=head + PAGE.replace(b"<head>", f"<head>{meta}".encode()))

    data = b"".join(
        [
            page(0),
            page(1, "X-Robots-Tag: noai\r\n"),
            page(2, meta='<meta name="gptbot" content="noindex">'),
            page(3, "X-Robots-Tag: otherbot: noindex\r\n"),
        ]
    )
    documents, ledger = read(tmp_path, data)
    assert [document.metadata.get("opt_out") for document in documents] == [
        None, ["noai"], ["gptbot:noindex"], ["otherbot:noindex"],
    ]  # fmt: skip
    table = {"opt-out signals": {"gptbot:noindex": 1, "noai": 1, "otherbot:noindex": 1}}
    assert ledger["tables"] == table
    documents, ledger = read(tmp_path, data, drop_opt_out=("noai", "gptbot:noindex"))
    assert [document.id for document in documents] == ["urn:uuid:0", "urn:uuid:3"]
    assert ledger["rejected"] == {"opted out": 2}
    assert ledger["tables"] == table
    assert len(read(tmp_path, data, drop_opt_out=("noindex",))[0]) == 2
    assert len(read(tmp_path, data, drop_opt_out=("noindex",), opt_out_bytes=0)[0]) == 3
    for setting, value in (("drop_opt_out", ("noway",)), ("record_types", ("revisit",)), ("opt_out_bytes", -1)):
        with pytest.raises(ValueError, match=setting):
            build(ReadWarcConfig, {setting: value}, "x")


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate),
     ("br", brotli.compress), ("zstd", zstd), ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
     ("identity", bytes)],
)  # fmt: skip
def test_bodies_of_every_coding_are_decoded_within_limits(coding, pack):
    def decode(body: bytes, limit: int = 10_000, **headers: str) -> bytes:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return decode_body(Response(200, names, body), limit)

    body = pack(PAGE)
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"
    assert decode(body, content_encoding=coding) == PAGE
    assert decode(chunked, content_encoding=coding, transfer_encoding="chunked") == PAGE
    if coding != "identity":
        assert decode(chunked, transfer_encoding=f"{coding}, chunked") == PAGE
    assert decode(PAGE, content_encoding=coding) == PAGE  # a crawler that stored the body decoded
    bomb = pack(b"a" * 30_000_000)
    with pytest.raises(BadResponseError, match="larger than the limit"):
        decode(bomb, content_encoding=coding)
    if "br" in coding or "zstd" in coding:  # small bodies are one block, of which a part gives nothing
        with pytest.raises(BadResponseError, match="broken content encoding"):
            decode(body[: len(body) - 4], content_encoding=coding)
    else:
        assert PAGE.startswith(decode(body[: len(body) - 4], content_encoding=coding))


def test_endless_chunks_end():
    headers = {"transfer-encoding": "chunked"}
    with pytest.raises(BadResponseError, match="too many chunks"):
        decode_body(Response(200, headers, b"1\r\nx\r\n" * 300_000), 1 << 22)
    assert decode_body(Response(200, headers, b"ffffffff\r\nshort"), 100) == b"short"


CAPTURES = {
    "one.warc": [
        ("a1", "http://a.example/", "2024-01-01", 900),
        ("b1", "http://b.example/x", "2024-01-01", 5),
        ("a2", "https://www.a.example", "2024-03-01", 500),
    ],
    "two.warc": [
        ("a3", "http://a.example/#top", "2024-02-01", 100),
        ("c1", "http://c.example/", "2024-01-01", 7),
        ("c2", "http://c.example/", "2024-01-01", 7),
        ("none", "", "2024-01-01", 7),
    ],
}
"""(id, URL, date, size) by file."""


@pytest.mark.parametrize(
    ("keep", "kept", "reason"),
    [
        ("latest", ["a2", "b1", "c2", "none"], "older capture"),
        ("largest", ["a1", "b1", "c2", "none"], "smaller capture"),
        ("latest_and_largest", ["a1", "a2", "b1", "c2", "none"], "older and smaller capture"),
    ],
)
def test_captures_are_chosen_by_date_and_size(tmp_path, keep, kept, reason):
    for name, captures in CAPTURES.items():
        records = [
            record(
                block=b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>" + b"x" * size,
                WARC_Record_ID=number,
                WARC_Target_URI=url,
                WARC_Date=f"{date}T00:00:00Z",
            )
            for number, url, date, size in captures
        ]
        (tmp_path / name).write_bytes(b"".join(records))
    steps = {"read": {"use": "read_warc"}, "captures": {"keep": keep}}
    executor = LocalExecutor(LocalExecutorConfig(workers=1))
    job = Job(name="data", output=tmp_path / "out", inputs={}, seed=0, executor=executor)
    summary = Recipe(RecipeConfig(steps=steps, paths=(f"{tmp_path}/*.warc",))).run(job)
    rows = [row for path in (tmp_path / "out" / "documents").iterdir() for row in pq.read_table(path).to_pylist()]
    assert sorted(row["id"] for row in rows) == kept
    assert summary["funnel"][1]["rejected"] == {reason: 7 - len(kept)}
    report = summary["step_reports"]["captures"]
    assert (report["urls_with_several_captures"], report["their_captures"]) == (2, 5)
    counts = {row["id"]: json.loads(row["metadata"]).get("captures") for row in rows}
    assert {name: count for name, count in counts.items() if count} == {
        name: 3 if name.startswith("a") else 2 for name in kept if name[0] in "ac"
    }
