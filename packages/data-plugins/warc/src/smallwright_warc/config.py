"""Settings of the steps that read archives."""

import dataclasses
import re
from typing import Literal

from core.checks import check_local
from core.interfaces import StepConfig
from core.registry import Registry
from core.typed import setting

OPT_OUT_SIGNALS = ("noai", "noimageai", "noml", "noindex", "noarchive", "nosnippet", "tdm-reservation")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageConfig(StepConfig):
    """Settings of every step that turns records of an archive into pages."""

    max_record_bytes: int = setting(10 * 1024 * 1024, ge=1)
    """Largest record block, and largest decoded page, in bytes; larger ones are set aside unread."""
    statuses: tuple[int, ...] = setting((200,), ge=100, le=599, min_length=1)
    """HTTP status codes whose pages are kept."""
    content_types: tuple[str, ...] = setting(("text/html", "application/xhtml+xml", "text/plain"), min_length=1)
    """Media types whose pages are kept. A response that declares none is kept when its first bytes look like HTML."""
    record_types: tuple[Literal["response", "conversion", "resource"], ...] = setting(
        ("response", "conversion"), min_length=1
    )
    """Kinds of WARC records that are pages: ``response`` (HTTP), ``conversion`` (plain text, as in WET files),
    ``resource`` (a page without HTTP headers)."""
    opt_out_bytes: int = setting(32_768, ge=0)
    """How far into a page's head ``<meta>`` elements with opt-out signals are looked for; 0: only HTTP headers are."""
    snapshot: str | None = setting(None)
    """Regular expression that finds the crawl's name in a file's path, such as ``CC-MAIN-\\d{4}-\\d{2}``; it goes to
    ``metadata["snapshot"]``, for steps that work on one snapshot at a time. None: not wanted."""
    drop_opt_out: tuple[str, ...] = setting(())
    """Opt-out signals whose pages are set aside: ``noai``, ``noimageai``, ``noml``, ``noindex``, ``noarchive``,
    ``nosnippet``, ``tdm-reservation``. A signal given to one robot only counts too; ``gptbot:noindex`` counts for that
    one alone."""

    def __post_init__(self) -> None:
        if self.snapshot is not None:
            try:
                re.compile(self.snapshot)
            except re.error as error:
                raise ValueError(f"snapshot={self.snapshot}: no regular expression ({error}).") from None
        for signal in self.drop_opt_out:
            if signal.rpartition(":")[2] not in OPT_OUT_SIGNALS:
                raise ValueError(f"drop_opt_out: {signal} is no signal; known are {', '.join(OPT_OUT_SIGNALS)}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadWarcConfig(PageConfig):
    """Settings of ``read_warc``."""

    urls: tuple[str, ...] = setting(())
    """Only pages of these URLs are read, when any are given here or in ``url_files``. They are compared in their
    normalised form, so that scheme, host case, default port, fragment and a last slash do not matter."""
    url_files: tuple[str, ...] = setting((), files=True)
    """Files with one URL a line, plain or compressed, of any size: eight bytes of memory a URL."""

    def check(self, registry: Registry, where: str) -> None:
        """Refuse a file of URLs that is not there."""
        for file in self.url_files:
            check_local(file, f"{where}.url_files")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchConfig(PageConfig):
    """Settings of the steps that fetch single records."""

    connections: int = setting(16, ge=1, le=10_000, identity=False)
    """Records of remote files fetched at a time."""
    retries: int = setting(5, ge=0, identity=False)
    """How often a fetch that failed for the network's sake is tried again."""
    backoff_seconds: float = setting(1.0, ge=0, le=3600, identity=False)
    """Pause before the first retry; it doubles each time, up to a minute."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadIndexConfig(FetchConfig):
    """Settings of ``read_index``."""

    prefix: str | None = setting(None)
    """What stands before an index's file names: a folder, ``s3://...`` or ``https://data.commoncrawl.org/``; None: the
    folder of the index file."""
    batch_rows: int = setting(10_000, ge=1)
    """Rows looked at together; a batch is read in the order of files and offsets, each file opened once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RefetchConfig(FetchConfig):
    """Settings of ``refetch``."""

    paths: tuple[str, ...] = setting((), files=True)
    """Archives to take pages from: paths, globs or URLs, found by file name. None given: the recipe's input files."""
    prefix: str | None = setting(None)
    """What stands before the ``warc_path`` of documents that came from an index; None: they are found by file name."""
    batch_documents: int = setting(200, ge=1)
    """Documents looked at together; in a batch, records are read in the order of files and offsets."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CapturesConfig(StepConfig):
    """Settings of ``captures``."""

    keep: Literal["latest", "largest", "latest_and_largest"] = setting("latest")
    """Which capture of a URL stays: the newest by ``warc_date``, the one with most ``page_bytes``, or both (FineMath,
    README of its repository)."""
