"""Find the article of a page: rules on names, paragraphs and links, applied before Resiliparse writes the text.

Resiliparse's own ``main_content`` decides by tags and class names, element by element, and keeps much that stands
beside an article. Here the element that holds the article is looked for first, and what is not text is removed from it.
``benchmarks/extraction_quality.py`` compares both with Trafilatura. Like Readability and Trafilatura, this relies on
words that web designers use in ``class`` and ``id``; none is the name of a site.

Elements are found by selectors, which Resiliparse evaluates in native code: visiting one element from Python costs
several microseconds.
"""

import re
from typing import Any

from resiliparse.parse.html import HTMLTree

LONG_PARAGRAPH = 40
"""Characters from which a paragraph counts as running text."""
MIN_ARTICLE = 200
"""Characters of running text from which an element can be the article."""
ARTICLE_SHARE = 0.5
"""Share of the page's running text that the article must hold: pages of several teasers have no one article."""
COMMON_SHARE = 0.75
"""Where no class or id names the article, the smallest element with this share of the running text is taken for it."""
KEPT_SHARE = 0.4
"""An element with more of the running text than this is never removed, whatever its name."""
LINKED_BLOCK, LINKED_LINE, LINKED_WEAK = 0.6, 0.6, 0.3
"""Shares of text in links from which blocks, lines and elements with a doubtful name are removed."""
SHORT = 80
"""Characters below which an element with a doubtful name is removed."""


def _containing(words: str, attributes: tuple[str, ...] = ("class", "id")) -> str:
    return ", ".join(f'[{attribute}*="{word}" i]' for word in words.split() for attribute in attributes)


ARTICLE_SELECTORS = (
    '[itemprop*="articleBody"]',
    _containing(
        "article-body articlebody article_body article__body article-content article_content articlecontent "
        "article__content article-text articletext story-body storybody story-content post-content post_content "
        "postcontent post-body postbody entry-content entry_content entrycontent body-text bodytext news-text "
        "text-content"
    ),
    "article, [role=article]",
    "main, [role=main]",
    _containing("main-content maincontent content-main") + ", #content, .content, #main, .main",
)
LEAD_SELECTOR = _containing("lead intro excerpt standfirst summary", ("class",))
NO_TEXT_SELECTOR = "script, style, noscript, svg, iframe, template"
NO_CONTENT_TAGS = {"nav", "aside", "footer", "form", "button", "dialog", "figcaption", "select"}
NEVER_REMOVED = {"body", "article", "main", "h1", "em", "strong", "b", "i", "br", "a", "img", "code", "pre", "math"}
BLOCKS = {"ul", "ol", "div", "section", "table"}
LINES = {"p", "li", "h2", "h3", "h4"}
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
DOUBTFUL = _words(
    "popular promo sponsor\\w* banner paywall author credits? timestamp dates? login rating print hidden "
    "tag widget topics? links? gallery slider carousel header category categories"
)
LEAD = _words("lead intro excerpt standfirst summary")
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def keep_article(tree: HTMLTree, comments: bool = True) -> bool:
    """Reduce ``tree`` to the element that holds the article, without what is not part of it.

    Args:
        comments: Keep elements named as comments (those inside the article's element; others go with the rest).

    Returns:
        Whether an article was found. If not, the tree has lost what is named as boilerplate, no more.
    """
    body: Any = tree.body
    remove_scripts(body)
    article = _by_name(body)
    pruned = article is None
    if article is None:
        prune(body, None, comments)
        article = _by_paragraphs(body)
    if article is None:
        return False
    lead = _lead(article)
    body.replace_children(*([lead] if lead is not None else []), article)
    if not pruned:
        prune(body, article, comments)
    return True


def remove_scripts(body: Any) -> None:
    """Remove what is never text, so that it does not count as such."""
    for node in body.query_selector_all(NO_TEXT_SELECTOR).values():
        node.decompose()


def prune(body: Any, article: Any, comments: bool = True) -> None:
    """Remove what names or links show to be no running text."""
    total, running = _size(body), _running(body)
    removed = None
    for node in body.query_selector_all("*").values():
        tag = node.tag
        if tag in NEVER_REMOVED or node.parent is None or node == article:
            continue
        if removed is not None:
            if removed.contains(node):
                continue
            removed = None
        size = None
        named = tag in NO_CONTENT_TAGS
        if not named and len(name := _name(node)) > 1:
            named = bool(BOILERPLATE.search(name) or (not comments and COMMENTS.search(name)))
            if not named and DOUBTFUL.search(name):
                size = _size(node)
                named = size < SHORT or _linked(node) > LINKED_WEAK * size
        if named:
            most = KEPT_SHARE * running
            if (_size(node) if size is None else size) <= most or _running(node) <= most:
                _remove(node)
                removed = node
        elif tag in BLOCKS or tag in LINES:
            size = _size(node) if size is None else size
            share = LINKED_BLOCK if tag in BLOCKS else LINKED_LINE
            if 0 < size < KEPT_SHARE * total and _linked(node) > share * size:
                _remove(node)
                removed = node


def _remove(node: Any) -> None:
    """Remove ``node``, and the heading that stood over it alone ("More on this:")."""
    before = node.previous_element_sibling
    node.parent.remove_child(node)
    if before is None:
        return
    text = (before.text or "").strip()
    if before.tag in HEADINGS or (before.tag in ("p", "strong", "div") and len(text) < 60 and text.endswith(":")):
        after = before.next_element_sibling
        if after is None or after.tag in HEADINGS:
            before.parent.remove_child(before)


def _by_name(body: Any) -> Any:
    """The element that is called the article, if it holds most of the running text."""
    needed = max(MIN_ARTICLE, ARTICLE_SHARE * _running(body))
    for selector in ARTICLE_SELECTORS:
        candidates = [(_running(node), -i, node) for i, node in enumerate(body.query_selector_all(selector).values())]
        if candidates and (best := max(candidates, key=lambda c: c[:2]))[0] > needed:
            return best[2]
    return None


def _by_paragraphs(body: Any) -> Any:
    """The smallest element with most of the running text."""
    held: dict[int, list[Any]] = {}
    total = 0
    for paragraph, length in _paragraphs(body):
        if length < 1.5 * LONG_PARAGRAPH or _linked(paragraph) > 0.5 * length:
            continue
        total += length
        node = paragraph.parent
        while node is not None and node.tag not in ("body", "html"):
            held.setdefault(hash(node), [0, node])[0] += length
            node = node.parent
    if total < MIN_ARTICLE:
        return None
    enough = [(length, _size(node), i, node) for i, (length, node) in enumerate(held.values())
              if length >= COMMON_SHARE * total]  # fmt: skip
    return min(enough, key=lambda e: e[:3])[3] if enough else None


def _lead(article: Any) -> Any:
    """The lead of the article where it stands before the article's own element."""
    top = article
    while top.parent is not None and top.parent.tag not in ("body", "html") and top.tag not in ("article", "main"):
        top = top.parent
    for node in top.query_selector_all(LEAD_SELECTOR).values():
        if article.contains(node):
            return None
        if node.contains(article):
            continue
        size = _size(node)
        name = _name(node)
        if 50 < size < 800 and _linked(node) < 0.2 * size and LEAD.search(name) and not BOILERPLATE.search(name):
            return node
    return None


def _name(node: Any) -> str:
    return HUMP.sub("-", f"{node.getattr('class') or ''} {node.getattr('id') or ''}")


def _size(node: Any) -> int:
    return len(node.text or "")


def _linked(node: Any) -> int:
    return sum(len(link.text or "") for link in node.get_elements_by_tag_name("a").values())


def _paragraphs(node: Any) -> list[tuple[Any, int]]:
    found = [(paragraph, len((paragraph.text or "").strip())) for paragraph in
             node.query_selector_all("p, pre").values()]  # fmt: skip
    return [(paragraph, length) for paragraph, length in found if length > LONG_PARAGRAPH]


def _running(node: Any) -> int:
    return sum(length for _, length in _paragraphs(node))
