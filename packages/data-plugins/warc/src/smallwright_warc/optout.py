"""Opt-out signals of a response: what its publisher asks machines not to do with it.

Sources: X-Robots-Tag and robots meta elements (https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag),
``noai`` and ``noimageai`` (introduced by DeviantArt, 2022), ``noml`` (Mojeek), and the TDM Reservation Protocol
(https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240510/).
"""

import html
import re
from collections.abc import Iterable, Mapping

from smallwright_warc.config import OPT_OUT_SIGNALS

TDM = "tdm-reservation"
DIRECTIVES = frozenset(OPT_OUT_SIGNALS) - {TDM}
EQUIVALENT = {"none": "noindex", "nocache": "noarchive"}
MAX_HEADER = 4096
MAX_META = 500
_META = re.compile(rb"<meta\s([^<>]{1,2000})")
_HINT = re.compile(rb"no(?:index|ai|imageai|ml|archive|snippet|cache|ne)\b|tdm-reservation")
"""Every signal holds one of these words, so a page without any needs no parsing."""
_ATTRIBUTE = re.compile(r"""([a-z][a-z-]{0,30})\s{0,5}=\s{0,5}(?:"([^"]{0,500})"|'([^']{0,500})'|([^\s"'>]{1,500}))""")
_ROBOT = re.compile(
    r"robots|[a-z0-9_-]{0,40}bot(?:-[a-z]{1,20})?|slurp|bingpreview|google-extended|anthropic-ai|claude-web|cohere-ai"
    r"|bytespider|meta-externalagent|facebookexternalhit"
)


def opt_out_signals(headers: Mapping[str, str], page: bytes) -> list[str]:
    """Return the signals of a response, sorted; ``<robot>:<signal>`` where only one robot is meant.

    Args:
        headers: HTTP headers, names in lower case.
        page: The first bytes of the page, in any charset that contains ASCII; nothing behind its head is looked at.
    """
    found: set[str] = set()
    if tag := headers.get("x-robots-tag"):
        _add_directives(found, tag[:MAX_HEADER].lower())
    if headers.get(TDM, "").split(",")[0].strip() == "1":
        found.add(TDM)
    end = page.find(b"</head>")  # most pages write it so; the others are cut where it is looked for without case
    head = (page[:end] if end >= 0 else page).lower()
    if b"<meta" in head:
        _add_metas(found, head)
    return sorted(found)


def is_dropped(signals: Iterable[str], drop: tuple[str, ...]) -> bool:
    """Whether one of ``signals`` is in ``drop``, by itself or without its robot's name."""
    return any(signal in drop or signal.rpartition(":")[2] in drop for signal in signals)


def _add_metas(found: set[str], head: bytes) -> None:
    for mark in (b"</head", b"<body"):
        if (end := head.find(mark)) >= 0:
            head = head[:end]
    # Cutting and joining costs a third of what matching every element does, and most pages have no signal.
    if not _HINT.search(b" ".join(part.partition(b">")[0] for part in head.split(b"<meta", MAX_META)[1:])):
        return
    if b"<!--" in head:
        first, *others = head.split(b"<!--")
        head = first + b"".join(part.partition(b"-->")[2] for part in others)
    for meta in _META.findall(head)[:MAX_META]:
        attributes = _ATTRIBUTE.findall(meta.decode("latin-1"))
        values = {name: html.unescape(a or b or c) for name, a, b, c in attributes}
        name = (values.get("name") or values.get("http-equiv") or "").strip()
        content = values.get("content", "").strip()
        if name == TDM:
            if content == "1":
                found.add(TDM)
        elif name == "x-robots-tag":
            _add_directives(found, content)
        elif _ROBOT.fullmatch(name):
            _add_directives(found, content, "" if name == "robots" else name)


def _add_directives(found: set[str], value: str, robot: str = "") -> None:
    """Add the directives of ``noindex, nofollow`` or, in headers, ``somebot: noindex, otherbot: noai``."""
    for part in re.split(r"[,;]", value):
        name, colon, rest = part.partition(":")
        if colon and _ROBOT.fullmatch(name.strip()):
            robot, part = name.strip(), rest
            robot = "" if robot == "robots" else robot
        for word in part.split():
            directive = EQUIVALENT.get(word, word)
            if directive in DIRECTIVES:
                found.add(f"{robot}:{directive}" if robot else directive)
