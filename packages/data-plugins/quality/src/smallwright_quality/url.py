"""URL filter with the rules of FineWeb: block lists, banned words, soft words, banned substrings.

The rules are those of DataTrove's ``URLFilter``, a little stricter: words count in capitals too, and a listed host at
any level blocks what is below it (there: the registered domain and the full host only). That class itself keeps 4.6
million host names in Python sets (near 500 MB per process), unpacks a 124 MB file, and asks the network for the list
of public suffixes. Here hosts are compared at every level (``a.b.example.com``, ``b.example.com``, ``example.com``),
which needs no list of suffixes, and the large lists are sorted 64-bit hashes.
"""

import functools
import importlib.resources
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import xxhash
from core.data.steps import DocumentStep, Rejection, StepContext
from core.errors import InputError
from datatrove.data import Document

from smallwright_quality.config import UrlFilterConfig
from smallwright_quality.hosts import entries, entries_of_files, host_of

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_ARCHIVE = "url_filterblacklistsv0_3_0.tar.gz"


class HashedSet:
    """A set of strings as sorted 64-bit hashes: 8 bytes an entry; 5 million entries give one wrong answer in 4e12."""

    def __init__(self, entries: Iterable[str]) -> None:
        hashes = np.fromiter((_digest(entry) for entry in entries), dtype=np.uint64)
        self._hashes = np.unique(hashes)

    def __contains__(self, entry: str) -> bool:
        value = np.uint64(_digest(entry))
        place = int(np.searchsorted(self._hashes, value))
        return place < len(self._hashes) and bool(self._hashes[place] == value)

    def __len__(self) -> int:
        return len(self._hashes)


@functools.lru_cache(maxsize=1)
def fineweb_lists() -> dict[str, HashedSet]:
    """Return ``domains`` and ``urls`` of the archive inside the datatrove package, read once per process."""
    archive = importlib.resources.files("datatrove") / "assets" / _ARCHIVE
    with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:gz") as tar:
        found = {}
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None:
                found[Path(member.name).name] = HashedSet(entries(io.TextIOWrapper(stream, encoding="utf-8")))
    return found


class UrlFilter(DocumentStep):
    """Reject documents by ``metadata["url"]``.

    Reasons: ``domain``, ``url``, ``banned word``, ``soft words``, ``banned substring``, ``no url``.
    """

    config: UrlFilterConfig

    def __init__(self, config: UrlFilterConfig) -> None:
        super().__init__(config)
        files = {"small": ("smallwright_quality", "lists"), "fineweb": ("datatrove", "assets")}.get(config.lists)
        shipped = {"small": "banned_substrings.txt", "fineweb": "banned_subwords.txt"}.get(config.lists, "")
        soft = {"small": "soft_words.txt", "fineweb": "soft_banned_words.txt"}.get(config.lists, "")
        self.banned_words = frozenset(_normalised([*_shipped(files, "banned_words.txt"), *config.banned_words]))
        self.soft_words = frozenset(_normalised([*_shipped(files, soft), *config.soft_words]))
        substrings = sorted(_normalised([*_shipped(files, shipped), *config.banned_substrings]))
        self.substrings = re.compile("|".join(map(re.escape, substrings))) if substrings else None
        small = _shipped(files, "domains.txt") if config.lists == "small" else ()
        self.domains = frozenset(map(str.lower, [*small, *config.domains, *entries_of_files(config.domain_files)]))
        self.urls = frozenset([*config.urls, *entries_of_files(config.url_files)])

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        if (
            self.config.lists == "fineweb"
            and not (importlib.resources.files("datatrove") / "assets" / _ARCHIVE).is_file()
        ):
            raise InputError(f"lists=fineweb: the installed datatrove has no {_ARCHIVE}; use lists=small.")

    def process_document(self, document: Document) -> Document:
        reason = self.reason(str(document.metadata.get("url") or ""))
        if reason is not None:
            raise Rejection(reason)
        return document

    def reason(self, url: str) -> str | None:
        """Return why ``url`` is blocked, or None."""
        if not url:
            return "no url" if self.config.missing_url == "reject" else None
        large = fineweb_lists() if self.config.lists == "fineweb" else {}
        for host in _hosts(url):
            if host in self.domains or host in large.get("domains", ()):
                return "domain"
        if url in self.urls or url in large.get("urls", ()):
            return "url"
        lowered = url.lower()
        words = set(_NOT_WORD.split(lowered))
        if not words.isdisjoint(self.banned_words):
            return "banned word"
        enough = self.config.soft_word_threshold
        if enough is not None and len(words & self.soft_words) >= enough:
            return "soft words"
        if self.substrings is not None and self.substrings.search(_NOT_WORD.sub("", lowered)):
            return "banned substring"
        return None


def _digest(entry: str) -> int:
    return xxhash.xxh3_64_intdigest(entry.encode("utf-8", "surrogatepass"))


def _hosts(url: str) -> Iterator[str]:
    """Yield the host of ``url`` and each parent of it down to two labels."""
    host = host_of(url)
    if host:
        labels = host.split(".")
        for start in range(max(1, len(labels) - 1)):
            yield ".".join(labels[start:])


def _shipped(place: tuple[str, str] | None, name: str) -> list[str]:
    if place is None:
        return []
    text = (importlib.resources.files(place[0]) / place[1] / name).read_text(encoding="utf-8")
    return list(entries(text.splitlines()))


def _normalised(words: Iterable[str]) -> set[str]:
    return {normal for word in words if (normal := _NOT_WORD.sub("", word.lower()))}
