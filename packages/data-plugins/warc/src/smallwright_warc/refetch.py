"""Step ``refetch``: give documents their raw page again, to extract it in another way."""

from collections import Counter
from collections.abc import Iterator

from core.data.pages import EXTRACTED
from core.data.recipe import expand
from core.data.steps import batched
from datatrove.data import Document

from smallwright_warc.config import RefetchConfig
from smallwright_warc.entries import ArchiveEntry
from smallwright_warc.fetch import Fetcher, Place
from smallwright_warc.index import is_below, whole_number
from smallwright_warc.page import Aside, PageStep
from smallwright_warc.read_index import join
from smallwright_warc.urls import normalize_url

NO_PLACE = Aside(True, "no place in an archive")
NO_ARCHIVE = Aside(True, "archive not among the files")
OUTSIDE = Aside(True, "path outside of the prefix")
AMBIGUOUS = Aside(True, "several archives of this name")
OTHER_PAGE = Aside(True, "another page at the place")


class Refetch(PageStep):
    """Replace each document's text by its page, read again from the archive that it came from.

    The archive is found by the name in ``warc_file`` among ``paths``, or where none are given among the recipe's
    input files, so that it does not matter in which folder it lies; or, with ``prefix``, by ``warc_path`` below it.
    Documents come out in the order they came in. Metadata of earlier steps stays.

    FineMath (SmolLM2 §3.3.2) needs this: pages found with a first extraction and classifier are extracted again so
    that their formulas are kept.
    """

    def __init__(self, config: RefetchConfig | None = None) -> None:
        super().__init__(config or RefetchConfig())
        self.config: RefetchConfig
        self._paths: dict[str, str] = {}
        self._ambiguous: set[str] = set()

    def bind(self, context) -> None:
        """Find the archives, before any work.

        Raises:
            InputError: ``paths`` names files that do not exist.
        """
        super().bind(context)
        files = context.files
        if self.config.paths:
            files = expand(self.config.paths, f"data.steps.{context.label}")
        names = [(file.rstrip("/").rsplit("/", 1)[-1], file) for file in files]
        self._paths = dict(names)
        self._ambiguous = {name for name, count in Counter(name for name, _ in names).items() if count > 1}

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        """Yield the documents with their pages."""
        fetcher = Fetcher(self.config, self.pages.wants)
        for batch in batched(documents, self.config.batch_documents):
            asides: list[Aside | None] = [NO_PLACE] * len(batch)
            places: list[Place] = []
            numbers: list[int] = []
            for number, document in enumerate(batch):
                place = self._place(document)
                if isinstance(place, Aside):
                    asides[number] = place
                else:
                    places.append(place)
                    numbers.append(number)
            for which, entry in fetcher.fetch(places):
                asides[numbers[which]] = self._fill(batch[numbers[which]], entry)
            for document, aside in zip(batch, asides, strict=True):
                if aside is None:
                    yield document
                else:
                    aside.set_aside(self, document)

    def _place(self, document: Document) -> Place | Aside:
        metadata = document.metadata
        name, offset, length = metadata.get("warc_file"), metadata.get("warc_offset"), metadata.get("warc_length")
        offset = whole_number(offset)
        if not isinstance(name, str) or offset is None or (length is not None and not (length := whole_number(length))):
            return NO_PLACE
        indexed = metadata.get("warc_path")
        if self.config.prefix is not None and isinstance(indexed, str):
            if not is_below(indexed):
                return OUTSIDE
            path = join(self.config.prefix, indexed)
        elif name in self._ambiguous:
            return AMBIGUOUS
        elif name in self._paths:
            path = self._paths[name]
        else:
            return NO_ARCHIVE
        return Place(path=path, offset=offset, length=length, record=document.id if length is None else None)

    def _fill(self, document: Document, entry: ArchiveEntry) -> Aside | None:
        url = entry.headers.get("warc-target-uri", "").strip().strip("<>")
        known = str(document.metadata.get("url") or "")
        if entry.problem is None and url and known and normalize_url(url) != normalize_url(known):
            return OTHER_PAGE
        document.metadata.pop(EXTRACTED, None)
        return self.pages.fill(document, entry)
