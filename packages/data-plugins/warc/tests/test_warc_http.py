"""Answers as servers and crawlers leave them: chunks, content types, encodings, interim answers."""

import gzip
import zlib

import pytest
from smallwright_warc.chunks import dechunk
from smallwright_warc.config import ReadWarcConfig
from smallwright_warc.entries import ArchiveEntry
from smallwright_warc.http import BadResponseError, Response, decode_body, parse_response
from smallwright_warc.page import PageReader, document_of

PAGE = b"<!doctype html><p>The gear turns the belt."


@pytest.mark.parametrize(
    ("body", "joined"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5;x=1\r\nhello\r\n1 \r\n!\r\n000\r\nExpires: never\r\n\r\n", b"hello!"),
        (b"5\nhello\n0\n\n", b"hello"),
        (b"0\r\n\r\n", b""),
        # cut off: in a chunk, behind its head, in a head, between chunks
        (b"5\r\nhello\r\n6\r\n wor", b"hello wor"),
        (b"5\r\nhello\r\n6\r\n", b"hello"),
        (b"5\r\nhello\r\n1f", b"hello"),
        (b"5\r\nhello\r\n", b"hello"),
        (b"5\r\nhello", b"hello"),
        (b"2000\r\n<html><p>cut off", b"<html><p>cut off"),
        (b"2000\r\n\xef\xbb\xbf<!doctype html>", b"\xef\xbb\xbf<!doctype html>"),
    ],
)
def test_chunks_are_joined_whole_or_cut_off(body, joined):
    assert dechunk(body) == joined


@pytest.mark.parametrize(
    "body",
    [
        b"2024\r\nJanuary report",
        b"add\nputs two numbers together",
        b"0\r\n1\r\n1\r\n2\r\n3\r\n5\r\n",
        b"0\r\n\r\nis nothing",
        b"dead\r\nbeef",
        b"5\r\nhello\r\nand more that is no chunk",
        b"3\r\nfar too long\r\n0\r\n\r\n",
        b"1\r\n00:00:01 --> 00:00:02\r\n\r\n",
        b"joined already",
        b"",
    ],
)
def test_a_body_that_is_not_chunks_from_end_to_end_stays_as_it_is(body):
    assert dechunk(body) == body
    assert decode_body(Response(200, {"transfer-encoding": "chunked"}, body), 100) == body


def test_broken_chunks_of_a_compressed_body_give_what_can_be_had():
    packed = gzip.compress(PAGE * 50, 0)
    head = b"%x\r\n" % 600
    broken = head + packed[:600] + b"\r\nno chunk at all"
    headers = {"transfer-encoding": "chunked", "content-encoding": "gzip"}
    assert decode_body(Response(200, headers, broken), 1 << 20).startswith(PAGE * 5)
    assert decode_body(Response(200, headers, b"fff\r\n" + packed[:600]), 1 << 20).startswith(PAGE * 5)
    assert decode_body(Response(200, headers, b"2024\r\nwas decoded"), 1 << 20) == b"2024\r\nwas decoded"


@pytest.mark.parametrize(
    ("header", "kind", "charset"),
    [
        ("text/html; charset=euc-kr", "text/html", "euc-kr"),
        ("text/html, text/html; charset=UTF-8", "text/html", "utf-8"),
        ("text/html;charset=a, text/html;charset=b", "text/html", "b"),
        ("text/html charset=utf-8", "text/html", "utf-8"),
        ("text/html, charset=utf-8", "text/html", "utf-8"),
        ("text/html:charset='utf-8'", "text/html", "utf-8"),
        ('"TEXT/HTML"', "text/html", ""),
        ("text/plain, */*", "text/plain", ""),
        ("text/html;;", "text/html", ""),
        ("html", "", ""),
        ("charset=utf-8", "", "utf-8"),
        ("text/html&charset=utf-8", "text/html", "utf-8"),
        ("text/html|charset=utf-8", "text/html", "utf-8"),
        ("text/html. charset=utf-8", "text/html", "utf-8"),
        ("text/html-sandboxed", "text/html-sandboxed", ""),
        ("image/png", "image/png", ""),
        ("", "", ""),
    ],
)
def test_content_types_are_read_as_browsers_read_them(header, kind, charset):
    response = Response(200, {"content-type": header}, b"")
    assert (response.content_type, response.charset) == (kind, charset)


def page_of(block: bytes):
    entry = ArchiveEntry(0, "response", {"warc-target-uri": "http://a.example/"}, block)
    document = document_of(entry, "x")
    aside = PageReader(ReadWarcConfig()).fill(document, entry)
    return aside and aside.reason, document


@pytest.mark.parametrize(
    "block",
    [
        b"http/1.1 200 ok\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/2 200\nContent-Type: text/html\n\n",
        b"\r\nHTTP/1.0 200 OK\r\nContent-Type: html\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n\tcharset=utf-8\r\nContent-Type: text/html\r\n\r\n",
        *(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: %s\r\n\r\n" % coding
            for coding in (b"UTF8", b"binary", b"none", b"windows-1251", b"text/html", b"gzip;q=1.0, *;q=0", b"None,",
                           b"'identity'", b"some-proxy", b"gzip, deflate, br", b"8bit", b"charset=utf-8")
        ),
    ],
)  # fmt: skip
def test_answers_of_odd_servers_are_pages(block):
    assert page_of(block + PAGE)[0] is None
    assert page_of(block + PAGE)[1].text == PAGE.decode()


def test_an_answer_that_is_only_interim_has_its_status():
    assert page_of(b"HTTP/1.1 100 Continue\r\n\r\n")[0] == "HTTP status"
    assert parse_response(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 is how an error begins").status == 200
    assert parse_response(b"HTTP/1.1 100 C\r\n\r\n" * 1000 + b"HTTP/1.1 200 OK\r\n\r\n").status == 100


@pytest.mark.parametrize(
    "header",
    [
        "gzip;q=1.0",
        "GZIP",
        "gzip, deflate",
        "deflate;q=0.5, gzip",
        "utf-8, gzip",
        "x-gzip",
        "UTF-8;gzip",
        "gzip deflate",
        "nonsense",
    ],
)  # fmt: skip
def test_encodings_with_weights_and_lists_of_what_might_be_used_are_undone(header):
    assert decode_body(Response(200, {"content-encoding": header}, gzip.compress(PAGE)), 1000) == PAGE


def test_gzip_and_deflate_are_taken_for_one_another():
    for coding, body in (("gzip", zlib.compress(PAGE)), ("deflate", gzip.compress(PAGE)), ("gzip", PAGE)):
        assert decode_body(Response(200, {"content-encoding": coding}, body), 1000) == PAGE
    assert decode_body(Response(200, {"content-encoding": "gzip"}, b"x\x9c is no stream"), 100) == b"x\x9c is no stream"


def test_text_under_an_encoding_that_nobody_knows_is_what_it_seems_to_be():
    for body in (b"<p>a piece of a page", b"no mark-up at all", b""):
        assert decode_body(Response(200, {"content-encoding": "my-cache"}, body), 100) == body
    assert decode_body(Response(200, {"content-encoding": "br"}, b""), 100) == b""


@pytest.mark.parametrize(
    ("coding", "body"), [("base64", b"PHA+"), ("compress", b"\x1f\x9d\x90<"), ("my", b"\x01\x02<p>")]
)
def test_an_unknown_encoding_of_something_else_is_a_reason(coding, body):
    with pytest.raises(BadResponseError, match="unknown content encoding"):
        decode_body(Response(200, {"content-encoding": coding}, body), 100)
