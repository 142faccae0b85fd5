"""Step ``extract_text``: from HTML to the text of its main content, formulas, code and tables kept."""

import importlib.util
from collections.abc import Callable, Iterator

from core.data.pages import EXTRACTED, utf8_of
from core.data.steps import Step, StepContext
from core.errors import ConfigError
from datatrove.data import Document

from smallwright_extract.child import Outcome, child_of_this_process, outcome
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.page import NO_TEXT, plain_text

NOT_A_PAGE = "text already extracted"
TOO_LARGE = "larger than the limit"
BATCH_PAGES = {"resiliparse": 64, "trafilatura": 8}
BATCH_CHARACTERS = 1 << 20
"""Pages go to the child in batches of so many pages, or so many characters. A batch is large enough to make the
exchange cheap, and small enough to stay in the processor's caches. It also takes far less than the time limit of one
page: a batch over that limit is done again page by page."""


class ExtractText(Step):
    """Replace HTML by its main text; plain text passes with its line ends made uniform.

    The title, where there is one, goes to ``metadata["title"]``, the number of formulas found in markup to
    ``metadata["formulas"]``. Pages are rejected as ``larger than the limit``, ``nested too deeply``, ``no text`` or
    ``only boilerplate``, and fail with ``time limit``, ``memory limit``, ``crashed the extractor`` or the name of an
    error. A document that another ``extract_text`` has had fails with ``text already extracted``; ``refetch`` gives it
    its page again. A page that fails keeps the first thousand characters of its source.
    """

    type = "extractor"

    def __init__(self, config: ExtractTextConfig | None = None) -> None:
        super().__init__(config or ExtractTextConfig())
        self.config: ExtractTextConfig

    def bind(self, context: StepContext) -> None:
        """Check that the extractor is installed, before any work.

        Raises:
            ConfigError: it is not.
        """
        super().bind(context)
        if self.config.extractor == "trafilatura" and importlib.util.find_spec("trafilatura") is None:
            raise ConfigError(
                f"data.steps.{context.label}.extractor=trafilatura: Trafilatura is not installed. "
                "Install smallwright-data-extract[trafilatura]."
            )

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        """Yield the pages that have text, in the order in which they come."""
        if not self.config.isolate:
            for document in documents:
                yield from self._settle([document], self._here)
            return
        child = child_of_this_process(self.config)
        batch: list[Document] = []
        most_pages = BATCH_PAGES[self.config.extractor]
        characters = 0
        for document in documents:
            batch.append(document)
            characters += len(document.text)
            if len(batch) >= most_pages or characters >= BATCH_CHARACTERS:
                yield from self._settle(batch, child.extract)
                batch, characters = [], 0
        if batch:
            yield from self._settle(batch, child.extract)

    def _here(self, pages: list[bytes]) -> list[Outcome]:
        return [outcome(page, self.config) for page in pages]

    def _settle(self, batch: list[Document], extract: Callable[[list[bytes]], list[Outcome]]) -> Iterator[Document]:
        """Extract the pages of ``batch`` and yield the kept ones; set the others aside."""
        outcomes = [self._without_extractor(document) for document in batch]
        pages = [utf8_of(document.text) for document, known in zip(batch, outcomes, strict=True) if known is None]
        extracted = iter(extract(pages) if pages else ())
        for document, known in zip(batch, outcomes, strict=True):
            result = next(extracted) if known is None else known
            if result.failed:
                if result.error:
                    document.metadata["error"] = result.error
                document.text = document.text[:1000]
                self.fail(document, result.failed)
                continue
            document.text = result.text
            if result.title:
                document.metadata["title"] = result.title
            if result.formulas:
                document.metadata["formulas"] = result.formulas
            if result.rejected:
                self.reject(document, result.rejected)
            else:
                yield document

    def _without_extractor(self, document: Document) -> Outcome | None:
        """Return the outcome of a page that needs no extractor; None for every other page."""
        if document.metadata.get(EXTRACTED) is True:  # a row of a table can have a column of this name
            return Outcome(document.text, failed=NOT_A_PAGE)
        document.metadata[EXTRACTED] = True
        source, limit = document.text, self.config.max_page_bytes
        if len(source) > limit or (4 * len(source) > limit and len(source.encode("utf-8", "replace")) > limit):
            return Outcome(source[:1000], rejected=TOO_LARGE)
        if document.metadata.get("content_type") != "text/plain":
            return None
        text = plain_text(source)
        return Outcome(text, rejected="" if len(text) >= self.config.min_characters else NO_TEXT)
