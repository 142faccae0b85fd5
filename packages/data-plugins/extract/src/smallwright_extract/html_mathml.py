"""Presentation MathML written as LaTeX."""

import re
from typing import Any

MAX_DEPTH = 50
MAX_ELEMENTS = 5000

SYMBOLS = {
    "×": r"\times", "÷": r"\div", "−": "-", "⋅": r"\cdot", "·": r"\cdot", "∗": "*", "∘": r"\circ", "±": r"\pm",
    "∓": r"\mp", "≤": r"\le", "≥": r"\ge", "⩽": r"\le", "⩾": r"\ge", "≠": r"\ne", "≈": r"\approx", "≡": r"\equiv",
    "∼": r"\sim", "≃": r"\simeq", "≅": r"\cong", "∝": r"\propto", "≪": r"\ll", "≫": r"\gg", "∞": r"\infty",
    "∑": r"\sum", "∏": r"\prod", "∐": r"\coprod", "∫": r"\int", "∬": r"\iint", "∭": r"\iiint", "∮": r"\oint",
    "∂": r"\partial", "∇": r"\nabla", "√": r"\sqrt{}", "→": r"\to", "←": r"\leftarrow", "↔": r"\leftrightarrow",
    "⇒": r"\Rightarrow", "⇐": r"\Leftarrow", "⇔": r"\Leftrightarrow", "↦": r"\mapsto", "⟶": r"\longrightarrow",
    "∈": r"\in", "∉": r"\notin", "∋": r"\ni", "⊂": r"\subset", "⊃": r"\supset", "⊆": r"\subseteq", "⊇": r"\supseteq",
    "∪": r"\cup", "∩": r"\cap", "∅": r"\emptyset", "∖": r"\setminus", "∀": r"\forall", "∃": r"\exists", "¬": r"\neg",
    "∧": r"\land", "∨": r"\lor", "⊕": r"\oplus", "⊗": r"\otimes", "⊥": r"\perp", "∥": r"\parallel", "∣": r"\mid",
    "∠": r"\angle", "△": r"\triangle", "…": r"\ldots", "⋯": r"\cdots", "⋮": r"\vdots", "⋱": r"\ddots", "′": "'",
    "″": "''", "°": r"^\circ", "⟨": r"\langle", "⟩": r"\rangle", "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil",
    "⌉": r"\rceil", "‖": r"\|", "ℓ": r"\ell", "ℏ": r"\hbar", "ℜ": r"\Re", "ℑ": r"\Im", "ℵ": r"\aleph",
    "ℝ": r"\mathbb{R}", "ℂ": r"\mathbb{C}", "ℕ": r"\mathbb{N}", "ℤ": r"\mathbb{Z}", "ℚ": r"\mathbb{Q}",
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon", "ϵ": r"\epsilon",
    "ζ": r"\zeta", "η": r"\eta", "θ": r"\theta", "ϑ": r"\vartheta", "ι": r"\iota", "κ": r"\kappa", "λ": r"\lambda",
    "μ": r"\mu", "ν": r"\nu", "ξ": r"\xi", "π": r"\pi", "ρ": r"\rho", "σ": r"\sigma", "ς": r"\varsigma", "τ": r"\tau",
    "υ": r"\upsilon", "φ": r"\varphi", "ϕ": r"\phi", "χ": r"\chi", "ψ": r"\psi", "ω": r"\omega", "Γ": r"\Gamma",
    "Δ": r"\Delta", "Θ": r"\Theta", "Λ": r"\Lambda", "Ξ": r"\Xi", "Π": r"\Pi", "Σ": r"\Sigma", "Φ": r"\Phi",
    "Ψ": r"\Psi", "Ω": r"\Omega", "%": r"\%", "#": r"\#", "&": r"\&", "$": r"\$", "{": r"\{", "}": r"\}",
    "_": r"\_", "\\": r"\backslash", "\u2061": "", "\u2062": "", "\u2063": ",", "\u2064": "", "\u00a0": " ",
    "\u200b": "", "\u2009": " ", "\u2003": " ",
}  # fmt: skip
FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "coth", "exp",
     "log", "ln", "lg", "det", "dim", "ker", "hom", "arg", "deg", "gcd", "inf", "lim", "liminf", "limsup", "max", "min",
     "sup", "Pr"}
)  # fmt: skip
OVER = {"¯": r"\bar", "‾": r"\overline", "_": r"\overline", "^": r"\hat", "ˆ": r"\hat", "~": r"\tilde", "˜": r"\tilde",
        "→": r"\vec", "⃗": r"\vec", "˙": r"\dot", ".": r"\dot", "¨": r"\ddot", "⏞": r"\overbrace",
        "ˇ": r"\check"}  # fmt: skip
UNDER = {"_": r"\underline", "¯": r"\underline", "̲": r"\underline", "⏟": r"\underbrace"}
LIMITS = re.compile(
    r"\\(?:sum|prod|coprod|int|iint|iiint|oint|lim|liminf|limsup|max|min|sup|inf|det|gcd|Pr|bigcup|bigcap"
    r"|underbrace\{.*\}|overbrace\{.*\})"
)
BRACKETS = {"(": "(", ")": ")", "[": "[", "]": "]", "{": r"\{", "}": r"\}", "|": "|", "‖": r"\|", "⟨": r"\langle",
            "⟩": r"\rangle", "": "."}  # fmt: skip


def mathml_to_latex(node: Any) -> str:
    """Write a ``<math>`` element, or any part of one, as LaTeX; what is unknown gives its content.

    Elements beyond :data:`MAX_ELEMENTS`, or deeper than :data:`MAX_DEPTH`, are left out.
    """
    return _Writer().write(node)


class _Writer:
    def __init__(self) -> None:
        self._left = MAX_ELEMENTS

    def write(self, node: Any, depth: int = 0) -> str:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            return ""
        tag = (node.tag or "").rpartition(":")[2]
        if tag in ("mi", "mn", "mo", "mtext", "ms"):
            return _token(tag, (node.text or "").strip())
        if tag in ("annotation", "annotation-xml", "mprescripts", "none", "maligngroup", "malignmark"):
            return ""
        if tag == "mspace":
            return " "
        if tag == "mmultiscripts":
            return self._multiscripts(node, depth)
        parts = [self.write(child, depth + 1) for child in _children(node)]
        if tag in ("semantics", "maction"):
            return parts[0] if parts else ""
        return _compose(tag, node, parts)

    def _multiscripts(self, node: Any, depth: int) -> str:
        before: list[str] = []
        after: list[str] = []
        into = after
        children = _children(node)
        for child in children[1:]:
            if child.tag == "mprescripts":
                into = before
            else:
                into.append(self.write(child, depth + 1))
        base = self.write(children[0], depth + 1) if children else ""
        return ("{}" + _scripts(before) if before else "") + _grouped(base) + _scripts(after)


def _compose(tag: str, node: Any, parts: list[str]) -> str:
    """Put the LaTeX of an element's children together."""
    match tag, parts:
        case "mfrac", [top, bottom]:
            if re.fullmatch(r"0(?:\.0*)?(?:px|pt|em)?", node.getattr("linethickness") or ""):
                return rf"{{{top} \atop {bottom}}}"
            return rf"\frac{{{top}}}{{{bottom}}}"
        case "msup", [base, exponent]:
            return f"{_grouped(base)}'" if exponent == "'" else f"{_grouped(base)}^{{{exponent}}}"
        case "msub", [base, index]:
            return f"{_grouped(base)}_{{{index}}}"
        case "msubsup", [base, index, exponent]:
            return f"{_grouped(base)}_{{{index}}}^{{{exponent}}}"
        case "mover", [base, over]:
            return _over(base, over, _children(node)[1])
        case "munder", [base, under]:
            return _under(base, under, _children(node)[1])
        case "munderover", [base, under, over]:
            if LIMITS.fullmatch(base.strip()):
                return f"{base}_{{{under}}}^{{{over}}}"
            return rf"\overset{{{over}}}{{\underset{{{under}}}{{{base}}}}}"
        case "msqrt", _:
            return rf"\sqrt{{{_joined(parts)}}}"
        case "mroot", [radicand, order]:
            return rf"\sqrt[{order}]{{{radicand}}}"
        case "mtable", _:
            return r"\begin{matrix} " + r" \\ ".join(part for part in parts if part) + r" \end{matrix}"
        case (("mtr" | "mlabeledtr"), _):
            return " & ".join(parts)
        case "mfenced", _:
            opening, closing = (node.getattr(side) for side in ("open", "close"))
            return _fenced("(" if opening is None else opening, ")" if closing is None else closing, parts, node)
        case "menclose", _:
            notation = node.getattr("notation") or ""
            command = r"\sqrt" if "radical" in notation else r"\boxed" if "box" in notation else ""
            return f"{command}{{{_joined(parts)}}}" if command else _joined(parts)
        case "mphantom", _:
            return rf"\phantom{{{_joined(parts)}}}"
    return _joined(parts)


def _children(node: Any) -> list[Any]:
    """Child elements; walked by hand, since Resiliparse's lists take linear time per index."""
    children = []
    child = node.first_element_child
    while child is not None:
        children.append(child)
        child = child.next_element_sibling
    return children


def _token(tag: str, text: str) -> str:
    if tag in ("mtext", "ms"):
        plain = re.sub(r"\s+", " ", text.replace("\u00a0", " "))
        return rf"\text{{{plain}}}" if re.search(r"\w", plain) else symbols(plain)
    if len(text) > 1 and text.isascii() and text.isalpha():
        if text in FUNCTIONS:
            return rf"\{text}"
        if tag == "mi":
            return rf"\mathrm{{{text}}}"
    return symbols(text)


def symbols(text: str) -> str:
    """Write the signs of ``text`` as LaTeX commands."""
    return _joined([SYMBOLS.get(character, character) for character in text])


def _joined(parts: list[str]) -> str:
    """Concatenate, with a space where a command would run into the letter after it."""
    text = ""
    for part in parts:
        if part and part[0].isalpha() and re.search(r"\\[A-Za-z]+$", text):
            text += " "
        text += part
    return text


def _grouped(base: str) -> str:
    """Put braces round a base of several parts; brackets hold together without."""
    base = base.strip()
    one = len(base) <= 1 or base.isdigit() or re.fullmatch(r"\\[A-Za-z]+(?:\{[^{}]*\})?", base)
    bracketed = re.fullmatch(r"[(\[|].*[)\]|]|\\left.*\\right\S+", base)
    return base if one or bracketed else f"{{{base}}}"


def _scripts(pairs: list[str]) -> str:
    """Alternating sub- and superscripts, empty ones left out."""
    text = ""
    for mark, script in zip("_^" * len(pairs), pairs, strict=False):
        if script:
            text += f"{mark}{{{script}}}"
    return text


def _over(base: str, over: str, node: Any) -> str:
    if command := OVER.get((node.text or "").strip()):
        wide = len(base) > 1 and not base.startswith("\\")
        command = {r"\bar": r"\overline", r"\hat": r"\widehat", r"\tilde": r"\widetilde",
                   r"\vec": r"\overrightarrow"}.get(command, command) if wide else command  # fmt: skip
        return f"{command}{{{base}}}"
    return f"{base}^{{{over}}}" if LIMITS.fullmatch(base.strip()) else rf"\overset{{{over}}}{{{base}}}"


def _under(base: str, under: str, node: Any) -> str:
    if command := UNDER.get((node.text or "").strip()):
        return f"{command}{{{base}}}"
    return f"{base}_{{{under}}}" if LIMITS.fullmatch(base.strip()) else rf"\underset{{{under}}}{{{base}}}"


def _fenced(opening: str, closing: str, parts: list[str], node: Any) -> str:
    given = node.getattr("separators")
    separators = "," if given is None else given.replace(" ", "")
    inside = ""
    for i, part in enumerate(parts):
        if i and separators:
            inside += separators[min(i - 1, len(separators) - 1)]
        inside += part
    left, right = (BRACKETS.get(mark.strip(), mark.strip()) for mark in (opening, closing))
    return rf"\left{left} {inside} \right{right}"
