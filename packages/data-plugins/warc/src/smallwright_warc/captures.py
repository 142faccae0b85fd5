"""Step ``captures``: of several captures of one URL, the newest, the largest, or both stay."""

from collections.abc import Iterator, Mapping
from typing import Any

from core.data.groups import GroupStep, Member, Verdict
from datatrove.data import Document

from smallwright_warc.config import CapturesConfig
from smallwright_warc.urls import normalize_url

OLDER = "older capture"
SMALLER = "smaller capture"
OLDER_AND_SMALLER = "older and smaller capture"


class Captures(GroupStep):
    """Keep the latest or the largest capture of each URL, or both (FineMath, README of its repository).

    URLs are compared normalised (:func:`smallwright_warc.urls.normalize_url`). Size is ``page_bytes``, the decoded
    page; captures alike in date or size are told apart by their ids. A document without a URL is kept.
    """

    def __init__(self, config: CapturesConfig | None = None) -> None:
        super().__init__(config or CapturesConfig())
        self.config: CapturesConfig

    def key(self, document: Document) -> str | None:
        """Group by normalised URL."""
        url = document.metadata.get("url")
        return normalize_url(str(url)) if url else None

    def value(self, document: Document) -> dict[str, Any]:
        """Note date and size."""
        size = document.metadata.get("page_bytes")
        date = document.metadata.get("warc_date")
        return {"date": str(date or ""), "bytes": size if isinstance(size, int) else len(document.text)}

    def decide(self, key: str, members: list[Member]) -> dict[Member, Verdict]:
        """Reject all captures but the chosen ones."""
        if len(members) == 1:
            return {}
        in_time = sorted(members, key=lambda member: (member.value["date"], member.id, member.file, member.row))
        latest = in_time[-1]
        largest = max(reversed(in_time), key=lambda member: member.value["bytes"])
        kept, reason = {
            "latest": ({latest}, OLDER),
            "largest": ({largest}, SMALLER),
            "latest_and_largest": ({latest, largest}, OLDER_AND_SMALLER),
        }[self.config.keep]
        notes = {"captures": len(members)}
        return {member: Verdict(None if member in kept else reason, notes) for member in members}

    def summarize(self, key: str, members: list[Member], verdicts: Mapping[Member, Verdict]) -> dict[str, Any] | None:
        """Note how many captures a URL has."""
        return {"url": key, "captures": len(members)} if len(members) > 1 else None

    def report(self, rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
        """Return how many URLs were captured more than once, and the URLs with most captures."""
        urls = captures = 0
        most: list[tuple[int, str]] = []
        for row in rows:
            urls, captures = urls + 1, captures + row["captures"]
            most = sorted([*most, (-row["captures"], row["url"])])[:20]
        return {
            "urls_with_several_captures": urls,
            "their_captures": captures,
            "most_captures": {url: -count for count, url in most},
        }
