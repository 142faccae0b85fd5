"""Step ``read_warc``: every record of the archives is met, counted and, where it is a page, handed on."""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import fsspec
from core.data.steps import Step
from core.errors import InputError
from datatrove.data import Document

from smallwright_warc.archive import READ_ERRORS, Archive, ArchiveEntry
from smallwright_warc.charset import decode_page
from smallwright_warc.config import ReadWarcConfig
from smallwright_warc.http import BadHeadersError, BadResponseError, decode_body, parse_response


class ReadWarc(Step):
    """Read WARC files (plain, gzip, zstd, lz4; local, S3, HTTP) into documents of decoded HTML or plain text.

    A document has the record's id, and in its metadata ``url``, ``warc_file``, ``warc_offset``, ``warc_date``,
    ``http_status``, ``content_type``, ``charset``, and where present ``warc_truncated`` and ``robots_tag``
    (X-Robots-Tag, for opt-outs such as ``noai``). What a document holds depends on its record and the name of its
    file alone, never on the number of workers.

    A file that cannot be read, or a part of one, becomes one failed entry with the file's name; reading goes on
    with the next record that can be found.
    """

    type = "reader"

    def __init__(self, config: ReadWarcConfig | None = None) -> None:
        super().__init__(config or ReadWarcConfig())
        self.config: ReadWarcConfig

    def bind(self, context) -> None:
        """Check that local input files exist, before any work."""
        super().bind(context)
        for file in context.files:
            filesystem, path = fsspec.core.url_to_fs(file)
            if "file" in _protocols(filesystem) and not filesystem.isfile(path):
                raise InputError(f"data.paths: {file} is not a file. Give existing WARC files.")

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        """Yield the pages of this rank's files."""
        yield from documents
        for file in self.context.files[rank::world_size]:
            yield from self.read_file(file)

    def read_file(self, file: str) -> Iterator[Document]:
        """Yield the pages of one file; reject or fail everything else in it."""
        name = file.rstrip("/").rsplit("/", 1)[-1]
        ordinal = offset = 0
        try:
            with fsspec.open(file, "rb", compression=None) as stream:
                for entry in Archive(cast(BinaryIO, stream), self.config.max_record_bytes).entries():
                    offset = entry.offset
                    self.receive()
                    document = self._document(entry, name, ordinal)
                    ordinal += 1
                    if self._fill(document, entry):
                        yield document
        except (*READ_ERRORS, ImportError) as error:
            self.receive()
            document = self._document(ArchiveEntry(offset), name, ordinal)
            document.metadata["error"] = f"{type(error).__name__}: {error}"[:500]
            self.fail(document, "file cannot be read")

    def _document(self, entry: ArchiveEntry, name: str, ordinal: int) -> Document:
        record_id = entry.headers.get("warc-record-id", "").strip().strip("<>")
        if not record_id:
            digest = hashlib.blake2b(f"{name}:{ordinal}".encode(), digest_size=16).hexdigest()
            record_id = f"smallwright:{digest}"
        url = entry.headers.get("warc-target-uri", "").strip().strip("<>")
        metadata: dict[str, object] = {"url": url, "warc_file": name, "warc_offset": entry.offset}
        if date := entry.headers.get("warc-date"):
            metadata["warc_date"] = date
        if cut := entry.headers.get("warc-truncated"):
            metadata["warc_truncated"] = cut
        return Document(text="", id=record_id, metadata=metadata)

    def _fill(self, document: Document, entry: ArchiveEntry) -> bool:
        """Put the page's text into ``document``; False when it was set aside instead."""
        if entry.problem is not None:
            self.fail(document, entry.problem)
        elif entry.kind != "response":
            document.metadata["record_type"] = entry.kind
            self.reject(document, "not a response")
        elif entry.too_large:
            self.reject(document, "larger than the limit")
        elif "http" not in (content_type := entry.headers.get("content-type", "application/http")).lower():
            document.metadata["content_type"] = content_type[:100]
            self.reject(document, "not HTTP")
        else:
            return self._fill_from_response(document, entry.block or b"")
        return False

    def _fill_from_response(self, document: Document, block: bytes) -> bool:
        try:
            response = parse_response(block)
            document.metadata |= {"http_status": response.status, "content_type": response.content_type[:100]}
            if robots := response.headers.get("x-robots-tag"):
                document.metadata["robots_tag"] = robots[:200]
            if response.status not in self.config.statuses:
                self.reject(document, "HTTP status")
                return False
            if response.content_type and response.content_type not in self.config.content_types:
                self.reject(document, "not text")
                return False
            body = decode_body(response, self.config.max_record_bytes)
        except BadHeadersError as error:
            self.fail(document, str(error))
            return False
        except BadResponseError as error:
            (self.reject if "limit" in str(error) else self.fail)(document, str(error))
            return False
        if not body.strip():
            self.reject(document, "empty body")
            return False
        if not response.content_type and not body[:1024].lstrip().startswith((b"<", b"\xef\xbb\xbf<")):
            self.reject(document, "not text")
            return False
        document.text, document.metadata["charset"] = decode_page(body, response.charset)
        if "\0" in document.text[:1024]:
            document.text = ""
            self.reject(document, "not text")
            return False
        return True


def _protocols(filesystem: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
