"""Code blocks and tables: kept line by line, whatever the extractor makes of white space."""

import re
from typing import Any

from resiliparse.parse.html import HTMLTree

from smallwright_extract.html_lines import has_lines, lines_of
from smallwright_extract.marks import Marks

LANGUAGE = re.compile(
    r"(?:^|\s)(?:lang(?:uage)?|highlight(?:-source)?|brush:?)[-\s:]\s?([A-Za-z0-9+#]{1,20})(?=$|[\s;])"
)
MAX_CELLS = 20_000
"""Larger tables are left to the extractor."""
MAX_SPAN = 100
"""Most rows or columns that one cell takes."""


class Blocks:
    """Code and tables, written before extraction; with an extractor that changes white space, held until after it.

    Args:
        marks: Marks of the page.
        held: Leave a mark in the place of each block, and put the block back afterwards.
    """

    def __init__(self, marks: Marks, held: bool) -> None:
        self._marks = marks
        self._keeps = held
        self._held: list[str] = []

    def take_code(self, tree: HTMLTree, fences: bool) -> bool:
        """Write the code blocks of ``tree``; return whether it was changed.

        Args:
            fences: Write code between three backticks, with its language where the page names one.
        """
        body: Any = tree.body
        return any([self._take_code(block, fences) for block in body.query_selector_all("pre").values()])  # noqa: C419

    def take_tables(self, tree: HTMLTree) -> bool:
        """Write the tables of data in ``tree`` as Markdown; return whether there were any."""
        body: Any = tree.body
        changed = False
        for table in body.query_selector_all("table").values():
            if table.parent is not None and (rows := _rows(table)):
                block = tree.create_element("pre")
                self._put(block, _caption(table) + markdown_table(rows))
                table.parent.replace_child(block, table)
                changed = True
        return changed

    def _take_code(self, block: Any, fences: bool) -> bool:
        lines = has_lines(block)
        if not (lines or fences or self._keeps):
            return False
        code = (lines_of(block) if lines else block.text or "").strip("\n").rstrip()
        if not code or self._marks.block in code:
            return False
        if fences:
            fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", code)), default=0))
            code = f"{fence}{_language(block)}\n{code}\n{fence}"
        self._put(block, code)
        return True

    def put_back(self, text: str) -> str:
        """Return ``text`` with the blocks in the place of their marks."""
        if not self._held:
            return text
        return re.sub(rf"{self._marks.block}x(\d+)x", lambda match: self._held[int(match.group(1))], text)

    def _put(self, block: Any, content: str) -> None:
        if self._keeps:
            block.text = f"{self._marks.block}x{len(self._held)}x"
            self._held.append(content)
        else:
            block.text = content


def markdown_table(rows: list[list[str]]) -> str:
    """Write rows of cells as a Markdown table; the first row is its head."""
    width = max(map(len, rows))
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _rows(table: Any) -> list[list[str]]:
    """Cells of a table of data, in their columns; nothing for tables that only lay out a page.

    A cell over several rows is repeated in each, so that every row says what it is about; one over several columns is
    followed by empty ones.
    """
    if table.query_selector("table, p + p, ul, form, h1, h2, h3, pre") is not None:
        return []
    rows = []
    cells = 0
    below: dict[int, tuple[int, str]] = {}  # column -> rows still to come, and their text
    for row in table.query_selector_all("tr").values():
        texts: list[str] = []
        for cell in row.query_selector_all("th, td").values():
            _repeat(below, texts)
            text = _cell(cell)
            columns, height = _span(cell, "colspan"), _span(cell, "rowspan")
            for column in range(len(texts), len(texts) + columns) if height > 1 else ():
                below[column] = (height - 1, text if column == len(texts) else "")
            texts += [text] + [""] * (columns - 1)
        if texts:
            _repeat(below, texts)
        cells += len(texts)
        if cells > MAX_CELLS:
            return []
        if any(texts):
            rows.append(texts)
    return rows if len(rows) > 1 and max(map(len, rows)) > 1 else []


def _repeat(below: dict[int, tuple[int, str]], texts: list[str]) -> None:
    """Append what reaches into the next columns of this row from above."""
    while (column := len(texts)) in below:
        left, text = below.pop(column)
        texts.append(text)
        if left > 1:
            below[column] = (left - 1, text)


def _cell(cell: Any) -> str:
    text = lines_of(cell) if cell.first_element_child is not None else cell.text or ""
    return " ".join(text.split()).replace("|", r"\|")


def _span(cell: Any, name: str) -> int:
    value = (cell.getattr(name) or "1").strip()
    return max(1, min(int(value), MAX_SPAN)) if value.isascii() and value.isdecimal() and len(value) < 9 else 1


def _caption(table: Any) -> str:
    caption = table.query_selector("caption")
    text = " ".join(lines_of(caption).split()) if caption is not None else ""
    return f"{text}\n\n" if text else ""


def _language(block: Any) -> str:
    code = block.query_selector("code")
    parent = block.parent
    grandparent = parent.parent if parent is not None else None
    for node in (code, block, parent, grandparent):
        if node is not None and (match := LANGUAGE.search(node.getattr("class") or "")):
            return match.group(1).lower()
    return ""
