"""Find the article of a page: rules on names, paragraphs and links, applied before Resiliparse writes the text.

Resiliparse's own ``main_content`` decides by tags and class names, element by element, and keeps much that stands
beside an article. Here the element that holds the article is looked for first, and what is not text is left out of it.
``benchmarks/extraction_quality.py`` compares both with Trafilatura.
"""

from smallwright_extract.html_names import Name
from smallwright_extract.html_tree import Page

MIN_ARTICLE = 100
"""Characters of running text from which an element can be the article."""
ARTICLE_SHARE = 0.5
"""Share of the page's running text that the article must hold: pages of several teasers have no one article."""
WHOLE_ARTICLE = 500
"""Characters of running text from which an ``<article>`` is taken for a whole one, not for a teaser."""
INNER_SHARE = 0.9
"""Of several elements that are called the article, the innermost with this share of the most text is taken."""
PART_SHARE = 0.25
"""Elements with this share of the text of the longest one of the same name are parts of one article, or of a thread."""
COMMON_SHARE = 0.75
"""Where no class or id names the article, the smallest element with this share of the running text is taken for it."""
TIGHT, TIGHT_SIZE = 0.95, 0.6
"""Shares of running text and of all text that an inner element must hold to stand for the article."""
INTRODUCTION = 80
"""Characters from which a paragraph in front of that inner element is kept."""
KEPT_SHARE = 0.4
"""An element with more of the running text than this is not removed for its name, if there is no strong reason."""
STRONG_LEFT = 0.15
"""A part with a strong reason to go is removed if the rest has at least this share of its running text."""
WEAK_LEFT = 0.5
"""Share of text that must be left for weak names to count."""
LINKED, LINKED_LONG, LINKED_DOUBTFUL = 0.6, 0.8, 0.3
"""Shares of text in links from which blocks, long paragraphs and elements with a doubtful name are removed."""
LONG = 200
"""Characters from which a paragraph is long."""
SHORT = 80
"""Characters below which an element with a doubtful name is removed."""
SHORT_PARAGRAPH = 60
"""Characters from which a paragraph counts when no name tells where the article is."""
LOOSE = 500
"""Characters of running text from which short text that stands in no paragraph is none of the article's."""

IS_ARTICLE, IS_MAIN, IS_LEAD = int(Name.ARTICLE), int(Name.MAIN), int(Name.LEAD | Name.BOILERPLATE)
STRONG_TAGS = frozenset({"aside", "footer"})
NO_CONTENT_TAGS = frozenset({"aside", "footer", "form", "figcaption", "header"})
NEVER_REMOVED = frozenset(
    {"body", "article", "main", "h1", "em", "strong", "b", "i", "br", "a", "img", "code", "pre", "math"}
)
WEAK_TAGS = frozenset({"div", "li", "ul", "ol", "p", "section", "span", "dl"})
LINKED_TAGS = frozenset({"ul", "ol", "div", "section", "table", "p"})
CONTAINERS = frozenset({"div", "section", "article", "main", "td", "table", "tbody", "tr"})
HEADINGS = frozenset({"h2", "h3", "h4", "h5", "h6"})
LABELS = frozenset({"p", "strong", "div"})


def article_html(page: Page, comments: bool = True) -> str | None:
    """Return the HTML of a page's article alone, without what is not part of it; None if there is no article.

    Args:
        comments: Keep elements named as comments (those inside the article's element; others go with the rest).
    """
    if not page.elements:
        return None
    outer = _by_name(page, comments)
    dropped: set[int] = set()
    if outer is None:
        dropped = _prune(page, 0, comments)
        outer = _by_paragraphs(page, dropped)
        if outer is None:
            return None
    article = outer if comments else _inner(page, outer)
    lead = _lead(page, article)
    dropped |= _prune(page, outer, comments)
    before = [lead] if lead is not None else _introduction(page, outer, article, dropped)
    return page.write([*before, article], dropped, loose=page.running[article] < LOOSE)


def page_html(page: Page, comments: bool) -> str:
    """Return the HTML of a page without what is named as boilerplate."""
    return page.write([0], _prune(page, 0, comments), attributes=True) if page.elements else ""


def _prune(page: Page, top: int, comments: bool) -> set[int]:
    """Places of what names or links show to be no running text, inside the element at ``top``."""
    dropped, left = _dropped(page, top, comments, weak=True)
    if left < WEAK_LEFT * page.sizes[top]:
        dropped, _ = _dropped(page, top, comments, weak=False)
    return dropped


def _dropped(page: Page, top: int, comments: bool, weak: bool) -> tuple[set[int], int]:
    """Places of what is left out, and the characters that are left."""
    tags, sizes, linked, running = page.tags, page.sizes, page.linked, page.running
    named = Name.BOILERPLATE | (0 if comments else Name.COMMENTS)
    strong = int(Name.STRONG | (0 if comments else Name.COMMENTS))
    sure, doubtful = int(named), int(Name.DOUBTFUL)
    weakly = int(Name.WEAK) if weak else 0
    total, most = sizes[top], KEPT_SHARE * running[top]
    left, running_left = total, running[top]
    header = 0
    dropped: set[int] = set()
    place, end = top + 1, page.ends[top]
    while place < end:
        tag, size = tags[place], sizes[place]
        if tag in NEVER_REMOVED:
            place += 1
            continue
        kind = page.kind(place)
        out = False
        if (
            tag in NO_CONTENT_TAGS
            or kind & sure
            or (kind & weakly and tag in WEAK_TAGS)
            or (kind & doubtful and (size < SHORT or linked[place] > LINKED_DOUBTFUL * size))
        ):
            out = size <= most or running[place] <= most
            if not out and (tag in STRONG_TAGS or kind & strong):
                rest = running_left - running[place]
                out = rest >= MIN_ARTICLE and rest >= STRONG_LEFT * running[place]
        elif tag in LINKED_TAGS:
            share = LINKED_LONG if tag == "p" and size >= LONG else LINKED
            out = 0 < size < KEPT_SHARE * total and linked[place] > share * size
        elif place < header:
            out = not running[place]
        if tag == "header" and running[place]:
            out, header = False, page.ends[place]
        if out:
            left -= size
            running_left -= running[place]
            _drop(page, place, dropped)
            place = page.ends[place]
        else:
            place += 1
    return dropped, left


def _drop(page: Page, place: int, dropped: set[int]) -> None:
    """Drop an element, and the heading that stood over it alone ("More on this:")."""
    dropped.add(place)
    element = page.elements[place]
    above = element.getprevious()
    while above is not None and page.places[above] in dropped:
        above = above.getprevious()
    if above is None:
        return
    before = page.places[above]
    label = page.tags[before] in LABELS and page.sizes[before] < 60 and page.text(before).strip().endswith(":")
    if label or page.tags[before] in HEADINGS:
        after = element.getnext()
        if after is None or after.tag in HEADINGS:
            dropped.add(before)


def _by_name(page: Page, comments: bool) -> int | None:
    """The element that is called the article, or holds all that are, if it holds most of the running text.

    Args:
        comments: Take every element that is called so for a part, however short, such as an answer in a forum.
    """
    scope = 0 if comments else _first_of_several(page)
    needed = max(MIN_ARTICLE, ARTICLE_SHARE * page.running[scope])
    levels: list[list[int]] = [[], [], [], [], []]
    for place in range(max(1, scope), page.ends[scope]):
        if page.running[place] < MIN_ARTICLE:
            continue
        element, tag, kind = page.elements[place], page.tags[place], page.kind(place)
        role = element.get("role")
        of_levels = (
            "articlebody" in (element.get("itemprop") or "").lower(),
            kind & IS_ARTICLE,
            tag == "article" or role == "article",
            tag == "main" or role == "main",
            kind & IS_MAIN,
        )
        for level, is_one in zip(levels, of_levels, strict=True):
            if is_one:
                level.append(place)
    for found in levels:
        if found and page.running[place := _together(page, found, 0 if comments else PART_SHARE)] > needed:
            return place
    return None


def _together(page: Page, found: list[int], share: float) -> int:
    """The innermost of elements that hold each other; of parts that stand side by side, the element around them."""
    most = max(page.running[place] for place in found)
    parts: list[int] = []
    for place in found:
        if page.running[place] < share * most:
            continue
        if not parts or place >= page.ends[parts[-1]]:
            parts.append(place)
        elif len(parts) == 1 and page.running[place] >= INNER_SHARE * most:
            parts[-1] = place
    around = parts[0]
    while page.ends[around] < page.ends[parts[-1]]:
        around = page.parents[around]
    return around


def _first_of_several(page: Page) -> int:
    """The first of several whole articles, one after the other on one page; the body on other pages."""
    found: list[int] = []
    place = 1
    while place < len(page.elements):
        if page.running[place] < WHOLE_ARTICLE:
            place = page.ends[place]
        elif page.tags[place] == "article" or page.elements[place].get("role") == "article":
            found.append(place)
            place = page.ends[place]
        else:
            place += 1
    if len(found) > 1 and "h1" in page.tags[found[0] : page.ends[found[0]]]:
        return found[0]
    return 0


def _inner(page: Page, outer: int) -> int:
    """The innermost element with nearly all running text and most other text of that at ``outer``."""
    found = outer
    place = outer + 1
    while place < page.ends[found]:
        enough = (
            page.running[place] >= TIGHT * page.running[found] and page.sizes[place] >= TIGHT_SIZE * page.sizes[found]
        )
        if enough and page.tags[place] in CONTAINERS:
            found, place = place, place + 1
        else:
            place = page.ends[place]
    return found


def _introduction(page: Page, outer: int, article: int, dropped: set[int]) -> list[int]:
    """Paragraphs that stand before the innermost element of the article, in what is called the article."""
    found = []
    place = outer + 1
    while place < article:
        size = page.sizes[place]
        if place in dropped:
            place = page.ends[place]
            continue
        if page.tags[place] == "p" and size > INTRODUCTION and page.linked[place] < 0.2 * size:
            found.append(place)
        place += 1
    return found


def _by_paragraphs(page: Page, dropped: set[int]) -> int | None:
    """The smallest element with most of the running text."""
    held: dict[int, int] = {}
    total = 0
    place = 0
    while place < len(page.elements):
        if place in dropped:
            place = page.ends[place]
            continue
        length = page.own[place]
        if length > SHORT_PARAGRAPH and page.linked[place] <= 0.5 * length:
            total += length
            above = page.parents[place] if page.tags[place] in ("p", "pre") else place
            while above > 0:
                held[above] = held.get(above, 0) + length
                above = page.parents[above]
        place += 1
    if total < MIN_ARTICLE:
        return None
    enough = [(length, page.sizes[place], place) for place, length in held.items() if length >= COMMON_SHARE * total]
    return min(enough)[2] if enough else None


def _lead(page: Page, article: int) -> int | None:
    """The lead of the article where it stands before the article's own element."""
    top = article
    while page.parents[top] > 0 and page.tags[top] not in ("article", "main"):
        top = page.parents[top]
    for place in range(top + 1, article):
        size = page.sizes[place]
        fits = 50 < size < 1000 and page.linked[place] < 0.2 * size and page.ends[place] <= article
        if fits and page.kind(place) & IS_LEAD == int(Name.LEAD):
            return place
    return None
