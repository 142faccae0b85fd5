"""From a record of an archive to a document that holds the page, or to the reason why it is none."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from core.data.steps import Step
from core.errors import InputError
from core.storage import url_to_fs
from datatrove.data import Document

from smallwright_warc.charset import decode_page
from smallwright_warc.config import PageConfig
from smallwright_warc.entries import ArchiveEntry
from smallwright_warc.http import BadHeadersError, BadResponseError, Response, decode_body, parse_response
from smallwright_warc.optout import is_dropped, opt_out_signals

OTHER_RECORD = "not a response"


class Aside(NamedTuple):
    """Why a record gives no document."""

    failed: bool
    reason: str

    def set_aside(self, step: Step, document: Document) -> None:
        """Hand ``document`` to the step's accounts."""
        (step.fail if self.failed else step.reject)(document, self.reason)


def document_of(entry: ArchiveEntry, file: str) -> Document:
    """Make the document of a record, still without text.

    Its id and place depend on the record and the name of its file alone: ``warc_file`` is that name, ``warc_offset``
    where in the file reading can begin to meet the record again, ``warc_length`` how many bytes hold it, where known.
    """
    url = entry.headers.get("warc-target-uri", "").strip().strip("<>")
    metadata: dict[str, object] = {"url": url, "warc_file": file, "warc_offset": entry.offset}
    if entry.length is not None:
        metadata["warc_length"] = entry.length
    for header, key in (
        ("warc-date", "warc_date"),
        ("warc-truncated", "warc_truncated"),
        ("warc-identified-content-language", "warc_languages"),
        ("warc-refers-to", "warc_refers_to"),
    ):
        if value := entry.headers.get(header):
            metadata[key] = value[:200]
    return Document(text="", id=record_id(entry, file), metadata=metadata)


def record_id(entry: ArchiveEntry, file: str) -> str:
    """Return the record's own id, or one made of its file's name and place."""
    own = entry.headers.get("warc-record-id", "").strip().strip("<>")
    if own:
        return own
    digest = hashlib.blake2b(f"{file}:{entry.offset}:{entry.number}".encode(), digest_size=16).hexdigest()
    return f"smallwright:{digest}"


class PageReader:
    """Puts the page of a record into its document."""

    def __init__(self, config: PageConfig) -> None:
        self.config = config

    def wants(self, kind: str, headers: Mapping[str, str]) -> bool:
        """Whether a record's block has to be read at all."""
        return kind in self.config.record_types

    def fill(self, document: Document, entry: ArchiveEntry) -> Aside | None:
        """Put the page's text into ``document``, and what its response says into the metadata.

        Adds ``http_status`` (of responses), ``content_type``, ``charset``, ``page_bytes`` (decoded, before the charset
        is) and, where there are any, ``robots_tag`` (X-Robots-Tag as sent) and ``opt_out`` (normalised signals).
        """
        if entry.problem is not None:
            return Aside(True, entry.problem)
        if entry.kind not in self.config.record_types:
            document.metadata["record_type"] = entry.kind
            return Aside(False, OTHER_RECORD)
        if entry.too_large or entry.block is None:
            return Aside(False, "larger than the limit")
        declared = entry.headers.get("content-type", "")
        if entry.kind == "response":
            if declared and "http" not in declared.lower():
                document.metadata["content_type"] = declared[:100]
                return Aside(False, "not HTTP")
            return self._fill_from_http(document, entry.block)
        response = Response(200, {"content-type": declared}, entry.block)
        return self._fill_from_body(document, response, entry.block)

    def _fill_from_http(self, document: Document, block: bytes) -> Aside | None:
        try:
            response = parse_response(block)
            document.metadata["http_status"] = response.status
            document.metadata["content_type"] = response.content_type[:100]
            if robots := response.headers.get("x-robots-tag"):
                document.metadata["robots_tag"] = robots[:200]
            if response.status not in self.config.statuses:
                return Aside(False, "HTTP status")
            if response.content_type and response.content_type not in self.config.content_types:
                return Aside(False, "not text")
            body = decode_body(response, self.config.max_record_bytes)
        except BadHeadersError as error:
            return Aside(True, str(error))
        except BadResponseError as error:
            return Aside("limit" not in str(error), str(error))
        return self._fill_from_body(document, response, body)

    def _fill_from_body(self, document: Document, response: Response, body: bytes) -> Aside | None:
        metadata = document.metadata
        metadata["content_type"] = kind = response.content_type[:100]
        if kind and kind not in self.config.content_types:
            return Aside(False, "not text")
        if not body or body.isspace():
            return Aside(False, "empty body")
        if not kind and not body[:1024].lstrip().startswith((b"<", b"\xef\xbb\xbf<")):
            return Aside(False, "not text")
        text, metadata["charset"] = decode_page(body, response.charset)
        metadata["page_bytes"] = len(body)
        if "\0" in text[:1024]:
            return Aside(False, "not text")
        document.text = text
        head = text[: self.config.opt_out_bytes].encode() if metadata["charset"].startswith("utf-16") else body
        signals = opt_out_signals(response.headers, head[: self.config.opt_out_bytes])
        if signals:
            metadata["opt_out"] = signals
            if is_dropped(signals, self.config.drop_opt_out):
                return Aside(False, "opted out")
        return None


class PageStep(Step):
    """Base of the steps that make pages of records."""

    type = "reader"

    def __init__(self, config: PageConfig) -> None:
        super().__init__(config)
        self.config: PageConfig
        self.pages = PageReader(config)

    def name_snapshot(self, document: Document, path: str) -> None:
        """Write the name of the crawl that the file at ``path`` is of, where one is wanted and found."""
        if self.config.snapshot is not None and (found := re.search(self.config.snapshot, path)):
            document.metadata["snapshot"] = found[0]

    def page(self, document: Document, entry: ArchiveEntry) -> Iterator[Document]:
        """Yield ``document`` with its page, or set it aside; count its opt-out signals."""
        aside = self.pages.fill(document, entry)
        for signal in document.metadata.get("opt_out", ()):
            self.count("opt-out signals", signal)
        if aside is None:
            yield document
        else:
            aside.set_aside(self, document)


def check_file(file: str, where: str, fix: str) -> None:
    """Check that a local input file exists; remote ones are not asked for.

    Raises:
        InputError: it does not.
    """
    filesystem, path = url_to_fs(file)
    protocol = filesystem.protocol
    if "file" in ((protocol,) if isinstance(protocol, str) else protocol) and not filesystem.isfile(path):
        raise InputError(f"{where}: {file} is not a file. {fix}.")
