"""Mark-up that an engine takes for something else, made such that it understands it."""

import re
from typing import Any

from resiliparse.parse.html import COMMENT, TEXT, HTMLTree

LISTS_SELECTOR = (
    "ul:is(body > ul, body > * > ul, body > * > * > ul, p ~ ul, h2 ~ ul, h3 ~ ul, h4 ~ ul, ul:has(a):has(~ p))"
)
"""Lists near the top, and lists with links among paragraphs: looking at every list would take as long as extracting."""
DEPTH = 4
LINKED_LIST = 0.5
"""Share of text in links up to which a list is text; menus are links alone."""
NAVIGATION_SHARE = 0.2

LINK_TAG = re.compile(r"""<a(?=[\s>])(?:"[^"]*"|[^">])*>|</a>""")
ANY_TAG = re.compile(r"<[^>]*>")
INLINE_TAGS = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img",
     "ins", "kbd", "mark", "math", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt",
     "u", "var", "wbr"}
)  # fmt: skip


BROKEN_SELECTOR = ":is(div, section, article, main, center, span, font, b, strong, i, em):has(> br)"
MIXED_SELECTOR = ":is(div, section, article, main, center):not(:has(> br)):has(> p)"
LOOSE_TEXT = 20
"""Characters outside of links from which text between blocks is no label, button or date."""
WHOLE = "p, li, td, th, dd, dt, pre, h1, h2, h3, h4, h5, h6, a, blockquote"
"""In these Trafilatura keeps text and line breaks."""
NOT_INLINE = "div, p, ul, ol, dl, table, section, article, h1, h2, h3, h4, h5, h6, pre, blockquote"
UNSEEN_TAGS = frozenset(
    {"script", "style", "noscript", "svg", "iframe", "template", "object", "embed", "canvas", "audio", "video", "map",
     "nav", "select", "button", "dialog"}
)  # fmt: skip
UNSEEN_SELECTOR = (
    f"{', '.join(sorted(UNSEEN_TAGS))}, "
    '[hidden], [aria-hidden="true"], [style*="display:none" i], [style*="display: none" i]'
)
LITTLE = 200
"""Characters up to which a hidden element is not looked at."""
SHOWN_LATER = 0.3
"""Share of a page's text from which a hidden element is what the page is about, shown by a script."""


def remove_unseen(tree: HTMLTree) -> None:
    """Remove from ``tree`` what is no text: scripts, controls, menus, and what the page does not show."""
    body: Any = tree.body
    hidden = []
    for node in body.query_selector_all(UNSEEN_SELECTOR).values():
        if node.tag in UNSEEN_TAGS:
            node.remove()
        else:
            hidden.append(node)
    total = 0
    for node in hidden:
        if (size := len(node.text or "")) > LITTLE:
            total = total or len(body.text or "")
        if size <= LITTLE or size <= SHOWN_LATER * total:
            node.remove()


def keep_lists(tree: HTMLTree, lists: list[Any] | None = None) -> None:
    """Let Resiliparse see lists of text as text.

    For it every ``<ul>`` less than four elements below the body is navigation, and so is every other of whose text more
    than a fifth stands in links. So lists of text are put deeper, and their links become plain text, which they are
    written as in any case.

    Args:
        lists: What :data:`LISTS_SELECTOR` finds, if it is known: a walk through the tree costs a tenth of extracting.
    """
    body: Any = tree.body
    for node in body.query_selector_all(LISTS_SELECTOR).values() if lists is None else lists:
        text = node.text or ""
        size = _length(text)
        # Links are looked for in the source, since visiting each of them takes as long as all the rest.
        source = node.inner_html if size else ""
        linked = _linked(source)
        if not size or linked > LINKED_LIST * size:
            continue
        if linked > NAVIGATION_SHARE * len(text):
            node.inner_html = LINK_TAG.sub("", source)
        _lower(tree, node)


def _linked(source: str) -> int:
    """Characters of text in links."""
    linked = 0
    for piece in source.split("</a>")[:-1]:
        text = piece[piece.rfind("<a") :].partition(">")[2]
        linked += _length(ANY_TAG.sub("", text) if "<" in text else text)
    return linked


def _length(text: str) -> int:
    """Characters of ``text`` as a page shows it: in the source, menus are often indented deeper than they are long."""
    return len(" ".join(text.split()))


def _lower(tree: HTMLTree, node: Any) -> None:
    depth, above = 1, node.parent
    while above is not None and above.tag != "body" and depth < DEPTH:
        depth, above = depth + 1, above.parent
    if depth >= DEPTH:
        return
    outer: Any = tree.create_element("div")
    node.replace_with(outer)
    inner = outer
    for _ in range(DEPTH - depth - 1):
        inner = inner.append_child(tree.create_element("div"))
    inner.append_child(node)


def paragraphs_of_breaks(tree: HTMLTree) -> bool:
    """Make paragraphs of text that only ``<br>`` divides, as Readability does; return whether there was any.

    Trafilatura loses what such an element holds in front of its first line break, and in front of its first paragraph.
    """
    body: Any = tree.body
    changed, breaks = False, body.query_selector("body > br") is not None
    for selector, least in ((BROKEN_SELECTOR, 1), (MIXED_SELECTOR, LOOSE_TEXT)):
        found = [node for node in body.query_selector_all(selector).values() if node.closest(WHOLE) is None]
        if breaks is (least == 1):
            found.append(body)
        for node in found:
            changed = _divide(tree, node, least) or changed
    return changed


def _divide(tree: HTMLTree, parent: Any, least: int) -> bool:
    """Put runs of inline content into paragraphs, which end with a double line break or where a block begins.

    Args:
        least: Characters outside of links from which a run becomes a paragraph.
    """
    runs: list[tuple[list[Any], list[Any]]] = []  # each with the line breaks after it
    run: list[Any] = []
    breaks: list[Any] = []
    for child in parent.child_nodes.values():
        blank = child.type == TEXT and not (child.value or "").strip()
        if child.type == COMMENT:
            continue
        if child.tag == "br" or (blank and breaks):
            breaks.append(child)
        elif child.type == TEXT or (child.tag in INLINE_TAGS and child.query_selector(NOT_INLINE) is None):
            if sum(node.tag == "br" for node in breaks) > 1:
                runs.append((run, breaks))
                run = []
            else:
                run += breaks
            breaks = []
            run.append(child)
        else:
            runs.append((run, breaks))
            run, breaks = [], []
    runs.append((run, breaks))
    changed = False
    for run, breaks in runs:
        if sum(len((node.text or "").strip()) for node in run if least == 1 or node.tag != "a") >= least:
            changed = True
            paragraph: Any = tree.create_element("p")
            parent.insert_before(paragraph, run[0])
            for node in run:
                paragraph.append_child(node)
            for node in breaks:
                parent.remove_child(node)
    return changed
