"""Settings of the steps that read archives."""

import dataclasses
import re
from typing import Literal

from core.interfaces import StepConfig
from core.typed import setting

RECORD_TYPES = ("response", "conversion", "resource")
OPT_OUT_SIGNALS = ("noai", "noimageai", "noml", "noindex", "noarchive", "nosnippet", "tdm-reservation")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageConfig(StepConfig):
    """Settings of every step that turns records of an archive into pages."""

    max_record_bytes: int = setting(10 * 1024 * 1024)
    """Largest record block, and largest decoded page, in bytes; larger ones are set aside unread."""
    statuses: tuple[int, ...] = setting((200,))
    """HTTP status codes whose pages are kept."""
    content_types: tuple[str, ...] = setting(("text/html", "application/xhtml+xml", "text/plain"))
    """Media types whose pages are kept. A response that declares none is kept when its first bytes look like HTML."""
    record_types: tuple[str, ...] = setting(("response", "conversion"))
    """Kinds of WARC records that are pages: ``response`` (HTTP), ``conversion`` (plain text, as in WET files),
    ``resource`` (a page without HTTP headers)."""
    opt_out_bytes: int = setting(32_768)
    """How far into a page's head ``<meta>`` elements with opt-out signals are looked for; 0: only HTTP headers are."""
    snapshot: str | None = setting(None)
    """Regular expression that finds the crawl's name in a file's path, such as ``CC-MAIN-\\d{4}-\\d{2}``; it goes to
    ``metadata["snapshot"]``, for steps that work on one snapshot at a time. None: not wanted."""
    drop_opt_out: tuple[str, ...] = setting(())
    """Opt-out signals whose pages are set aside: ``noai``, ``noimageai``, ``noml``, ``noindex``, ``noarchive``,
    ``nosnippet``, ``tdm-reservation``. A signal given to one robot only counts too; ``gptbot:noindex`` counts for that
    one alone."""

    def __post_init__(self) -> None:
        if self.max_record_bytes < 1:
            raise ValueError(f"max_record_bytes={self.max_record_bytes}: must be at least 1.")
        if self.opt_out_bytes < 0:
            raise ValueError(f"opt_out_bytes={self.opt_out_bytes}: must be at least 0.")
        if self.snapshot is not None:
            try:
                re.compile(self.snapshot)
            except re.error as error:
                raise ValueError(f"snapshot={self.snapshot}: no regular expression ({error}).") from None
        unknown = set(self.record_types) - set(RECORD_TYPES)
        if unknown or not self.record_types:
            given = ", ".join(sorted(unknown)) or "nothing"
            raise ValueError(f"record_types: {given} given; known are {', '.join(RECORD_TYPES)}.")
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchConfig(PageConfig):
    """Settings of the steps that fetch single records."""

    connections: int = setting(16, identity=False)
    """Records of remote files fetched at a time."""
    retries: int = setting(5, identity=False)
    """How often a fetch that failed for the network's sake is tried again."""
    backoff_seconds: float = setting(1.0, identity=False)
    """Pause before the first retry; it doubles each time, up to a minute."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.connections < 1:
            raise ValueError(f"connections={self.connections}: must be at least 1.")
        if self.retries < 0 or self.backoff_seconds < 0:
            raise ValueError(f"retries={self.retries}, backoff_seconds={self.backoff_seconds}: must be at least 0.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadIndexConfig(FetchConfig):
    """Settings of ``read_index``."""

    prefix: str | None = setting(None)
    """What stands before an index's file names: a folder, ``s3://...`` or ``https://data.commoncrawl.org/``; None: the
    folder of the index file."""
    batch_rows: int = setting(10_000)
    """Rows looked at together; a batch is read in the order of files and offsets, each file opened once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_rows < 1:
            raise ValueError(f"batch_rows={self.batch_rows}: must be at least 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RefetchConfig(FetchConfig):
    """Settings of ``refetch``."""

    paths: tuple[str, ...] = setting((), files=True)
    """Archives to take pages from: paths, globs or URLs, found by file name. None given: the recipe's input files."""
    prefix: str | None = setting(None)
    """What stands before the ``warc_path`` of documents that came from an index; None: they are found by file name."""
    batch_documents: int = setting(200)
    """Documents looked at together; in a batch, records are read in the order of files and offsets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_documents < 1:
            raise ValueError(f"batch_documents={self.batch_documents}: must be at least 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CapturesConfig(StepConfig):
    """Settings of ``captures``."""

    keep: Literal["latest", "largest", "latest_and_largest"] = setting("latest")
    """Which capture of a URL stays: the newest by ``warc_date``, the one with most ``page_bytes``, or both (FineMath,
    README of its repository)."""
