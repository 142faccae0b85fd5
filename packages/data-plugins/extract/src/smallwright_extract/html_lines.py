"""The text of an element line by line, as a browser would lay it out."""

import re
from collections.abc import Callable
from typing import Any

from resiliparse.parse.html import ELEMENT, TEXT

LINE_TAGS = frozenset(
    {"address", "article", "blockquote", "dd", "div", "dl", "dt", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
     "li", "ol", "p", "pre", "section", "table", "tr", "ul"}
)  # fmt: skip
CELLS = ("td", "th")
LINE_CLASSES = frozenset({"line", "code-line", "token-line", "view-line", "cm-line", "CodeMirror-line"})
"""What syntax highlighters call the ``<span>`` of one line; their style sheets make a block of it."""
NOT_PLAIN_TAGS = frozenset(
    {"iframe", "math", "noembed", "noframes", "noscript", "plaintext", "script", "style", "svg", "template", "xmp",
     *CELLS}
)  # fmt: skip
"""Whose text is written without escapes, or is no text of the page; and what stands in no line alone."""
TAG = re.compile(r"""(<[^<>"]*+(?:"[^"]*"[^<>"]*+)*+>)""")
PLAIN_TAG = re.compile(r"""</?([a-z][a-z0-9]*)((?: [a-z][a-z0-9:_-]*="[^"]*")*)>""")
ATTRIBUTE = re.compile(r""" ([a-z0-9:_-]+)="([^"]*)\"""")
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
    written = _lines_of_source(node.inner_html, several)
    return _lines_of_tree(node, several) if written is None else written


def _lines_of_source(source: str, several: bool) -> str | None:
    """Return the lines of an element whose content is ``source``; None where it may hold more than plain elements.

    Highlighted code has an element for every word, and visiting each in the tree takes many times as long.
    """
    lines = _Lines()
    steps: dict[str, Callable[[], None] | None] = {}
    spans: list[Callable[[], None] | None] = []  # a span's end says nothing of what its beginning did
    for number, part in enumerate(TAG.split(source)):
        if number % 2 == 0:
            if "<" in part or ">" in part:
                return None
            if part:
                lines.text(_unescaped(part))
            continue
        if part not in steps:
            match = PLAIN_TAG.fullmatch(part)
            if match is None or match[1] in NOT_PLAIN_TAGS:
                return None
            tag, attributes = match.groups()
            if tag == "br":
                steps[part] = lines.line_break
            elif _is_line(tag, dict(ATTRIBUTE.findall(_unescaped(attributes))).get, several):
                steps[part] = lines.edge
            else:
                steps[part] = None
        step = spans.pop() if part == "</span>" else steps[part]
        if part.startswith("<span"):
            spans.append(step)
        if step is not None:
            step()
    return "".join(lines.parts)


def _lines_of_tree(node: Any, several: bool) -> str:
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
        elif current.type == ELEMENT and _is_line(current.tag, current.getattr, several):
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


def _is_line(tag: str | None, attribute: Callable[[str], str | None], several: bool) -> bool:
    if tag in LINE_TAGS:
        return True
    if tag == "code":
        return several
    if tag != "span":
        return False
    style = (attribute("style") or "").replace(" ", "")
    names = (attribute("class") or "").split()
    return "display:block" in style or attribute("data-line") is not None or not LINE_CLASSES.isdisjoint(names)


def _unescaped(text: str) -> str:
    """Undo what serialising does to text."""
    if "&" not in text:
        return text
    return text.replace("&nbsp;", "\xa0").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
