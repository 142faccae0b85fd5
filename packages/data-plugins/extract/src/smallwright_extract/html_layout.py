"""Code blocks and tables: kept line by line, whatever the extractor makes of white space."""

import hashlib
import re
from typing import Any

from resiliparse.parse.html import HTMLTree

LANGUAGE = re.compile(
    r"(?:^|\s)(?:lang(?:uage)?|highlight(?:-source)?|brush:?)[-\s:]\s?([A-Za-z0-9+#]{1,20})(?=$|[\s;])"
)
MAX_CELLS = 20_000
"""Larger tables are left to the extractor."""


class Blocks:
    """Blocks taken out of a page before extraction and put back into its text.

    Args:
        html: Source of the page; the marks that stand for blocks depend on it, so that no page can hold them.
        marks: Leave a mark in the place of each block, for extractors that change white space inside blocks; without
            marks the block stays there.
    """

    def __init__(self, html: str, marks: bool) -> None:
        self._marks = marks
        self._prefix = "block" + hashlib.blake2b(html.encode("utf-8", "replace"), digest_size=8).hexdigest()
        self._held: list[str] = []

    def take(self, tree: HTMLTree, fences: bool, tables: bool) -> None:
        """Take code blocks, and with ``tables`` data tables as Markdown, out of ``tree``.

        Args:
            fences: Write code between three backticks, with its language where the page names one.
        """
        body: Any = tree.body
        if tables:
            for table in body.query_selector_all("table").values():
                if table.parent is not None and (rows := _rows(table)):
                    block: Any = tree.create_element("pre")
                    self._put(block, markdown_table(rows))
                    table.parent.replace_child(block, table)
        if not (fences or self._marks):
            return
        for block in body.query_selector_all("pre").values():
            code = (block.text or "").strip("\n").rstrip()
            if not code or self._prefix in code or (tables and code.startswith("| ") and "\n| ---" in code):
                continue
            if fences:
                fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", code)), default=0))
                code = f"{fence}{_language(block)}\n{code}\n{fence}"
            self._put(block, code)

    def put_back(self, text: str) -> str:
        """Return ``text`` with the blocks in the place of their marks."""
        if not self._held:
            return text
        return re.sub(rf"{self._prefix}x(\d+)x", lambda match: self._held[int(match.group(1))], text)

    def _put(self, block: Any, content: str) -> None:
        if self._marks:
            block.text = f"{self._prefix}x{len(self._held)}x"
            self._held.append(content)
        else:
            block.text = content


def markdown_table(rows: list[list[str]]) -> str:
    """Write rows of cells as a Markdown table; the first row is its head."""
    width = max(map(len, rows))
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _rows(table: Any) -> list[list[str]]:
    """Cells of a table of data; nothing for tables that only lay out a page."""
    if table.query_selector("table, p + p, ul, form, h1, h2, h3, pre") is not None:
        return []
    rows = []
    cells = 0
    for row in table.query_selector_all("tr").values():
        texts = [
            re.sub(r"\s+", " ", cell.text or "").strip().replace("|", r"\|")
            for cell in row.query_selector_all("th, td").values()
        ]
        cells += len(texts)
        if cells > MAX_CELLS:
            return []
        if any(texts):
            rows.append(texts)
    return rows if len(rows) > 1 and max(map(len, rows)) > 1 else []


def _language(block: Any) -> str:
    code = block.query_selector("code")
    parent = block.parent
    grandparent = parent.parent if parent is not None else None
    for node in (code, block, parent, grandparent):
        if node is not None and (match := LANGUAGE.search(node.getattr("class") or "")):
            return match.group(1).lower()
    return ""
