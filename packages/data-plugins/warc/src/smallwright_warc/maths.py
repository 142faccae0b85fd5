"""Keep the mathematics of a page: MathML, MathJax, KaTeX and formula images become LaTeX in dollar signs.

Without this, extraction drops MathJax scripts and prints the rendered and the source form of KaTeX one after the
other. The forms are those that OpenWebMath (§3.2) normalises.
"""

import re
from typing import Any

from resiliparse.parse.html import HTMLTree, traverse_dom

MARKERS = ("<math", "math/tex", "katex", "mwe-math", 'class="latex', "class='latex", 'class="tex')
CONTAINER_CLASSES = {"katex-display", "katex", "mwe-math-element"}
IMAGE_CLASSES = {"latex", "tex", "mwe-math-fallback-image-inline"}
RENDERED_CLASSES = {
    "MathJax_Preview",
    "MathJax",
    "MathJax_Display",
    "MathJax_SVG",
    "MathJax_SVG_Display",
    "MathJax_CHTML",
}
MAX_FORMULA_CHARACTERS = 20_000
MAX_MATHML_DEPTH = 50
OPERATORS = {"×": r"\times", "÷": r"\div", "−": "-", "·": r"\cdot", "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "π": r"\pi",
             "∞": r"\infty", "∑": r"\sum", "∫": r"\int", "√": r"\sqrt", "±": r"\pm", "→": r"\to", "≈": r"\approx",
             "α": r"\alpha", "β": r"\beta", "θ": r"\theta", "λ": r"\lambda", "Δ": r"\Delta", "°": r"^\circ",
             "\u2061": "", "\u2062": "", "\u2063": ","}  # fmt: skip


def keep_maths(tree: HTMLTree, html: str) -> int:
    """Replace the formulas in ``tree`` by text nodes holding LaTeX; return how many.

    Args:
        html: Source of ``tree``, searched for markers so that pages without maths cost nothing.
    """
    lowered = html.lower()
    if not any(marker in lowered for marker in MARKERS):
        return 0
    found = _find(tree.body)
    mathjax = any(kind == "script" for kind, _ in found)
    count = 0
    for kind, node in found:
        if kind == "rendered":
            if mathjax and node.parent is not None:
                node.parent.remove_child(node)
        elif kind == "script":
            count += _replace(tree, node, node.text, display="mode=display" in (node.getattr("type") or ""))
        elif kind == "image":
            count += _replace(tree, node, (node.getattr("alt") or "").strip().strip("$"), display=False)
        else:
            display = "display" in (node.getattr("class") or "") or node.getattr("display") == "block"
            count += _replace(tree, node, _source(node), display)
    return count


def _find(body) -> list[tuple[str, Any]]:
    """Collect (kind, element) in one walk, outermost elements only: KaTeX nests three for one formula.

    Resiliparse's result lists run their query again for each element, and follow changes of the tree.
    """
    found: list[tuple[str, Any]] = []
    inside: int | None = None

    def visit(context) -> None:
        nonlocal inside
        if inside is not None and context.depth > inside:
            return
        inside = None
        kind = _kind(context.node)
        if kind is not None:
            inside = context.depth
            found.append((kind, context.node))

    traverse_dom(body, visit, elements_only=True)
    return found


def _kind(node) -> str | None:
    tag = node.tag
    if tag == "math":
        return "formula"
    if tag == "script":
        return "script" if (node.getattr("type") or "").startswith("math/tex") else None
    classes = (node.getattr("class") or "").split()
    if tag == "img":
        return "image" if IMAGE_CLASSES.intersection(classes) else None
    if CONTAINER_CLASSES.intersection(classes):
        return "formula"
    return "rendered" if RENDERED_CLASSES.intersection(classes) else None


def _source(node) -> str | None:
    """LaTeX of an element that is or holds ``<math>``: its annotation, its ``alttext``, or written from MathML."""
    annotation = node.query_selector('annotation[encoding="application/x-tex"], annotation[encoding="TeX"]')
    if annotation is not None:
        return annotation.text
    math = node if node.tag == "math" else node.query_selector("math")
    if math is None:
        return None
    return math.getattr("alttext") or mathml_to_latex(math)


def mathml_to_latex(node, depth: int = 0) -> str:
    """Write presentation MathML as LaTeX: fractions, roots, scripts, rows; other elements give their content."""
    if depth > MAX_MATHML_DEPTH:
        return ""
    tag = node.tag
    if tag in ("mi", "mn", "mo", "mtext", "ms"):
        text = node.text.strip()
        return "".join(f"{OPERATORS[c]} " if c in OPERATORS else c for c in text)
    if tag in ("annotation", "annotation-xml"):
        return ""
    parts = []
    child = node.first_element_child  # siblings are walked by hand: Resiliparse's lists take linear time per index
    while child is not None:
        parts.append(mathml_to_latex(child, depth + 1))
        child = child.next_element_sibling
    match tag, parts:
        case "mfrac", [top, bottom]:
            return rf"\frac{{{top}}}{{{bottom}}}"
        case "msup" | "mover", [base, exponent]:
            return f"{base}^{{{exponent}}}"
        case "msub" | "munder", [base, index]:
            return f"{base}_{{{index}}}"
        case "msubsup" | "munderover", [base, index, exponent]:
            return f"{base}_{{{index}}}^{{{exponent}}}"
        case "msqrt", _:
            return rf"\sqrt{{{''.join(parts)}}}"
        case "mroot", [radicand, order]:
            return rf"\sqrt[{order}]{{{radicand}}}"
        case "mtr", _:
            return " & ".join(parts) + r" \\ "
    return "".join(parts)


def _replace(tree: HTMLTree, node, latex: str | None, display: bool) -> int:
    formula = re.sub(r"\s+", " ", latex or "").strip()
    displaystyle = re.fullmatch(r"\{\\(?:displaystyle|textstyle) ?(.*)\}", formula)
    if displaystyle:
        formula = displaystyle.group(1).strip()
    parent = node.parent
    if not formula or parent is None or len(formula) > MAX_FORMULA_CHARACTERS:
        return 0
    mark = "$$" if display else "$"
    parent.replace_child(tree.create_text_node(f"{mark}{formula}{mark}"), node)
    return 1


def unify_delimiters(text: str, html: str) -> tuple[str, int]:
    return text, 0
