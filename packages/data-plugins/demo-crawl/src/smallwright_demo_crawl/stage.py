"""Source ``demo_crawl``: a small made-up crawl, written as a crawler writes WARC files, with the truth about it."""

import datetime
import gzip
import hashlib
import importlib.resources
import importlib.util
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.interfaces import Job, Stage
from core.writing import replacing, write_text

from smallwright_demo_crawl.config import DemoCrawlConfig
from smallwright_demo_crawl.extras import make_extras
from smallwright_demo_crawl.pages import REMOVED_BY, Page, make_pages

logger = logging.getLogger(__name__)
FIRST_DATE = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)


class DemoCrawl(Stage):
    """Write ``files/*.warc.gz`` (one gzip member per record) and ``truth.jsonl``; the same seed gives the same bytes.

    Beside its pages the crawl has what real ones have: warcinfo, request and metadata records, a record larger than
    any limit, one without HTTP headers, one with a broken gzip member in the middle of a file, and a file that ends
    inside its last record.
    """

    config: DemoCrawlConfig

    def run(self, job: Job) -> dict[str, Any]:
        """Write the crawl; a crawl left unfinished is written again."""
        items = load_items(self.config.contaminate_with)
        pages = make_pages(job.seed, self.config.scale, items)
        extras = make_extras(job.seed, self.config.scale, pages)
        folder = job.output / "files"
        truth: list[dict[str, Any]] = []
        share = -(-len(pages) // self.config.files)
        for number in range(self.config.files):
            name = f"crawl-{number:05d}.warc.gz"
            part = pages[number * share : (number + 1) * share]
            more = extras[number :: self.config.files]
            data = self._file(job.seed, name, number, part, more, truth)
            with replacing(folder / name) as partial:
                partial.write_bytes(data)
            job.progress(number + 1, self.config.files, unit="files")
        write_text(job.output / "truth.jsonl", "".join(json.dumps(line, sort_keys=True) + "\n" for line in truth))
        expected = Counter(line["expected"] for line in truth)
        return {
            "files": self.config.files,
            "records": len(truth),
            "bytes": sum(path.stat().st_size for path in folder.iterdir()),
            "expected": dict(sorted(expected.items())),
        }

    def _file(
        self, seed: int, name: str, number: int, pages: list[Page], extras: list[Page], truth: list[dict[str, Any]]
    ) -> bytes:
        members: list[bytes] = []

        def add(
            kind: str, url: str, block: bytes, expected: str, page: Page | None = None, record: str = "response"
        ) -> None:
            record_id = _record_id(seed, name, len(members))
            seconds = len(members) - (page.days_earlier * 86_400 if page is not None else 0)
            members.append(_member(record, record_id, url, seconds, block))
            source = page.original if page is not None else None
            truth.append(
                {
                    "record_id": record_id,
                    "url": url,
                    "file": name,
                    "kind": kind,
                    "expected": expected,
                    "removed_by": REMOVED_BY[expected],
                    "duplicate_of": source.record_id if source is not None else None,
                    "math": page.math if page is not None else 0,
                    **(page.truth if page is not None else {}),
                }
            )
            if page is not None:
                page.record_id, page.file = record_id, name

        add(
            "warcinfo",
            "",
            b"software: smallwright demo_crawl\r\nformat: WARC File Format 1.0\r\n",
            "http",
            record="warcinfo",
        )
        for index, page in enumerate(pages):
            path = "/" + page.url.split("/", 3)[3]
            if index % 10 == 0:
                host = page.url.split("/")[2]
                add(
                    "request",
                    page.url,
                    f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(),
                    "http",
                    record="request",
                )
            add(page.kind, page.url, _http(page.status, page.content_type, page.body), page.expected, page)
            if index % 25 == 0:
                add("metadata", page.url, b"fetchTimeMs: 42\r\n", "http", record="metadata")
            if index == len(pages) // 2:
                self._add_trouble(number, add, members)
        for page in extras:
            block = _http(page.status, page.content_type, page.body, page.headers)
            add(page.kind, page.url, block, page.expected, page)
        if number == self.config.files - 1:
            add(
                "truncated",
                "https://www.cutoff.example/last.html",
                _http("200 OK", "text/html", b"<p>" + b"The end. " * 400),
                "corrupt",
            )
            members[-1] = members[-1][: len(members[-1]) // 2]
        return b"".join(members)

    def _add_trouble(self, number: int, add: Any, members: list[bytes]) -> None:
        if number == 0:
            body = b"<html><body><p>" + b"The same words again. " * (self.config.oversized_bytes // 22 + 1)
            add("oversized", "https://www.endless.example/", _http("200 OK", "text/html", body), "http")
        if number == min(1, self.config.files - 1):
            body = b"".join(hashlib.sha256(b"%d" % i).hexdigest().encode() + b"\n" for i in range(60))
            add("corrupt_gzip", "https://www.bitrot.example/page.html", _http("200 OK", "text/html", body), "corrupt")
            damaged = bytearray(members[-1])
            for offset in range(len(damaged) // 2, len(damaged) // 2 + 16):
                damaged[offset] ^= 0xFF
            members[-1] = bytes(damaged)
        if number == min(2, self.config.files - 1):
            add("bad_http", "https://www.garbled.example/", b"\x00\x01 this is no HTTP response at all", "corrupt")


def load_items(resources: tuple[str, ...]) -> list[str]:
    """Read evaluation items as running text: context and right answer.

    Raises:
        InputError: a path does not exist. A package that is not installed is only logged.
    """
    items: list[str] = []
    for resource in resources:
        package, colon, relative = resource.partition(":")
        if colon and package.isidentifier():
            if importlib.util.find_spec(package) is None:
                logger.info("demo_crawl: %s is not installed, so no page is contaminated with %s", package, relative)
                continue
            path: Any = importlib.resources.files(package) / relative
        else:
            path = Path(resource)
        if not path.is_file():
            raise InputError(f"data.source.contaminate_with: {resource} does not exist. Leave it out or correct it.")
        for line in path.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            items.append(f"{item['context']} {item['choices'][item['label']]}")
    return items


def _http(status: str, content_type: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _member(record: str, record_id: str, url: str, seconds: int, block: bytes) -> bytes:
    date = (FIRST_DATE + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    media = {"response": "application/http; msgtype=response", "request": "application/http; msgtype=request"}
    headers = [
        "WARC/1.0", f"WARC-Type: {record}", f"WARC-Record-ID: <{record_id}>", f"WARC-Date: {date}",
        *([f"WARC-Target-URI: {url}"] if url else []),
        f"Content-Type: {media.get(record, 'application/warc-fields')}", f"Content-Length: {len(block)}",
    ]  # fmt: skip
    return gzip.compress("\r\n".join(headers).encode() + b"\r\n\r\n" + block + b"\r\n\r\n", 6, mtime=0)


def _record_id(seed: int, name: str, index: int) -> str:
    digest = hashlib.blake2b(f"{seed} {name} {index}".encode(), digest_size=16).hexdigest()
    return f"urn:uuid:{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"
