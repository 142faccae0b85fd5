"""Whatever is in an archive: no crash, and every record accounted for."""

import gzip
import os
import random
from pathlib import Path

import pytest
from core.data.steps import StepContext
from smallwright_warc.charset import decode_page
from smallwright_warc.config import ReadWarcConfig
from smallwright_warc.http import BadResponseError, Response, decode_body
from smallwright_warc.read import ReadWarc

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).parents[5] / "shared"))


def record(body: bytes, headers: str = "Content-Type: text/html", status: str = "200 OK", number: int = 0) -> bytes:
    block = f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
        f"WARC-Target-URI: http://a.example/{number}\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def members(count: int = 5) -> list[bytes]:
    rng = random.Random(0)
    return [gzip.compress(record(b"<p>" + rng.randbytes(300).hex().encode(), number=i), mtime=0) for i in range(count)]


def read(path: Path, **settings):
    step = ReadWarc(ReadWarcConfig(**settings))
    step.bind(StepContext(label="read", position=0, seed=0, files=(str(path),)))
    documents = list(step.run(None))  # raises when the accounts do not hold
    return documents, step._ledger.to_dict()


def read_bytes(tmp_path: Path, data: bytes, **settings):
    path = tmp_path / "test.warc.gz"
    path.write_bytes(data)
    return read(path, **settings)


@pytest.mark.skipif(not (SHARED / "data/warc").exists(), reason="needs the shared WARC files")
def test_archives_of_other_tools_are_read():
    kept = {}
    for path in sorted((SHARED / "data/warc").glob("*/*")):
        documents, ledger = read(path)
        assert ledger["in"] > 0
        kept[path.name] = len(documents)
        cut = path.name == "example-space-in-url.arc"  # its last record has fewer bytes than it declares
        assert ledger["failed"] == ({"truncated record": 1} if cut else {}), path
    assert kept["warcfile.warc.gz"] == 16
    assert kept["example.arc"] == kept["example.arc.gz"] == kept["whirlwind.warc.wet.gz"] == 1
    assert kept["whirlwind.warc.gz"] == kept["example.warc"] == kept["example-iana.org-chunked.warc"] == 1


@pytest.mark.parametrize("cut", [1, 3, 8, 9, 60, 200])
def test_cut_off_file_is_one_failure_and_the_rest_is_read(tmp_path, cut):
    parts = members()
    _, ledger = read_bytes(tmp_path, b"".join(parts)[:-cut])
    assert ledger["failed"] == {"truncated record": 1}
    assert ledger["kept"] >= 4
    plain = b"".join(gzip.decompress(part) for part in parts)
    documents, ledger = read_bytes(tmp_path, plain[: -cut - 4])
    assert (len(documents), ledger["failed"]) == (4, {"truncated record": 1})


def test_cut_inside_next_member_header_is_noticed(tmp_path):
    parts = members()
    for extra in (1, 5, 15):
        documents, ledger = read_bytes(tmp_path, parts[0] + parts[1][:extra])
        assert (len(documents), ledger["failed"].get("truncated record")) == (1, 1)


def test_broken_member_does_not_hide_the_ones_after_it(tmp_path):
    parts = members()
    damaged = bytearray(parts[2])
    damaged[len(damaged) // 2] ^= 0xFF
    documents, ledger = read_bytes(tmp_path, b"".join([*parts[:2], bytes(damaged), *parts[3:]]))
    assert [document.id for document in documents] == [f"urn:uuid:{i}" for i in (0, 1, 3, 4)]
    assert ledger["failed"] == {"corrupt gzip": 1}
    documents, ledger = read_bytes(tmp_path, parts[0] + b"garbage " * 9 + parts[1])
    assert (len(documents), sum(ledger["failed"].values())) == (2, 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello\n" * 99, "not a WARC file"),
        (gzip.compress(b"hello" * 99, mtime=0), "not a WARC file"),
    ],
)
def test_what_is_no_archive_is_one_failure(tmp_path, data, reason):
    assert read_bytes(tmp_path, data)[1]["failed"] == {reason: 1}


def test_random_damage_never_breaks_the_accounts(tmp_path):
    rng = random.Random(1)
    whole = b"".join(members())
    plain = b"".join(gzip.decompress(part) for part in members())
    for source in (whole, plain):
        for _ in range(150):
            data = bytearray(source)
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            if rng.random() < 0.3:
                del data[rng.randrange(len(data)) :]
            _, ledger = read_bytes(tmp_path, bytes(data))
            assert ledger["in"] >= 1


def test_large_records_and_bombs_are_set_aside(tmp_path):
    bomb = gzip.compress(b"a" * 20_000_000)
    data = record(b"x" * 50_000) + record(bomb, "Content-Type: text/html\r\nContent-Encoding: gzip") + record(b"<p>ok")
    documents, ledger = read_bytes(tmp_path, data, max_record_bytes=30_000)
    assert [document.text for document in documents] == ["<p>ok"]
    assert ledger["rejected"] == {"larger than the limit": 2}


def test_other_responses_are_rejected_with_reasons(tmp_path):
    data = b"".join(
        [
            record(b"<p>x", status="404 Not Found"),
            record(b"\x89PNG", "Content-Type: image/png"),
            record(b" "),
            record(b"PHA+eA==", "Content-Type: text/html\r\nContent-Encoding: base64"),
            record(b"\x01\x02", "X: y"),
        ]
    )
    _, ledger = read_bytes(tmp_path, data)
    assert ledger["rejected"] == {"HTTP status": 1, "empty body": 1, "not text": 2}
    assert ledger["failed"] == {"unknown content encoding": 1}


def test_bodies_are_decoded():
    def decode(body: bytes, **headers: str) -> bytes:
        return decode_body(Response(200, {name.replace("_", "-"): value for name, value in headers.items()}, body), 100)

    assert decode(b"5;x=1\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", transfer_encoding="chunked") == b"hello!"
    assert decode(b"already joined", transfer_encoding="chunked") == b"already joined"
    assert decode(gzip.compress(b"hello"), content_encoding="gzip") == b"hello"
    assert decode(b"<p>already decoded", content_encoding="br") == b"<p>already decoded"
    with pytest.raises(BadResponseError, match="limit"):
        decode(gzip.compress(b"a" * 101), content_encoding="gzip")


@pytest.mark.parametrize(
    ("data", "declared", "text", "charset"),
    [
        ("é“".encode("cp1252"), "utf-8", "é“", "cp1252"),
        ("é“".encode("cp1252"), "zip", "é“", "cp1252"),
        ("é“".encode(), "iso-8859-1", "é“", "utf-8"),
        (b"\xef\xbb\xbfx", "iso-8859-1", "x", "utf-8"),
        ("привет мир".encode("cp1251"), "windows-1251", "привет мир", "cp1251"),
        ("é".encode() + b"\xe2\x80", "utf-8", "é", "utf-8"),
        ("<html>é".encode("utf-16-le"), "utf-8", "<html>é", "utf-16-le"),
        ('<meta charset="iso-2022-jp">日本'.encode("iso2022_jp"), "", '<meta charset="iso-2022-jp">日本', "iso2022_jp"),
    ],
)
def test_charset_is_what_the_bytes_say(data, declared, text, charset):
    assert decode_page(data, declared) == (text, charset)


@pytest.mark.parametrize("odd", [b"", b"\x98", b"\x81"])
@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp949", "우리 회사는 서울에 있으며 매년 새로운 제품을 만들고 있습니다. 펲시"),
        ("cp932", "私たちの会社は東京都にあり、手順①を見る㈱山田"),
        ("euc_jp", "私たちの会社は東京都にあり、新しい製品を毎年作っています。"),
        ("gbk", "我们的公司位于北京，每年制造许多新的产品。"),
        ("cp950", "我們的公司位於台北市，每年製造許多新的產品。那裏有恒心。"),
        ("cp1251", "Наша компания находится в Москве и выпускает новые изделия."),
        ("cp1253", "Η εταιρεία μας βρίσκεται στην Αθήνα και φτιάχνει νέα προϊόντα."),
        ("cp1256", "شركتنا تقع في القاهرة وتصنع منتجات جديدة كل عام."),
        ("cp874", "บริษัทของเราตั้งอยู่ในกรุงเทพและผลิตสินค้าใหม่ทุกปี"),
    ],
)
def test_pages_that_declare_nothing_are_guessed_odd_bytes_or_not(codec, text, odd):
    page = b"<html><body><p>" + text.encode(codec) * 3 + odd + b"</p></body></html>"
    assert text * 3 in decode_page(page)[0]
