"""HTTP responses out of archives: headers, chunks and content encodings, read with limits."""

import dataclasses
import io
import re
import zlib

from core.data.charsets import encoding_of
from fastwarc.stream_io import BrotliReader, ZstdReader

from smallwright_warc.chunks import CONTROL, dechunk

MAX_HEADER_BYTES = 64 * 1024
CHUNK = 1 << 16
_STATUS_LINE = re.compile(rb"[\r\n]{0,4}HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)([^\r\n]{0,100})", re.IGNORECASE)
_END_OF_HEADERS = re.compile(rb"\n\r?\n")
_MEDIA_TYPE = re.compile(r"[\s\"']*([\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+)")
_ENDED = re.compile(r"text/html(?:[&|].*|[.'`~!]+)\Z")
"""HTML with a sign behind it that should be a semicolon, such as ``text/html&charset=utf-8``."""
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:+-]{1,40})", re.IGNORECASE)
MAX_INTERIM = 16
"""Answers before the one that counts."""
GZIP = b"\x1f\x8b"
CODINGS = {name: name for name in ("gzip", "deflate", "br", "zstd")}
CODINGS |= {"x-gzip": "gzip", "brotli": "br", "zlib": "deflate"}
_NOTHING = ("*", "default", "false", "identity", "no", "none", "null", "off", "true", "unknown", "x-identity")
_TRANSFERS = ("7bit", "8bit", "ascii", "binary", "chunked", "plain", "quoted-printable", "raw", "text", "utf")
NO_CODINGS = frozenset((*_NOTHING, *_TRANSFERS))
"""What servers write where nothing is encoded, beside charsets and media types."""
REAL_CODINGS = ("base64", "compress", "dcb", "dcz", "exi", "lzma", "x-compress", "xz")
"""Encodings that are none of ours; under any other name a text is what it seems to be."""
_DOCUMENT = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|meta|\?xml|!--)", re.IGNORECASE)


class BadResponseError(Exception):
    """A response that cannot be used; the message is the countable reason."""


class BadHeadersError(BadResponseError):
    """The block does not begin with HTTP headers."""


@dataclasses.dataclass(frozen=True)
class Response:
    """An HTTP response as archived."""

    status: int
    headers: dict[str, str]
    """Names in lower case; of a repeated header the values joined by a comma."""
    body: bytes
    """As sent: still chunked and compressed where the headers say so."""

    @property
    def content_type(self) -> str:
        """Media type in lower case, without parameters; empty when no valid one is declared.

        Of several, the last valid one counts (Fetch Standard, "extract a MIME type").
        """
        for part in reversed(self.headers.get("content-type", "").split(",")):
            match = _MEDIA_TYPE.match(part)
            if match and match.group(1) != "*/*":
                kind = match.group(1).lower()
                return kind if _ENDED.match(kind) is None else "text/html"
        return ""

    @property
    def charset(self) -> str:
        """Charset parameter of the content type, the last part's that has one; empty when none is declared."""
        for part in reversed(self.headers.get("content-type", "").split(",")):
            if match := _CHARSET.search(part):
                return match.group(1).lower()
        return ""


def parse_response(block: bytes) -> Response:
    """Split a record's block into status, headers and body, those of the last answer where interim ones stand before.

    Raises:
        BadHeadersError: no status line, or no end of the headers within 64 KiB.
    """
    response, interim = _parse_answer(block)
    for _ in range(MAX_INTERIM):
        if not interim or not _STATUS_LINE.match(response.body):
            break
        response, interim = _parse_answer(response.body)
    return response


def _parse_answer(block: bytes) -> tuple[Response, bool]:
    """Return the answer that a block begins with, and whether another may follow: after 1xx, and after a tunnel's."""
    status = _STATUS_LINE.match(block)
    if status is None:
        raise BadHeadersError("bad HTTP headers")
    end = _END_OF_HEADERS.search(block, status.end(), status.end() + MAX_HEADER_BYTES)
    if end is not None:
        lines, body = block[status.end() : end.start()], block[end.end() :]
    elif len(block) > MAX_HEADER_BYTES:
        raise BadHeadersError("bad HTTP headers")
    else:
        lines, body = block[status.end() :], b""
    headers: dict[str, str] = {}
    last = ""
    for line in lines.decode("latin-1").split("\n")[1:]:
        if line[:1] in " \t" and last:  # the line before goes on
            headers[last] = f"{headers[last]} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name and colon:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
            last = name
    code = int(status.group(1))
    interim = 100 <= code < 200 or b"connection established" in status.group(2).lower()
    return Response(code, headers, body), interim


def decode_body(response: Response, limit: int) -> bytes:
    """Undo chunked transfer and content encodings (gzip, deflate, br, zstd).

    Many crawlers store bodies decoded and leave the header: a body that does not begin like its encoding is taken as
    it is. A body cut off inside its compression gives what could be decoded.

    Raises:
        BadResponseError: more than ``limit`` bytes come out, the compressed data is broken, or the encoding is unknown.
    """
    body = response.body
    transfer = response.headers.get("transfer-encoding", "")
    headed = response.headers.get("content-encoding", "")
    codings = _codings(headed) + _codings(transfer)
    if "chunked" in transfer.lower():
        dechunked = dechunk(body, encoded=bool(codings))
        if dechunked is None:
            raise BadResponseError("too many chunks")
        body = dechunked
    if len(codings) > 3:
        raise BadResponseError("too many content encodings")
    if headed and "gzip" not in codings and body.startswith(GZIP):
        codings = ["gzip"]  # whatever the header meant: no text begins like it
    for coding in reversed(codings):
        if coding != "gzip" and "gzip" in codings and body.startswith(GZIP):
            continue  # a list of what might have been used: this one was not
        body = _decompress(body, coding, limit)
    if len(body) > limit:
        raise BadResponseError("larger than the limit")
    return body


def _codings(header: str) -> list[str]:
    """Return the encodings that a header names, without weights and without what is none."""
    names = [part.partition(";")[0].strip(" \t\"'").lower() for part in header.split(",")]
    return [
        CODINGS.get(name, name)
        for name in names
        if name and name not in NO_CODINGS and "/" not in name and "=" not in name and encoding_of(name) is None
    ]


def _decompress(body: bytes, coding: str, limit: int) -> bytes:
    if not body:
        return body
    wrapped = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    if coding in ("gzip", "deflate") and body.startswith(GZIP):
        return _inflate(body, 31, limit)
    if coding == "gzip" and not (wrapped and CONTROL.search(body[:512])):
        return body
    if coding in ("gzip", "deflate"):  # which servers take for one another
        try:
            return _inflate(body, 15 if wrapped else -15, limit)
        except BadResponseError as error:
            if "limit" in str(error) or not _is_text(body):
                raise
            return body
    if coding in ("br", "zstd"):
        reader = (BrotliReader if coding == "br" else ZstdReader)(io.BytesIO(body))
        out = bytearray()
        try:
            while piece := reader.read(CHUNK):
                out += piece
                if len(out) > limit:
                    raise BadResponseError("larger than the limit")
        except OSError:
            if not out:
                if _is_text(body):
                    return body
                raise BadResponseError("broken content encoding") from None
        return bytes(out)
    if _DOCUMENT.match(body) or (coding not in REAL_CODINGS and CONTROL.search(body[:4096]) is None):
        return body
    raise BadResponseError("unknown content encoding")


def _inflate(data: bytes, window_bits: int, limit: int) -> bytes:
    out = bytearray()
    inflater = zlib.decompressobj(window_bits)
    try:
        while data:
            out += inflater.decompress(data, limit + 1 - len(out))
            if len(out) > limit:
                raise BadResponseError("larger than the limit")
            if inflater.eof:
                data = inflater.unused_data
                if window_bits != 31 or not data.startswith(b"\x1f\x8b"):
                    break
                inflater = zlib.decompressobj(window_bits)
            else:
                data = inflater.unconsumed_tail
    except zlib.error:
        if not out:
            raise BadResponseError("broken content encoding") from None
    return bytes(out)


def _is_text(body: bytes) -> bool:
    head = body[:512]
    return b"<" in head and b"\0" not in head
