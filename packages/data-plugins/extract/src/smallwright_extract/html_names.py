"""What web designers call the parts of a page, in ``class`` and ``id``: none of these words is the name of a site.

The words are our own, but for :data:`WEAK_IN_IDS` and :data:`WEAK_IN_CLASSES`: they are Trafilatura's (2.3,
``xpaths.py``, Apache-2.0) without what stands there for single sites.
"""

import enum
import functools
import re


class Name(enum.IntFlag):
    """What a name says of its element."""

    BOILERPLATE = enum.auto()
    """No part of the article."""
    STRONG = enum.auto()
    """No part of the article even where it holds much text."""
    WEAK = enum.auto()
    """No part of the article, if there is enough without all of that kind."""
    DOUBTFUL = enum.auto()
    """No part of the article, if it is short or consists of links."""
    COMMENTS = enum.auto()
    ARTICLE = enum.auto()
    MAIN = enum.auto()
    LEAD = enum.auto()


STRONGLY = Name.BOILERPLATE | Name.STRONG
WORDS = {
    Name.BOILERPLATE: "sharing newsletters newsletter breadcrumbs breadcrumb readmore readnext readalso ad ads cookie "
    "cookies consent gdpr outbrain taboola authorbio authorbox authorinfo author-bio author-box author-info taglist "
    "tag-list tags caption captions popup modal overlay signup sign-up pagination pager toolbar menu nav navbar "
    "navigation skiplink skip-link copyright disclaimer morestories moreon more-stories more-on nextpost next-post "
    "noprint toc meta byline read-more read-next read-also",
    STRONGLY: "footer newsletter newsletters trending mostread mostpopular mostviewed most-read most-popular "
    "most-viewed",
    Name.DOUBTFUL: "popular promo banner paywall author credit credits timestamp date dates login rating print hidden "
    "tag widget topic topics link links gallery slider carousel header category categories",
    Name.COMMENTS: "comment comments commentlist respond disqus",
    Name.LEAD: "lead intro excerpt standfirst summary teaser",
}
"""Words, and pairs of words, of which a name may consist."""
BEGINNINGS = {
    Name.BOILERPLATE: ("share", "social", "subscri", "advert", "donat"),
    STRONGLY: ("sidebar", "related", "recommend"),
    Name.DOUBTFUL: ("sponsor",),
}
"""What such words may begin with."""
_OF_WORD = {
    word: functools.reduce(int.__or__, (int(kind) for kind, words in WORDS.items() if word in words.split()))
    for words in WORDS.values()
    for word in words.split()
}
_OF_BEGINNING = tuple((beginning, int(kind)) for kind, words in BEGINNINGS.items() for beginning in words)
_INITIALS = frozenset(beginning[0] for beginning, _ in _OF_BEGINNING)
NUMBERED = re.compile(r"cta\d*")
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
PARTS = re.compile(r"[^\s_-]+")

ARTICLE = re.compile(
    r"article[-_]?body|article__body|article[-_]content|articlecontent|article__content|article-?text|story-?body"
    r"|story-content|post[-_]?content|post[-_]?body|entry[-_]?content|body-?text|news-text|text-content"
)
MAIN = re.compile(r"main-?content|content-main|(?:^|\s)(?:content|main)(?=\s|$)")

_WEAK = ("social", "viral", "newsletter", "syndication", "tags", "sidebar", "banner", "breadcrumb", "bread-crumb",
         "button", "author")  # fmt: skip
WEAK_IN_IDS = (*_WEAK, "footer", "Footer", "share", "Share", "nav", "Nav", "menu", "related", "message-container",
               "premium")  # fmt: skip
WEAK_IN_CLASSES = (
    *_WEAK, "subnav", "avigation", "menu", "bar", " ad ", "-ad-", " ad-", "dfpad", "dfpAd", "outbrain", "taboola",
    "criteo", "paid-content", "paidcontent", "widget", "footer", "Footer", "byline", "Byline", "share-", "sociable",
    "embed", "consent", "modal-content", "permission", "elated", "next-", "-stories", "most-popular", "more-on", "meta",
    "rating", "attachment", "timestamp", "user-info", "user-profile", "-icon", "article-infos", "message-container",
    "slide", "viewport", "overlay", "options", "expand", "obfuscated", "blurred", "navbox",
)  # fmt: skip
WEAK_ID_BEGINNINGS = ("shar", "ad-")
WEAK_CLASS_BEGINNINGS = ("shar", "ad-", "nav", "post-nav")


@functools.lru_cache(1 << 16)
def kind_of(classes: str, identifier: str) -> int:
    """Return what these names say of an element, as :class:`Name` in an ``int``, which is quicker to ask."""
    name = f"{classes} {identifier}"
    small = name.lower()
    kind = _of_words(HUMP.sub("-", name).lower())
    content = "content" in small
    if (content or "main" in small) and MAIN.search(small):
        kind |= int(Name.MAIN)
    if (content or "body" in small or "text" in small) and ARTICLE.search(small):
        kind |= int(Name.ARTICLE)
    if (
        classes.startswith(WEAK_CLASS_BEGINNINGS)
        or identifier.startswith(WEAK_ID_BEGINNINGS)
        or any(word in classes for word in WEAK_IN_CLASSES)
        or (identifier and any(word in identifier for word in WEAK_IN_IDS))
    ):
        kind |= int(Name.WEAK)
    return kind


def _of_words(name: str) -> int:
    kind = 0
    before = ""
    for part in PARTS.findall(name):
        kind |= _OF_WORD.get(part, 0) | (_OF_WORD.get(f"{before}-{part}", 0) if before else 0)
        if part[0] in _INITIALS:
            for beginning, of_beginning in _OF_BEGINNING:
                if part.startswith(beginning):
                    kind |= of_beginning
        elif part[0] == "c" and NUMBERED.fullmatch(part):
            kind |= int(Name.BOILERPLATE)
        before = part
    return kind
