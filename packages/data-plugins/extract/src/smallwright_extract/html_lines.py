"""The text of an element line by line, as a browser would lay it out."""

from typing import Any

from resiliparse.parse.html import TEXT

LINE_TAGS = frozenset(
    {"address", "article", "blockquote", "dd", "div", "dl", "dt", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
     "li", "ol", "p", "pre", "section", "table", "tr", "ul"}
)  # fmt: skip
CELLS = ("td", "th")
LINE_CLASSES = frozenset({"line", "code-line", "token-line", "view-line", "cm-line", "CodeMirror-line"})
"""What syntax highlighters call the ``<span>`` of one line; their style sheets make a block of it."""
LINES_SELECTOR = ", ".join(
    ["br", *sorted(LINE_TAGS), *(f"span.{name}" for name in sorted(LINE_CLASSES)), "span[data-line]", "code + code",
     'span[style*="display:block"]', 'span[style*="display: block"]']
)  # fmt: skip


def has_lines(node: Any) -> bool:
    """Whether elements divide the text of ``node`` into lines."""
    return node.query_selector(LINES_SELECTOR) is not None


def lines_of(node: Any) -> str:
    r"""Return the text of ``node`` with a line end wherever an element begins a new line; spaces stay as they are.

    Cells of a table are parted by tabs. White space between two such elements is layout of the source. A line end of
    the source right after ``<br>``, which is how source code becomes HTML line by line, counts no second time.
    """
    several = node.query_selector("code + code") is not None
    lines = _Lines()
    current, entering = node.first_child, True
    while current is not None and current != node:
        if current.type == TEXT:
            lines.text(current.value or "")
        elif current.tag == "br":
            lines.line_break()
        elif current.tag in CELLS:
            if not entering or current.first_child is None:
                lines.cell_end()
        elif _is_line(current, several):
            lines.edge()
        if entering and current.first_child is not None:
            current = current.first_child
        elif current.next_sibling is not None:
            current, entering = current.next_sibling, True
        else:
            current, entering = current.parent, False
    return "".join(lines.parts)


class _Lines:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._held = ""  # white space that is layout if a line's element comes next, and indentation if text does
        self._pending = True  # whether what comes next begins a line
        self._after_break = False
        self._after_cell = False

    def text(self, text: str) -> None:
        if self._after_cell and text.isspace():
            return
        if self._pending and text.isspace():
            self._held += text
            return
        text, self._held = self._held + text, ""
        if text.startswith("\n") and (self._pending or self._after_break) and self.parts:
            text = text[1:]
        self._begin()
        self._after_break = False
        if text:
            self.parts.append(text)

    def line_break(self) -> None:
        self._begin()
        self.parts.append("\n")
        self._held, self._after_break = "", True

    def edge(self) -> None:
        """Note that a line's element begins or ends here."""
        if self.parts and (blank := self._held.count("\n") - 1) > 0:
            self._begin()
            self.parts.append("\n" * blank)
        self._held, self._pending, self._after_break, self._after_cell = "", True, False, False

    def cell_end(self) -> None:
        """Note that a cell of a table ends here, behind which another may follow."""
        self._after_cell = not self._pending

    def _begin(self) -> None:
        if self._pending and self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n")
        elif self._after_cell:
            self.parts.append("\t")
        self._pending = self._after_cell = False


def _is_line(node: Any, several: bool) -> bool:
    tag = node.tag
    if tag in LINE_TAGS:
        return True
    if tag == "code":
        return several
    if tag != "span":
        return False
    style = (node.getattr("style") or "").replace(" ", "")
    names = (node.getattr("class") or "").split()
    return "display:block" in style or node.getattr("data-line") is not None or not LINE_CLASSES.isdisjoint(names)
