"""What web designers call the parts of a page, in ``class`` and ``id``: none of these words is the name of a site.

The words for single parts, apart from those of :data:`WEAK_IDS` and :data:`WEAK_CLASSES`, are our own; those two are
Trafilatura's (2.3, ``xpaths.py``, Apache-2.0) without what stands there for single sites.
"""

import enum
import functools
import re

HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


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


def _words(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[\s_-])(?:{'|'.join(words.split())})(?=$|[\s_-])", re.IGNORECASE)


WORDS = {
    Name.BOILERPLATE: _words(
        r"share\w* sharing social\w* newsletters? subscri\w* sidebar\w* breadcrumbs? related\w* recommend\w* "
        r"read-?(?:more|next|also) most-?(?:read|popular|viewed) trending ads? advert\w* cookies? consent gdpr footer "
        r"outbrain taboola author-?(?:bio|box|info) tag-?list tags captions? popup modal overlay donat\w* sign-?up "
        r"pagination pager toolbar menu nav navbar navigation skip-?link copyright disclaimer more-?(?:stories|on) "
        r"next-?post cta\d* noprint toc meta byline"
    ),
    Name.STRONG: _words(
        r"sidebar\w* related\w* recommend\w* footer newsletters? trending most-?(?:read|popular|viewed)"
    ),
    Name.DOUBTFUL: _words(
        r"popular promo sponsor\w* banner paywall author credits? timestamp dates? login rating print hidden "
        r"tag widget topics? links? gallery slider carousel header category categories"
    ),
    Name.COMMENTS: _words("comments? commentlist respond disqus"),
    Name.ARTICLE: re.compile(
        r"article[-_]?body|article__body|article[-_]content|articlecontent|article__content|article-?text|story-?body"
        r"|story-content|post[-_]?content|post[-_]?body|entry[-_]?content|body-?text|news-text|text-content",
        re.IGNORECASE,
    ),
    Name.MAIN: re.compile(r"main-?content|content-main|(?:^|\s)(?:content|main)(?=\s|$)", re.IGNORECASE),
    Name.LEAD: _words("lead intro excerpt standfirst summary"),
}
HUMPED = Name.BOILERPLATE | Name.STRONG | Name.DOUBTFUL | Name.COMMENTS | Name.LEAD
"""Kinds whose words may also stand in camel case."""
_WEAK = r"^shar|social|viral|newsletter|syndication|tags|sidebar|banner|bread-?crumb|button|author"
WEAK_IDS = re.compile(rf"{_WEAK}|[fF]ooter|[sS]hare|[nN]av|menu|related|message-container|premium|^ad-")
WEAK_CLASSES = re.compile(
    rf"{_WEAK}|^(?:nav|post-nav)|subnav|avigation|navbar|navbox|menu|bar| ad |-ad-|(?:^| )ad-|dfp[aA]d|outbrain|taboola"
    r"|criteo|paid-?content|widget|[fF]ooter|[bB]yline|share-|sociable|embed|tag-list|consent|modal-content|permission"
    r"|elated|next-|-stories|most-popular|more-on|meta|rating|attachment|timestamp|user-info|user-profile|-icon"
    r"|article-infos|message-container|slide|viewport|overlay|options|expand|obfuscated|blurred"
)


@functools.lru_cache(1 << 15)
def kind_of(classes: str, identifier: str) -> int:
    """Return what these names say of an element, as :class:`Name` in an ``int``, which is quicker to ask."""
    name = f"{classes} {identifier}"
    humped = HUMP.sub("-", name)
    found = sum(kind for kind, words in WORDS.items() if words.search(humped if kind & HUMPED else name))
    if WEAK_CLASSES.search(classes) or WEAK_IDS.search(identifier):
        found |= Name.WEAK
    return int(found)
