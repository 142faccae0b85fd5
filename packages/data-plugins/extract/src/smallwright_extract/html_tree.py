"""A page as lists of numbers: what its elements are called, and how much text and how many links are in each.

Libxml2's tree is used here, since Python can visit its elements ten times as fast as those of Resiliparse.
"""

import html
from collections.abc import Iterable
from typing import Any

import lxml.etree

from smallwright_extract.html_names import kind_of

LONG_PARAGRAPH = 40
"""Characters from which a paragraph counts as running text."""
LONG_BLOCK = 140
"""Characters from which text that stands in an element of another kind counts as running too."""
LOOSE_TEXT = 40
"""Longest text outside of paragraphs, headings, lists and the like that may be left out as a label or a date."""
TEXT_TAGS = frozenset(
    {"p", "li", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "td", "th", "dd", "dt", "code", "q", "b",
     "strong", "em", "i", "u", "caption", "summary", "del", "ins", "samp", "kbd"}
)  # fmt: skip
TEXT_FOLLOWS = frozenset({"br", "ul", "ol", "table", "blockquote", "pre", "q"})
"""What stands right after one of these is text; what stands right before a line break is too."""
NO_BLOCKS = frozenset(
    {"a", "h1", "h2", "h3", "h4", "h5", "h6", "figcaption", "caption", "label", "summary", "time", "th", "address",
     "footer", "header", "aside", "form", "fieldset", "option"}
)  # fmt: skip
INLINE_TAGS = frozenset(
    {"span", "b", "strong", "i", "em", "u", "font", "abbr", "cite", "q", "code", "sup", "sub", "small", "big", "mark",
     "s", "tt"}
)  # fmt: skip
MOST_INLINE = 16
"""Elements in a line of text behind which its line break is looked for."""
VOID = frozenset({"br", "hr", "img", "wbr", "input", "area", "col", "embed", "source", "track"})
RULED_BY = ("class", "id", "role", "rel", "itemprop", "style", "hidden", "aria-hidden", "aria-expanded")
"""Attributes that Resiliparse's own rules look at."""


class Page:
    """The elements of a page's body in document order, without those that are never text.

    All lists are indexed by an element's place in this order.

    Args:
        source: HTML.

    Attributes:
        tags: Names of the elements.
        parents: Place of each element's parent; -1 for the body.
        ends: Place after the last element inside each.
        sizes: Characters of text inside each.
        linked: Those that stand in links.
        running: Those that stand in long paragraphs.
        own: Those of the element itself, if it is such a paragraph.
    """

    def __init__(self, source: str) -> None:
        parser = lxml.etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
        document = lxml.etree.fromstring(source.encode("utf-8", "replace"), parser=parser)
        body = document.find("body") if document is not None else None
        self.elements: list[Any] = []
        self.tags: list[str] = []
        self.parents: list[int] = []
        self.sizes: list[int] = []
        self.linked: list[int] = []
        self.running: list[int] = []
        self.places: dict[Any, int] = {}
        if body is not None:
            self._read(body)
            self._measure()

    def _read(self, body: Any) -> None:
        places, elements, tags, parents = self.places, self.elements, self.tags, self.parents
        for place, element in enumerate(body.iter()):
            places[element] = place
            elements.append(element)
            tags.append(element.tag)
            parents.append(places[element.getparent()] if place else -1)
        self.ends = ends = list(range(1, len(elements) + 1))
        for place in range(len(elements) - 1, 0, -1):
            parent = parents[place]
            if ends[parent] < ends[place]:
                ends[parent] = ends[place]

    def _measure(self) -> None:
        count = len(self.elements)
        sizes, linked, running, own, direct = [0] * count, [0] * count, [0] * count, [0] * count, [0] * count
        elements, tags, parents = self.elements, self.tags, self.parents
        for place in range(count - 1, -1, -1):
            element, tag, parent = elements[place], tags[place], parents[place]
            size, here = sizes[place], direct[place]
            if text := element.text:
                length = len(text.strip())
                size += length
                here += length
            sizes[place] = size
            if tag in INLINE_TAGS:
                direct[parent] += here
            elif tag == "a":
                linked[place] = size
            elif tag == "p" or tag == "pre":
                if size > LONG_PARAGRAPH:
                    own[place] = running[place] = size
            elif here > LONG_BLOCK and tag not in NO_BLOCKS:
                own[place] = here
                running[place] += here
            if place:
                if tail := element.tail:
                    length = len(tail.strip())
                    size += length
                    direct[parent] += length
                sizes[parent] += size
                linked[parent] += linked[place]
                running[parent] += running[place]
        self.sizes, self.linked, self.running, self.own = sizes, linked, running, own

    def kind(self, place: int) -> int:
        """What class and id of the element at ``place`` say, as :class:`~smallwright_extract.html_names.Name`."""
        element = self.elements[place]
        classes, identifier = element.get("class"), element.get("id")
        return kind_of(classes or "", identifier or "") if classes or identifier else 0

    def text(self, place: int) -> str:
        """Text of the element at ``place``."""
        return "".join(self.elements[place].itertext())

    def write(self, places: Iterable[int], dropped: set[int], attributes: bool = False, loose: bool = True) -> str:
        """Write the elements at ``places`` as HTML, without those at ``dropped`` and what is in them.

        Args:
            attributes: Also write the attributes by which Resiliparse tells boilerplate.
            loose: Also write short text that stands in none of :data:`TEXT_TAGS`.
        """
        parts = ["<html><body>"]
        for place in places:
            self._write(self.elements[place], dropped, attributes, parts, loose)
        parts.append("</body></html>")
        return "".join(parts)

    def _write(self, top: Any, dropped: set[int], attributes: bool, parts: list[str], loose: bool) -> None:
        walk = lxml.etree.iterwalk(top, events=("start", "end"))
        textual: set[int] = set()
        for event, element in walk:
            place = self.places[element]
            kept = place not in dropped
            if event == "start":
                if not kept:
                    walk.skip_subtree()
                    continue
                tag = element.tag
                of_text = loose or tag in TEXT_TAGS or self.parents[place] in textual
                if of_text or (tag in INLINE_TAGS and _meets_break(element)):
                    textual.add(place)
                text = element.text
                parts.append(f"<{tag}{_attributes(element) if attributes else ''}>")
                first = element[0] if len(element) else None
                if text and (place in textual or len(text) > LOOSE_TEXT or _meets_break(first)):
                    parts.append(html.escape(text, quote=False))
                continue
            if kept and element.tag not in VOID:
                parts.append(f"</{element.tag}>")
            if element.tail and element is not top:
                parent = self.parents[place]
                follows = element.tag in TEXT_FOLLOWS or len(element.tail) > LOOSE_TEXT
                if parent in textual or follows or _meets_break(element.getnext()):
                    parts.append(html.escape(element.tail, quote=False))


def _meets_break(element: Any) -> bool:
    """Whether a line of text that goes on with ``element`` ends with a line break."""
    for _ in range(MOST_INLINE):
        if element is None or not (element.tag in INLINE_TAGS or element.tag == "a"):
            break
        element = element.getnext()
    return element is not None and element.tag == "br"


def _attributes(element: Any) -> str:
    return "".join(f' {name}="{html.escape(value)}"' for name in RULED_BY if (value := element.get(name)) is not None)
