"""From the HTML of one page to its text: what one page needs, without documents, steps or processes."""

import dataclasses
import functools
import re
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from smallwright_extract.characters import joiners_back, marked_joiners, with_company, without_invisible
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.html_blocks import LISTS_SELECTOR, keep_lists, paragraphs_of_breaks, remove_unseen
from smallwright_extract.html_layout import Blocks
from smallwright_extract.html_main import article_html, page_html
from smallwright_extract.html_powers import mark_scripts, spell_scripts
from smallwright_extract.html_tree import Page
from smallwright_extract.labels import without_labels
from smallwright_extract.marks import Marks
from smallwright_extract.maths import (
    ANY_FORMULA,
    CODE,
    IGNORED,
    is_code,
    keep_maths,
    mark_delimiters_in_code,
    typesets,
    unify_delimiters,
)

TAGS_WITHOUT_DEPTH_CHECK = 5000
"""A page with fewer tags cannot be nested deep enough to cost more than about half a second."""
LITTLE_TEXT = 500
"""Below this many characters, what was taken for the article is compared with what looser rules keep."""

TOO_DEEP = "nested too deeply"
SPECIAL_SELECTOR = f"{ANY_FORMULA}, {CODE}, sup, sub"
"""What has to be written otherwise than as the text that it holds."""
SPECIAL_WITHOUT_CODE_SELECTOR = f"{ANY_FORMULA}, {IGNORED}, pre, sup, sub"
"""The same for pages in whose code nothing can be taken for a formula's delimiter."""
SPECIAL_WITHOUT_MATHS_SELECTOR = "pre, sup, sub"
"""The same where formulas are not kept. A walk through the tree takes time for each of the names that it looks for."""
MANY = 50
"""Where more elements are found, it is asked whether all are wanted: making an object of each takes longest."""
FORMULA_TAGS, SCRIPT_TAGS = frozenset({"math", "script", "img", "span"}), frozenset({"sup", "sub"})

NO_TEXT = "no text"
ALL_BOILERPLATE = "only boilerplate"


@dataclasses.dataclass(frozen=True)
class PageText:
    """What a page says, or why it is not used."""

    text: str
    title: str = ""
    formulas: int = 0
    reason: str = ""
    """Why the page is rejected; empty for pages that are kept."""


def extract_page(page: bytes, config: ExtractTextConfig) -> PageText:
    """Extract the main text of a page.

    Pages that have text, but none that is not boilerplate, are rejected as ``only boilerplate`` (OpenWebMath §3.2).

    Args:
        page: HTML in UTF-8, whatever charset it says it is in; other bytes become U+FFFD.
    """
    html = page.decode("utf-8", "replace")
    foreign = config.extractor == "trafilatura"
    fast = config.main_content and config.quality == "fast" and not foreign
    tree = HTMLTree.parse(with_company(html) if fast else html)
    if tree.body is None:
        return PageText("", reason=NO_TEXT)
    if page.count(b"<") > TAGS_WITHOUT_DEPTH_CHECK and is_deeper(tree, config.max_depth):
        return PageText(html[:1000], reason=TOO_DEEP)
    title = " ".join(without_invisible(tree.title or "").split())[:300]
    marks = Marks(html)
    blocks = Blocks(marks, held=foreign)
    body: Any = tree.body
    formulas, scripts, delimiters, changed = 0, False, False, False
    special = SPECIAL_SELECTOR if config.math else SPECIAL_WITHOUT_MATHS_SELECTOR
    lists_too = f", {LISTS_SELECTOR}" if fast else ""
    elements = body.query_selector_all(special + lists_too)
    if config.math and len(elements) > MANY and not typesets(html):
        elements = body.query_selector_all(SPECIAL_WITHOUT_CODE_SELECTOR + lists_too)
    found = elements.values()
    tags = {node.tag for node in found}  # says which further walks are needed: most pages need none
    if tags - {"ul"} or any(map(is_code, found)):
        formulas = keep_maths(tree) if config.math and not FORMULA_TAGS.isdisjoint(tags) else 0
        scripts = not SCRIPT_TAGS.isdisjoint(tags) and mark_scripts(tree, marks)
        code = body.query_selector_all(CODE).values() if formulas else [node for node in found if is_code(node)]
        delimiters = config.math and mark_delimiters_in_code(code, html, marks)
        changed = "pre" in tags and blocks.take_code(tree, config.code_fences)
    if config.tables == "markdown":
        changed = blocks.take_tables(tree) or changed
    changed = bool(changed or formulas or scripts or delimiters)
    if foreign:
        changed = paragraphs_of_breaks(tree) or changed
        source = str(tree) if changed else html
        marked = marked_joiners(source, marks)
        text = _by_trafilatura(marked, config)
        text = joiners_back(text, marks) if marked != source else text
    elif config.main_content and config.quality == "precise":
        text = _precise(tree, config)
    else:
        lists = [node for node in found if node.tag == "ul"] if fast and not changed else None
        text = _written(tree, config.main_content, config, lists=lists)
    text = without_invisible(blocks.put_back(text))
    if config.math:
        text, more = unify_delimiters(text, html)
        formulas += more
    if delimiters:
        text = text.replace(marks.code, "")
    if scripts:
        text = spell_scripts(text, marks, config.math)
    text = text.strip()
    if len(text) >= config.min_characters:
        return PageText(text, title, formulas)
    everything = _written(HTMLTree.parse(html), False, config) if config.main_content else text
    reason = ALL_BOILERPLATE if len(everything) >= max(config.min_characters, len(text) + 1) else NO_TEXT
    return PageText(text or everything[:1000], title, formulas, reason)


def plain_text(source: str) -> str:
    """Clean text that was served as plain text: one kind of line end, nothing that nobody sees."""
    return without_invisible(re.sub(r"\r\n?", "\n", source).replace("\0", "")).strip()


def is_deeper(tree: HTMLTree, limit: int) -> bool:
    """Whether elements are nested more than ``limit`` deep inside the body."""
    body: Any = tree.body
    # Asked as a selector, since visiting elements from Python takes longer than extracting their text.
    return body.query_selector(_deeper_selector(limit)) is not None


@functools.cache
def _deeper_selector(limit: int) -> str:
    return " > ".join(["*"] * (limit + 3))  # html, body and one more than the limit


def _written(
    tree: HTMLTree,
    main_content: bool,
    config: ExtractTextConfig,
    post_meta: bool = True,
    lists: list[Any] | None = None,
) -> str:
    if main_content:
        keep_lists(tree, lists)
    return extract_plain_text(
        tree,
        preserve_formatting=True,
        main_content=main_content,
        list_bullets=config.list_bullets,
        comments=config.comments,
        post_meta=post_meta,
        alt_texts=False,
        links=False,
    ).strip()


def _precise(tree: HTMLTree, config: ExtractTextConfig) -> str:
    """Text of the article; where that is little, of the page without boilerplate, then by Resiliparse's rules alone."""
    remove_unseen(tree)
    page = Page(str(tree.body))
    article = article_html(page, config.comments)
    text = _written(HTMLTree.parse(article), False, config) if article is not None else ""
    if len(text) < LITTLE_TEXT:
        wider = _written(HTMLTree.parse(with_company(page_html(page, config.comments))), True, config, post_meta=False)
        text = wider if len(wider) > 2 * len(text) else text
    if len(text) < LITTLE_TEXT // 2:
        wider = _written(HTMLTree.parse(with_company(str(tree.body))), True, config, post_meta=False)
        text = wider if len(wider) > 2 * len(text) else text
    return without_labels(text)


def _by_trafilatura(html: str, config: ExtractTextConfig) -> str:
    import trafilatura

    if not config.main_content:
        return trafilatura.html2txt(html)
    return (
        trafilatura.extract(
            html,
            favor_precision=config.favour == "precision",
            favor_recall=config.favour == "recall",
            include_comments=config.comments,
            include_tables=True,
            deduplicate=False,
        )
        or ""
    )
