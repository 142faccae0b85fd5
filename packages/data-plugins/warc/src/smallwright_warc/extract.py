"""Step ``extract_text``: from HTML to the text of its main content, formulas kept."""

import re

from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree, traverse_dom

from smallwright_warc.config import ExtractTextConfig
from smallwright_warc.maths import keep_maths

TAGS_WITHOUT_DEPTH_CHECK = 5000
"""A page with fewer tags cannot be nested deep enough to cost more than about half a second."""


class _TooDeepError(Exception):
    pass


class ExtractText(DocumentStep):
    """Replace HTML by its main text (Resiliparse); plain text passes with its line ends made uniform.

    The title, where there is one, goes to ``metadata["title"]``, the number of formulas found in markup to
    ``metadata["formulas"]``.
    """

    type = "extractor"

    def __init__(self, config: ExtractTextConfig | None = None) -> None:
        super().__init__(config or ExtractTextConfig())
        self.config: ExtractTextConfig

    def process_document(self, document: Document) -> Document:
        """Extract, or reject as ``larger than the limit``, ``nested too deeply`` or ``no text``."""
        source = document.text
        if (
            len(source) > self.config.max_page_bytes
            or len(source.encode("utf-8", "replace")) > self.config.max_page_bytes
        ):
            document.text = source[:1000]
            raise Rejection("larger than the limit")
        if document.metadata.get("content_type") == "text/plain":
            text = re.sub(r"\r\n?", "\n", source).replace("\0", "").strip()
        else:
            text = self._from_html(document, source)
        if len(text) < self.config.min_characters:
            document.text = text
            raise Rejection("no text")
        document.text = text
        return document

    def _from_html(self, document: Document, source: str) -> str:
        tree = HTMLTree.parse(source)
        if tree.body is None:
            return ""
        if source.count("<") > TAGS_WITHOUT_DEPTH_CHECK and is_deeper(tree, self.config.max_depth):
            document.text = source[:1000]
            raise Rejection("nested too deeply")
        if self.config.math and (formulas := keep_maths(tree, source)):
            document.metadata["formulas"] = formulas
        if title := (tree.title or "").strip():
            document.metadata["title"] = title[:300]
        return extract_plain_text(
            tree,
            preserve_formatting=True,
            main_content=self.config.main_content,
            list_bullets=self.config.list_bullets,
            comments=self.config.comments,
            alt_texts=False,
            links=False,
        ).strip()


def is_deeper(tree: HTMLTree, limit: int) -> bool:
    """Whether elements are nested more than ``limit`` deep."""

    def check(context) -> None:
        if context.depth > limit:
            raise _TooDeepError

    try:
        if tree.body is not None:
            traverse_dom(tree.body, check)
    except _TooDeepError:
        return True
    return False
