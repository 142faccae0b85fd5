"""HTTP responses out of archives: headers, chunks and content encodings, read with limits."""

import dataclasses
import io
import re
import zlib

from fastwarc.stream_io import BrotliReader, ZstdReader

MAX_HEADER_BYTES = 64 * 1024
CHUNK = 1 << 16
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)")
_END_OF_HEADERS = re.compile(rb"\n\r?\n")
MAX_CHUNKS = 200_000
"""A response with more is refused: no page has a reason to come byte by byte, and it would take long."""
_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,1000})?\r?\n")


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
        """Media type in lower case, without parameters; empty when none is declared."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """Charset parameter of the content type; empty when none is declared."""
        match = re.search(r"charset\s*=\s*[\"']?([\w.:+-]{1,40})", self.headers.get("content-type", ""), re.IGNORECASE)
        return match.group(1).lower() if match else ""


def parse_response(block: bytes) -> Response:
    """Split a record's block into status, headers and body.

    Raises:
        BadHeadersError: no status line, or no end of the headers within 64 KiB.
    """
    status = _STATUS_LINE.match(block)
    if status is None:
        raise BadHeadersError("bad HTTP headers")
    end = _END_OF_HEADERS.search(block, 0, MAX_HEADER_BYTES)
    if end is not None:
        lines, body = block[: end.start()], block[end.end() :]
    elif len(block) > MAX_HEADER_BYTES:
        raise BadHeadersError("bad HTTP headers")
    else:
        lines, body = block, b""
    headers: dict[str, str] = {}
    for line in lines.decode("latin-1").split("\n")[1:]:
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name and colon:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Response(int(status.group(1)), headers, body)


def decode_body(response: Response, limit: int) -> bytes:
    """Undo chunked transfer and content encodings (gzip, deflate, br, zstd).

    Many crawlers store bodies decoded and leave the header: a body that does not begin like its encoding is taken as
    it is. A body cut off inside its compression gives what could be decoded.

    Raises:
        BadResponseError: more than ``limit`` bytes come out, the compressed data is broken, or the encoding is unknown.
    """
    body = response.body
    transfer = response.headers.get("transfer-encoding", "").lower()
    if "chunked" in transfer:
        body = dechunk(body)
    codings = [coding.strip() for coding in response.headers.get("content-encoding", "").lower().split(",")]
    codings += [coding.strip() for coding in transfer.split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity", "none", "utf-8", "chunked")]
    if len(codings) > 3:
        raise BadResponseError("too many content encodings")
    for coding in reversed(codings):
        body = _decompress(body, coding, limit)
    if len(body) > limit:
        raise BadResponseError("larger than the limit")
    return body


def dechunk(body: bytes) -> bytes:
    """Join the chunks of a chunked body; what is not chunked comes back unchanged, a broken rest is left out.

    Raises:
        BadResponseError: more chunks than any page has.
    """
    pieces: list[bytes] = []
    position = 0
    while position < len(body):
        match = _CHUNK_HEAD.match(body, position)
        if match is None:
            return b"".join(pieces) if pieces else body
        size = int(match.group(1), 16)
        if size == 0:
            break
        if len(pieces) >= MAX_CHUNKS:
            raise BadResponseError("too many chunks")
        pieces.append(body[match.end() : match.end() + size])
        position = match.end() + size
        while body[position : position + 1] in (b"\r", b"\n"):
            position += 1
    return b"".join(pieces)


def _decompress(body: bytes, coding: str, limit: int) -> bytes:
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, 31, limit) if body.startswith(b"\x1f\x8b") else body
    if coding == "deflate":
        wrapped = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
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
