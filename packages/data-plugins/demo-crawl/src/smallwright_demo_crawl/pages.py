# ruff: noqa: E501 (sentences and mark-up are easier to read in one piece)
"""The pages of the made-up crawl and the truth about each."""

import dataclasses
import random
from typing import Any

from smallwright_demo_crawl.lessons import CLOSERS, forum_thread, lesson
from smallwright_demo_crawl.prose import LANGUAGES, REPETITIVE, foreign, junk, mention, prose, spam
from smallwright_demo_crawl.render import FORMULAS, Blocks, page
from smallwright_demo_crawl.words import NAMES, PLACES, THINGS, fill

SITES = [
    "numberpath",
    "brightsums",
    "calmath",
    "stepwise-notes",
    "chalkandslate",
    "openexercise",
    "mathsroom",
    "eveningschool",
]
OTHER_SITES = ["dailyharbour", "woolandwood", "farvalley", "teatable", "hillpost", "marketlane"]
SPAM_SITES = ["best-casino-bonus", "free-adult-chat", "lucky-slots-jackpot", "xxx-webcam-deals"]
COUNTS = {
    "lesson": 270, "broken_html": 25, "wrong_charset": 30, "forum": 80,
    "exact_duplicate": 40, "near_duplicate": 40, "contaminated": 16,
    "shop": 40, "news": 40, "travel": 35, "chat": 35, "mention": 30, "junk": 45, "spam": 25, "foreign": 60,
    "not_found": 15, "redirect": 6, "image": 10, "empty": 4,
}  # fmt: skip
"""Pages of each kind at scale 1."""
EXPECTED = {
    "lesson": "keep", "broken_html": "keep", "wrong_charset": "keep", "forum": "keep", "contaminated": "contaminated",
    "shop": "math", "news": "math", "travel": "math", "chat": "math", "mention": "math", "junk": "quality",
    "spam": "url", "foreign": "language", "not_found": "http", "redirect": "http", "image": "http", "empty": "http",
    "exact_duplicate": "exact_duplicate", "near_duplicate": "near_duplicate",
}  # fmt: skip
MATHS_RECIPES = ("finemath", "finemath_4plus")
REMOVED_BY = {
    "keep": (),
    "http": ("read_warc", "read_index"),
    "corrupt": ("read_warc", "read_index"),
    "url": ("url_filter", "gopher_quality"),
    "language": ("language",),
    "quality": ("gopher_quality", "c4_quality", "fineweb_quality", "threshold", "keep_probability", "top_fraction"),
    "repetition": ("gopher_repetition", "threshold", "keep_probability", "top_fraction"),
    "math": ("threshold", "keep_probability", "top_fraction", "domain_recall"),
    "other_subject": tuple(f"{recipe}:{step}" for recipe in MATHS_RECIPES for step in ("threshold", "domain_recall")),
    "exact_duplicate": ("exact_dedup", "minhash", "bloom_dedup", "embedding_dedup"),
    "near_duplicate": ("minhash", "embedding_dedup"),
    "contaminated": ("decontaminate",),
    "capture": ("captures",),
}
"""Registered steps, any of which should remove a record of each class (:mod:`core.data.truth`). What a page is worth
depends on what the recipe looks for: lessons in other subjects are for a recipe of education at large."""
CHARSETS = (
    ("cp1252", "utf-8", None),
    ("cp1252", "", None),
    ("utf-8", "iso-8859-1", "utf-8"),
    ("cp1252", "utf-8", "utf-8"),
)
"""Charset of the bytes, charset that the HTTP header declares, charset that ``<meta>`` declares."""


@dataclasses.dataclass
class Page:
    """A page to be written as a response record."""

    kind: str
    url: str
    body: bytes
    expected: str
    math: int = 0
    """Maths label from 0 to 5."""
    original: "Page | None" = None
    """The page that this one is a copy of."""
    status: str = "200 OK"
    content_type: str = "text/html; charset=utf-8"
    blocks: Blocks = dataclasses.field(default_factory=list)
    title: str = ""
    record_id: str = ""
    file: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """HTTP headers beside the usual ones."""
    days_earlier: int = 0
    """How long before the crawl the page was captured."""
    truth: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What else ``truth.jsonl`` says of the page."""


def make_pages(seed: int, scale: float, items: list[str]) -> list[Page]:
    """Return the pages in crawl order; a copy always comes after its original.

    Args:
        items: Evaluation items to copy into the contaminated pages; without any there are none of these.
    """
    rng = random.Random(f"demo crawl {seed}")
    counts = {kind: max(1, round(count * scale)) for kind, count in COUNTS.items()}
    if not items:
        counts["contaminated"] = 0
    pages = [
        _original(kind, index, rng, items)
        for kind, count in counts.items()
        if not kind.endswith("_duplicate")
        for index in range(count)
    ]
    lessons = [made for made in pages if made.kind == "lesson"]
    sources = rng.sample(lessons, min(len(lessons), counts["exact_duplicate"] + counts["near_duplicate"]))
    for number, source in enumerate(sources):
        near = number >= counts["exact_duplicate"]
        pages.append(_copy(source, number, rng, near))
    rng.shuffle(pages)
    places = {id(made): place for place, made in enumerate(pages)}
    for place in range(len(pages)):
        made = pages[place]
        if made.original is not None and places[id(made.original)] > place:
            other = places[id(made.original)]
            pages[place], pages[other] = made.original, made
            places[id(made.original)], places[id(made)] = place, other
    return pages


def _original(kind: str, index: int, rng: random.Random, items: list[str]) -> Page:
    style = rng.choice(sorted(FORMULAS))
    slug = f"{rng.choice(THINGS)}-{rng.choice(PLACES).replace(' ', '-')}-{index}"
    url = f"https://www.{rng.choice(SITES)}.example/{kind.replace('_', '-')}s/{slug}.html"
    made = Page(kind, url, b"", EXPECTED[kind])
    language = "en"
    match kind:
        case "lesson" | "broken_html" | "wrong_charset" | "contaminated":
            made.title, made.blocks, made.math = lesson(rng)
        case "forum":
            made.title, made.blocks, made.math = forum_thread(rng)
        case "mention":
            (made.title, made.blocks), made.math = mention(rng), 1
        case "junk":
            made.title, made.blocks = junk(rng)
            if made.title == REPETITIVE:
                made.expected = "repetition"
        case "spam":
            made.title, made.blocks = spam(rng)
            made.url = f"http://www.{rng.choice(SPAM_SITES)}.example/{slug}"
        case "foreign":
            language = sorted(LANGUAGES)[index % len(LANGUAGES)]
            (made.title, made.blocks), made.math = foreign(language, rng), 3
        case "not_found":
            made.title, made.blocks, made.status = "Not found", [("p", "This page does not exist.")], "404 Not Found"
        case "redirect":
            made.status = "301 Moved Permanently"
            return made
        case "image":
            made.body, made.content_type = b"\x89PNG\r\n\x1a\n" + rng.randbytes(400), "image/png"
            return made
        case "empty":
            return made
        case _:
            made.title, made.blocks = prose(kind, rng)
            made.url = f"https://{rng.choice(OTHER_SITES)}.example/{kind}/{slug}"
    if kind == "contaminated":
        made.blocks.insert(3, ("p", " ".join(rng.sample(items, min(4, len(items))))))
    if kind == "wrong_charset":
        actual, header, meta = CHARSETS[index % len(CHARSETS)]
        made.blocks.insert(
            1,
            (
                "p",
                f"Zoé and {rng.choice(NAMES)} met in the “Café Müller” – a naïve idea, they said – and paid £{index + 2}.",
            ),
        )
        made.body = page(made.title, made.blocks, rng, style=style, charset=meta).encode(actual)
        made.content_type = f"text/html; charset={header}" if header else "text/html"
        return made
    made.body = page(made.title, made.blocks, rng, style=style, lang=language, broken=kind == "broken_html").encode()
    return made


def _copy(source: Page, number: int, rng: random.Random, near: bool) -> Page:
    kind = "near_duplicate" if near else "exact_duplicate"
    made = Page(
        kind,
        f"https://mirror{number}.{rng.choice(SITES)}.example/copy/{number}",
        source.body,
        kind,
        source.math,
        source,
    )
    if near:
        extra = fill(rng.choice(CLOSERS), rng, {"name": "Zelda", "things": "kites", "place": rng.choice(PLACES)})
        made.blocks, made.title = [*source.blocks, ("p", extra)], source.title
        made.body = page(made.title, made.blocks, rng, style=rng.choice(sorted(FORMULAS))).encode()
    return made
