"""Characters that nobody sees, and that make two words of one."""

import re

from smallwright_extract.marks import Marks

INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
"""Soft hyphens, zero-width spaces, marks and embeddings of writing direction, word joiners, the signs of operators that
nobody writes, byte order marks. The zero-width joiner and non-joiner are not among them: they carry meaning in Persian,
in Indic scripts and in emoji."""


def without_invisible(text: str) -> str:
    """Return ``text`` without the characters of :data:`INVISIBLE`."""
    return text if text.isascii() else INVISIBLE.sub("", text)


_RAW_JOINER = re.compile("[\u200c\u200d]")
_ESCAPED_JOINER = re.compile("&(?:zwn?j|#820[45]|#x200[cd]);", re.IGNORECASE)


def marked_joiners(html: str, marks: Marks) -> str:
    """Put marks in the place of zero-width joiners and non-joiners, raw and escaped ones.

    Raw and escaped ones are looked for apart: a pattern of both would be tried at every character of the page.
    """

    def mark(match: re.Match[str]) -> str:
        found = match.group().lower()
        return marks.joiner + ("1" if found in ("\u200d", "&zwj;", "&#8205;", "&#x200d;") else "0")

    if "\u200c" in html or "\u200d" in html:
        html = _RAW_JOINER.sub(mark, html)
    return _ESCAPED_JOINER.sub(mark, html)


def joiners_back(text: str, marks: Marks) -> str:
    """Put the joiners back that :func:`marked_joiners` marked."""
    return text.replace(f"{marks.joiner}0", "\u200c").replace(f"{marks.joiner}1", "\u200d")


LONE = re.compile(
    r"(>(?![<A-Za-z])\s*+(?:[\u0800-\ud7ff\uf900-\uffff]|&(?!nbsp;|#160;|#[xX][aA]0;)#?\w{2,8};)\s*)(?=<(?!/m[inost]))"
)
"""A character that is all the text between two tags, as in ``<b>A</b>-<i>B</i>``; MathML's are written elsewhere."""


def with_company(html: str) -> str:
    """Put a zero-width space, which :func:`without_invisible` removes, after every character that stands alone.

    Resiliparse takes all that stand alone and have three bytes for signs of icon fonts: dashes, letters of Chinese,
    Korean, Thai and many other scripts. Those of the private use area, which it means, stay alone.
    """
    return html if html.isascii() and "&" not in html else LONE.sub("\\1\u200b", html)
