r"""Keep the mathematics of a page: MathML, MathJax, KaTeX and formula images become LaTeX in dollar signs.

Without this, extraction drops MathJax scripts and prints the rendered and the source form of KaTeX one after the
other. The forms are those that OpenWebMath (§3.2) normalises, and those of MathJax 3 and 4. Formulas that stand in the
text as LaTeX (``\(...\)``, ``$$``) stay; :func:`unify_delimiters` gives them all the same delimiters.
"""

import re
import urllib.parse
from collections.abc import Iterable
from typing import Any

from resiliparse.parse.html import TEXT, HTMLTree

from smallwright_extract.html_mathml import mathml_to_latex
from smallwright_extract.marks import Marks

ANY_FORMULA = 'math, script[type^="math/"], img:is([class*="tex"], [src*="tex"]), span:is([data-tex], [data-latex])'
"""Selects, of every page with formulas, at least one element."""
FORMULA_SELECTOR = (
    'math, script[type^="math/"], .katex-display, .katex, .mwe-math-element, mjx-container, .MathJax_Preview, '
    ".MathJax, .MathJax_Display, .MathJax_SVG, .MathJax_SVG_Display, .MathJax_CHTML, .MJXc-display, .mjx-chtml, "
    'img.latex, img.tex, img[class*="mwe-math-fallback"], img[src*="codecogs.com"], img[src*="latex.php"], '
    'img[src*="mimetex"], img[src*="mathtex"], span[data-tex], span[data-latex]'
)
ANNOTATION_SELECTOR = ", ".join(
    f'annotation[encoding="{name}"]' for name in ("application/x-tex", "application/x-latex", "TeX", "LaTeX")
)
RENDERED = {"MathJax_Preview", "MathJax", "MathJax_Display", "MathJax_SVG", "MathJax_SVG_Display", "MathJax_CHTML",
            "MJXc-display", "mjx-chtml"}  # fmt: skip
DISPLAY_CLASSES = ("display", "MathJax_Display", "block")
MAX_FORMULA_CHARACTERS = 20_000
IMAGE_OPTIONS = re.compile(
    r"\\(?:inline|dpi\{\d+\}|bg_\w+|fn_\w+|fg_\w+|(?:tiny|small|large|Large|LARGE|huge))(?=[\s\\{]|$)"
)
DOLLARS = re.compile(r"^(\$\$?)(.*)\1$|^\\[(\[](.*)\\[)\]]$", re.DOTALL)
STYLED = re.compile(r"\{\\(?:displaystyle|textstyle|scriptstyle)\b ?(.*)\}", re.DOTALL)

TYPESETTERS = ("MathJax", "mathjax", "katex", "$latex", "[tex]", "[itex]", "[latex]", "[math]")
OPENINGS = (r"\(", r"\[", "tex]", "[math]", "$latex")
DELIMITERS = re.compile(
    r"(?<!\\)\\\((?P<a>(?:(?!\n\n|(?<!\\)\\\().){1,2000}?)\\\)"
    r"|(?<!\\)\\\[(?P<b>(?:(?!\n\n|(?<!\\)\\\[).){1,4000}?)\\\]"
    r"|\[(?P<t>i?tex|latex|math)\](?P<c>(?:(?!\n\n).){1,2000}?)\[/(?P=t)\]|\$latex (?P<d>[^$\n]{1,2000})\$",
    re.DOTALL,
)
IN_CODE = re.compile(r"\\(?=[()\[\]]|\Z)|\[(?=/?(?:i?tex|latex|math)\])|\$(?=latex )")
CODE_TAGS = ("pre", "code", "kbd", "samp", "tt", "textarea")
CODE_CLASSES = frozenset({"tex2jax_ignore", "mathjax_ignore"})
IGNORED = ", ".join(f".{name}" for name in sorted(CODE_CLASSES))
CODE = ", ".join([*CODE_TAGS, IGNORED])
"""Where MathJax and KaTeX look for no formulas."""


def keep_maths(tree: HTMLTree) -> int:
    """Replace the formulas in ``tree`` by text nodes holding LaTeX; return how many."""
    body: Any = tree.body
    found = body.query_selector_all(FORMULA_SELECTOR).values()
    scripted = any(node.tag == "script" for node in found)
    count = 0
    outer = None
    for node in found:
        if outer is not None and outer.contains(node):  # KaTeX nests three elements for one formula
            continue
        outer = node
        classes = set((node.getattr("class") or "").split())
        if node.tag != "img" and RENDERED & classes and scripted:
            if node.parent is not None:
                node.parent.remove_child(node)
        else:
            count += _replace(tree, node, _source(node), _is_display(node, classes))
    return count


def is_code(node: Any) -> bool:
    """Whether :data:`CODE` selects an element."""
    return node.tag in CODE_TAGS or not CODE_CLASSES.isdisjoint((node.getattr("class") or "").split())


def typesets(html: str) -> bool:
    """Whether a page names what turns LaTeX in its text into formulas; in others delimiters mean nothing."""
    return any(mark in html for mark in TYPESETTERS)


def mark_delimiters_in_code(code: Iterable[Any], html: str, marks: Marks) -> bool:
    """Put a mark into what looks like the delimiter of a formula inside code, so that it is taken for none.

    Args:
        code: The elements that :data:`CODE` selects.

    Returns:
        Whether there was any.
    """
    found = []
    for node in code:
        if IN_CODE.search(node.text or ""):
            found += [part for part in node if part.type == TEXT]
    if not found or not typesets(html):
        return False
    for part in found:
        source = part.value or ""
        if marks.code not in source:  # code in code comes twice
            part.value = IN_CODE.sub(lambda match: match.group() + marks.code, source)
    return True


def unify_delimiters(text: str, html: str) -> tuple[str, int]:
    r"""Write ``\(x\)``, ``\[x\]``, ``[tex]x[/tex]`` and ``$latex x$`` as ``$x$`` or ``$$x$$``, in pages that typeset.

    Returns:
        The text, and the number of formulas found so.
    """
    if not any(mark in text for mark in OPENINGS) or not typesets(html):
        return text, 0

    def with_dollars(match: re.Match[str]) -> str:
        formula = next(found for name in "abcd" if (found := match.group(name)) is not None).strip()
        mark = "$$" if match.group("b") is not None else "$"
        return f"{mark}{formula}{mark}" if formula else match.group()

    return DELIMITERS.subn(with_dollars, text)


def _is_display(node: Any, classes: set[str]) -> bool:
    if node.tag == "script":
        return "mode=display" in (node.getattr("type") or "")
    if node.getattr("display") in ("block", "true"):
        return True
    if any(word in name for name in classes for word in DISPLAY_CLASSES if not name.startswith("mwe-math-element")):
        return True
    math = node.query_selector("math") if node.tag != "img" else None
    return math is not None and math.getattr("display") == "block" and "mwe-math-element-inline" not in classes


def _source(node: Any) -> str | None:
    """Return the LaTeX of one formula's element; None where the element holds none."""
    if node.tag == "img":
        return _of_image(node)
    if node.tag == "script":
        return _of_script(node)
    annotation = node.query_selector(ANNOTATION_SELECTOR)
    if annotation is not None:
        return annotation.text
    for name in ("data-latex", "data-tex"):
        if value := node.getattr(name):
            return value
    math = node if node.tag == "math" else node.query_selector("math")
    if math is not None:
        return math.getattr("alttext") or mathml_to_latex(math)
    if value := node.getattr("data-mathml"):
        return _of_mathml(value)
    image = node.query_selector("img")
    return _of_image(image) if image is not None else None


def _of_script(node: Any) -> str | None:
    kind, source = node.getattr("type") or "", node.text or ""
    if kind.startswith("math/mml"):
        return _of_mathml(source)
    if kind.startswith("math/tex"):
        return re.sub(r"^\s*(?:%\s*)?<!\[CDATA\[|(?:%\s*)?\]\]>\s*$", "", source)
    return None


def _of_mathml(source: str) -> str | None:
    inner = HTMLTree.parse(source[: 10 * MAX_FORMULA_CHARACTERS])
    math = inner.body.query_selector("math") if inner.body is not None else None
    return _source(math) if math is not None else None


def _of_image(image: Any) -> str | None:
    """LaTeX of a formula's picture: its alternative text, or what its address asks a typesetting service for."""
    alternative = (image.getattr("alt") or "").strip()
    address = image.getattr("src") or ""
    if not alternative or ("codecogs" in address and "\\" not in alternative):
        parts = urllib.parse.urlsplit(address)
        if "latex.php" in parts.path:
            asked = urllib.parse.parse_qs(parts.query).get("latex", [""])[0]
        else:
            asked = urllib.parse.unquote(parts.query + (f"#{parts.fragment}" if parts.fragment else ""))
        alternative = IMAGE_OPTIONS.sub("", asked.replace("&space;", " ")).strip() or alternative
    return alternative


def _replace(tree: HTMLTree, node: Any, latex: str | None, display: bool) -> int:
    formula = re.sub(r"\s+", " ", latex or "").strip()
    if delimited := DOLLARS.match(formula):
        display = display or formula.startswith(("$$", r"\["))
        formula = (delimited.group(2) or delimited.group(3) or "").strip()
    if styled := STYLED.fullmatch(formula):
        formula = styled.group(1).strip()
    parent = node.parent
    if not formula or parent is None or len(formula) > MAX_FORMULA_CHARACTERS:
        return 0
    mark = "$$" if display else "$"
    parent.replace_child(tree.create_text_node(f"{mark}{formula}{mark}"), node)
    return 1
