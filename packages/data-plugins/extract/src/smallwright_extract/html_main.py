"""Find the article of a page: rules on names, paragraphs and links, applied before Resiliparse writes the text.

Resiliparse's own ``main_content`` decides by tags and class names, element by element, and keeps much that stands
beside an article. Here the element that holds the article is looked for first, and what is not text is removed from it.
``benchmarks/extraction_quality.py`` compares both with Trafilatura. Like Readability and Trafilatura, this relies on
words that web designers use in ``class`` and ``id``; none is the name of a site.
"""

import re

from smallwright_extract.html_tree import HUMP, LONG_PARAGRAPH, Page

MIN_ARTICLE = 100
"""Characters of running text from which an element can be the article."""
ARTICLE_SHARE = 0.5
"""Share of the page's running text that the article must hold: pages of several teasers have no one article."""
COMMON_SHARE = 0.75
"""Where no class or id names the article, the smallest element with this share of the running text is taken for it."""
INTRO = 80
LOOSE = 500
INNER_SHARE = 0.9
TIGHT, TIGHT_SIZE = 0.95, 0.6
CONTAINERS = {"div", "section", "article", "main", "td", "table", "tbody", "tr"}
KEPT_SHARE = 0.4
"""An element with more of the running text than this is never removed, whatever its name."""
LINKED_BLOCK, LINKED_LINE, LINKED_WEAK = 0.6, 0.6, 0.3
"""Shares of text in links from which blocks, lines and elements with a doubtful name are removed."""
SHORT = 80
"""Characters below which an element with a doubtful name is removed."""

ARTICLE_NAMES = re.compile(
    r"article[-_]?body|article__body|article[-_]content|articlecontent|article__content|article-?text|story-?body"
    r"|story-content|post[-_]?content|post[-_]?body|entry[-_]?content|body-?text|news-text|text-content",
    re.IGNORECASE,
)
MAIN_NAMES = re.compile(r"main-?content|content-main|(?:^|\s)(?:content|main)(?=\s|$)", re.IGNORECASE)
STRONG = {"aside", "nav", "footer"}
NO_CONTENT_TAGS = {"nav", "aside", "footer", "form", "button", "dialog", "figcaption", "select", "header"}
NEVER_REMOVED = {"body", "article", "main", "h1", "em", "strong", "b", "i", "br", "a", "img", "code", "pre", "math"}
BLOCKS = {"ul", "ol", "div", "section", "table"}
LINES = {"p"}
HEADINGS = {"h2", "h3", "h4", "h5", "h6"}


def _words(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[\s_-])(?:{'|'.join(words.split())})(?=$|[\s_-])", re.IGNORECASE)


BOILERPLATE = _words(
    r"share\w* sharing social\w* newsletters? subscri\w* sidebar\w* breadcrumbs? related\w* recommend\w* "
    r"read-?(?:more|next|also) most-?(?:read|popular|viewed) trending ads? advert\w* cookies? consent gdpr footer "
    r"outbrain taboola author-?(?:bio|box|info) tag-?list tags captions? popup modal overlay donat\w* sign-?up "
    r"pagination pager toolbar menu nav navbar navigation skip-?link copyright disclaimer more-?(?:stories|on) "
    r"next-?post cta\d* noprint toc meta byline"
)
COMMENTS = _words("comments? commentlist respond disqus")
STRONG_NAMES = _words(r"sidebar\w* related\w* recommend\w* footer newsletters? trending most-?(?:read|popular|viewed)")
DOUBTFUL = _words(
    "popular promo sponsor\\w* banner paywall author credits? timestamp dates? login rating print hidden "
    "tag widget topics? links? gallery slider carousel header category categories"
)
LEAD = _words("lead intro excerpt standfirst summary")


WEAK_LEFT = 0.5
WEAK_TAGS = {"div", "li", "ul", "ol", "p", "section", "span", "dl"}
_WEAK = (
    r"^shar|social|viral|newsletter|syndication|tags|sidebar|banner|bread-?crumb|button|author"
)
WEAK_IDS = re.compile(rf"{_WEAK}|[fF]ooter|[sS]hare|[nN]av|menu|related|message-container|premium|^ad-")
WEAK_CLASSES = re.compile(
    rf"{_WEAK}|^(?:nav|post-nav)|subnav|avigation|navbar|navbox|menu|bar| ad |-ad-|(?:^| )ad-|dfp[aA]d|outbrain|taboola"
    r"|criteo|paid-?content|widget|[fF]ooter|[bB]yline|share-|sociable|embed|tag-list|consent|modal-content|permission"
    r"|elated|next-|-stories|most-popular|more-on|meta|rating|attachment|timestamp|user-info|user-profile|-icon"
    r"|article-infos|message-container|slide|viewport|overlay|options|expand|obfuscated|blurred"
)


def article_html(source: str, comments: bool = True) -> str | None:
    """Return the HTML of a page's article alone, without what is not part of it; None if there is no article.

    Args:
        comments: Keep elements named as comments (those inside the article's element; others go with the rest).
    """
    page = Page(source)
    if not page.elements:
        return None
    article = _by_name(page)
    dropped: set[int] = set()
    if article is None:
        dropped = _prune(page, 0, comments)
        article = _by_paragraphs(page, dropped)
        if article is None:
            return None
    outer, article = article, _inner(page, article)
    lead = _lead(page, article)
    tops = ([lead] if lead is not None else []) + [article]
    if lead is None:
        tops = _introduction(page, outer, article, comments) + [article]
    for top in tops:
        dropped |= _prune(page, top, comments)
    return page.write(tops, dropped, loose=page.running[article] < LOOSE)


def page_html(source: str, comments: bool) -> str:
    """Return the HTML of a page without what is named as boilerplate."""
    page = Page(source)
    return page.write([0], _prune(page, 0, comments), attributes=True) if page.elements else ""


def _prune(page: Page, top: int, comments: bool) -> set[int]:
    dropped, left = _pruned(page, top, comments, True)
    if left < WEAK_LEFT * page.sizes[top]:
        dropped, _ = _pruned(page, top, comments, False)
    return dropped


def _pruned(page: Page, top: int, comments: bool, weak: bool) -> tuple[set[int], int]:
    """Places of what names or links show to be no running text, inside the element at ``top``."""
    total, running = page.sizes[top], page.running[top]
    left = total
    header = 0
    dropped: set[int] = set()
    place, end = top + 1, page.ends[top]
    while place < end:
        tag, size, name = page.tags[place], page.sizes[place], page.names[place]
        if tag in NEVER_REMOVED:
            place += 1
            continue
        named = tag in NO_CONTENT_TAGS
        if name:
            name = HUMP.sub("-", name)
        if not named and weak and (tag in WEAK_TAGS):
            element = page.elements[place]
            identifier, classes = element.get("id"), element.get("class")
            named = bool(
                (identifier and WEAK_IDS.search(identifier)) or (classes and WEAK_CLASSES.search(classes))
            )
        if not named and name:
            named = bool(BOILERPLATE.search(name) or (not comments and COMMENTS.search(name)))
            if not named and DOUBTFUL.search(name):
                named = size < SHORT or page.linked[place] > LINKED_WEAK * size
        if named:
            most = KEPT_SHARE * running
            out = size <= most or page.running[place] <= most
            if not out and (tag in STRONG or STRONG_NAMES.search(name) or (not comments and COMMENTS.search(name))):
                out = left - size >= MIN_ARTICLE
        elif tag in BLOCKS or tag in LINES:
            share = LINKED_BLOCK if tag in BLOCKS else LINKED_LINE if size < 200 else 0.8
            out = 0 < size < KEPT_SHARE * total and page.linked[place] > share * size
        else:
            out = place < header and page.running[place] == 0
        if tag == "header" and page.running[place]:
            out, header = False, page.ends[place]
        if out:
            left -= size
            _drop(page, place, dropped)
            place = page.ends[place]
        else:
            place += 1
    return dropped, left


def _drop(page: Page, place: int, dropped: set[int]) -> None:
    """Drop an element, and the heading that stood over it alone ("More on this:")."""
    dropped.add(place)
    before = page.elements[place].getprevious()
    while before is not None and page.places.get(before) in dropped:
        before = before.getprevious()
    if before is None or before not in page.places:
        return
    text = page.text(page.places[before]).strip()
    if before.tag in HEADINGS or (before.tag in ("p", "strong", "div") and len(text) < 60 and text.endswith(":")):
        after = page.elements[place].getnext()
        if after is None or after.tag in HEADINGS:
            dropped.add(page.places[before])


def _by_name(page: Page) -> int | None:
    """The element that is called the article, if it holds most of the running text."""
    needed = max(MIN_ARTICLE, ARTICLE_SHARE * page.running[0])
    levels: list[list[int]] = [[], [], [], [], []]
    for place in range(1, len(page.elements)):
        if page.running[place] <= needed:
            continue
        element, tag, name = page.elements[place], page.tags[place], page.names[place]
        if "articlebody" in (element.get("itemprop") or "").lower():
            levels[0].append(place)
        if name and ARTICLE_NAMES.search(name):
            levels[1].append(place)
        role = element.get("role")
        if tag == "article" or role == "article":
            levels[2].append(place)
        if tag == "main" or role == "main":
            levels[3].append(place)
        if name and MAIN_NAMES.search(name):
            levels[4].append(place)
    for found in levels:
        if found:
            most = max(page.running[place] for place in found)
            return max(place for place in found if page.running[place] >= INNER_SHARE * most)
    return None


def _inner(page: Page, place: int) -> int:
    """The innermost element with nearly all running text and most other text of that at ``place``."""
    running, size = page.running[place], page.sizes[place]
    for inside in page.inside(place):
        if page.parents[inside] == place and page.tags[inside] in CONTAINERS:
            if page.running[inside] >= TIGHT * running and page.sizes[inside] >= TIGHT_SIZE * size:
                return _inner(page, inside)
    return place


def _introduction(page: Page, outer: int, article: int, comments: bool) -> list[int]:
    """Paragraphs that stand before the innermost element of the article, in what is called the article."""
    if outer == article:
        return []
    dropped = _prune(page, outer, comments)
    found = []
    place = outer + 1
    while place < article:
        if place in dropped:
            place = page.ends[place]
            continue
        if page.tags[place] == "p" and page.sizes[place] > INTRO and page.linked[place] < 0.2 * page.sizes[place]:
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
        if length >= 1.5 * LONG_PARAGRAPH and page.linked[place] <= 0.5 * length:
            total += length
            above = page.parents[place]
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
    place = top + 1
    while place < page.ends[top]:
        if place == article:
            return None
        if (name := page.names[place]) and LEAD.search(HUMP.sub("-", name)) and page.ends[place] <= article:
            size = page.sizes[place]
            if 50 < size < 800 and page.linked[place] < 0.2 * size and not BOILERPLATE.search(HUMP.sub("-", name)):
                return place
        place += 1
    return None
