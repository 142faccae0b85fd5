# ruff: noqa: E501 (sentences and mark-up are easier to read in one piece)
"""HTML of the made-up pages: several site templates, ways to write formulas, and broken mark-up."""

import html
import random
import re
from collections.abc import Callable

Blocks = list[tuple[str, str]]
"""(tag, text) pairs; formulas in the text stand in dollar signs."""


def _mathml(tex: str) -> str:
    shown, source = html.escape(re.sub(r"\\[a-z]+", " ", tex)), html.escape(tex)
    annotation = f'<annotation encoding="application/x-tex">{source}</annotation>'
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mrow><mtext>{shown}</mtext></mrow>{annotation}</semantics></math>'


def _katex(tex: str) -> str:
    visible = html.escape(re.sub(r"[\\{}]", "", tex))
    return f'<span class="katex"><span class="katex-mathml">{_mathml(tex)}</span><span class="katex-html" aria-hidden="true">{visible}</span></span>'


FORMULAS: dict[str, Callable[[str], str]] = {
    "dollars": lambda tex: f"${html.escape(tex)}$",
    "mathml": _mathml,
    "katex": _katex,
    "mathjax": lambda tex: f'<script type="math/tex">{tex}</script>',
}


def inline(text: str, style: str) -> str:
    """Escape text for HTML and write its formulas in ``style``."""
    parts = re.split(r"\$([^$]+)\$", text)
    return "".join(FORMULAS[style](part) if i % 2 else html.escape(part) for i, part in enumerate(parts))


def page(
    title: str,
    blocks: Blocks,
    rng: random.Random,
    *,
    style: str,
    charset: str | None = "utf-8",
    lang: str = "en",
    broken: bool = False,
) -> str:
    """Return a whole page.

    Args:
        style: A key of ``FORMULAS``.
        charset: What the page's ``<meta>`` declares; None leaves it out.
        broken: Leave out closing tags, nest paragraphs wrongly and repeat the body tag, as hand-written pages do.
    """
    items = "".join(f"<{tag}>{inline(text, style)}</{tag}>\n" for tag, text in blocks)
    if blocks and blocks[0][0] == "li":
        items = f"<ul>{items}</ul>"
    site = title.split(":")[0]
    meta = f'<meta charset="{charset}">' if charset else ""
    nav = "<nav><ul><li><a href='/'>Home</a></li><li><a href='/about'>About</a></li><li><a href='/map'>Site map</a></li></ul></nav>"
    heading = "" if any(tag == "h1" for tag, _ in blocks) else f"<h1>{html.escape(title)}</h1>"
    layout = rng.choice(("article", "main", "table", "div"))
    if layout == "table":
        body = f"<div id='content'>{heading}{items}</div>"
    elif layout == "div":
        body = f'<div class="content post-body">{heading}{items}</div>'
    else:
        body = f"<{layout}>{heading}{items}</{layout}>"
    footer = f"<footer><p>© {rng.randint(2004, 2024)} {html.escape(site)}. All rights reserved.</p></footer>"
    script = f"<script>var visits = {rng.randrange(10**6)}; function f() {{ return '<div>' + visits; }}</script>"
    head = f'<!DOCTYPE html>\n<html lang="{lang}"><head>{meta}<title>{html.escape(title)}</title>{script}</head>'
    document = f"{head}\n<body><header>{nav}</header>\n{body}\n{footer}</body></html>"
    return _break(document, rng) if broken else document


def _break(document: str, rng: random.Random) -> str:
    document = re.sub(
        r"</(p|li|div|article|main)>", lambda match: match.group(0) if rng.random() < 0.5 else "", document
    )
    return (
        document.replace("<h1>", "<body bgcolor=white><b><h1></b>", 1)
        .replace("</html>", "")
        .replace("<p>", "<P CLASS=x>")
    )
