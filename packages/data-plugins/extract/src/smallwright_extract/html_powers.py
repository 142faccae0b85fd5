"""Exponents and indices: what ``<sup>`` and ``<sub>`` show by place, plain text says by signs, or 10⁻³ reads 10-3.

Notes, ordinals and trade marks are raised too. They are told apart by what stands in them and before them.
"""

import re
from typing import Any

from resiliparse.parse.html import HTMLTree

from smallwright_extract.html_mathml import symbols
from smallwright_extract.marks import Marks

MAX_SCRIPT_CHARACTERS = 40
LOOK_BACK = 40
"""Characters in front of an exponent among which its base is looked for."""
NOTE = re.compile(r"\[[^\]]*\]|[*†‡§¶#.,;:\s]+")
ENDING = re.compile(r"st|nd|rd|th|er|re|ère|ème|es|os|as|tm|sm|lle|mes?|bis|ter|[®©℠™ªº°]", re.IGNORECASE)
"""Raised endings of numbers and of abbreviations, and signs of trade marks."""
LETTER_ENDING = re.compile(r"[aeor]")
"""Endings too after figures, Roman numerals and abbreviations: 2e, XIXe, no, Dr. After a letter they are exponents."""
DEGREES, SCALES = ("o", "O", "0", "\u00b0", "\u00ba", "\u2218"), ("C", "F")
"""How a degree is written for want of its sign, and what then follows."""
ABBREVIATED = re.compile(r"\d+|[IVXLCDM]+|[nN]|[A-Z]|\w{2,}")
BASE = re.compile(r"(?:(?:\d+(?:[.,]\d+)*)?[^\W\d_]*|[^\W\d_]{0,3}\((?![^()]*[^\W\d_]{4})[^()$\n]{1,30}\)|[)\]}|])$")
"""A number, a word, or what stands in brackets and is no prose."""
FORMULA_BASE = re.compile(r"\d*[.,]?\d*[^\W\d_]{0,3}|.*[)\]}|]")
AFTER_SIGNS = r"(?:(?:[A-Z][a-z]?){1,3}(?![a-z]))?"
"""Symbols of elements that follow an index, as in H₂O."""
PLAIN = re.compile(r"[-+]?\w+|[-+]|\(.*\)")
MINUS = str.maketrans("−–‐‑", "----")
CODE_SELECTOR = ", ".join(f"{code} {script}" for code in ("pre", "code", "samp", "kbd") for script in ("sup", "sub"))


def mark_scripts(tree: HTMLTree, marks: Marks) -> bool:
    """Put marks round exponents and indices, for :func:`spell_scripts`; return whether there were any.

    In code they are written at once, ``2^n``.
    """
    body: Any = tree.body
    found = body.query_selector_all("sup, sub").values()
    in_code = {hash(node) for node in body.query_selector_all(CODE_SELECTOR).values()} if found else set()
    changed = False
    for node in reversed(found):  # the inner of two comes first
        mark = marks.raised if node.tag == "sup" else marks.lowered
        text = " ".join((node.text or "").split()).translate(MINUS)
        text = spell_scripts(text, marks, latex=False)
        if node.parent is None or not _is_script(node, text):
            continue
        new = _plain(node.tag == "sup", text) if hash(node) in in_code else f"{mark}{text}{mark}"
        node.parent.replace_child(tree.create_text_node(new), node)
        changed = True
    return changed


def _is_script(node: Any, text: str) -> bool:
    if not text or len(text) > MAX_SCRIPT_CHARACTERS or NOTE.fullmatch(text):
        return False
    if node.query_selector("a, br, img") is not None:
        return False
    link = node.closest("a")
    return link is None or " ".join((link.text or "").split()) != text


def spell_scripts(text: str, marks: Marks, latex: bool) -> str:
    """Write the marked exponents and indices of ``text``: ``$mc^{2}$`` with ``latex``, otherwise ``mc^2``."""
    if marks.raised not in text and marks.lowered not in text:
        return text
    script = rf"(?:{marks.raised}.*?{marks.raised}|{marks.lowered}.*?{marks.lowered})"
    chain = re.compile(rf"{script}+(?:[^\W_]{{1,12}}{script}+)*{AFTER_SIGNS}", re.DOTALL)
    single = re.compile(rf"({marks.raised}|{marks.lowered})(.*?)\1", re.DOTALL)
    text = _fractions(text, marks, latex)
    written: list[str] = []
    end = 0
    for match in chain.finditer(text):
        before = text[end : match.start()]
        found = BASE.search(before[-LOOK_BACK:])
        base = found.group() if found else ""
        written.append(before[: len(before) - len(base)])
        written.append(_spelled(base, match.group(), single, marks, latex))
        end = match.end()
    written.append(text[end:])
    return _without_marks("".join(written), marks)


def _fractions(text: str, marks: Marks, latex: bool) -> str:
    """Write ``<sup>1</sup>/<sub>2</sub>`` as a fraction, apart from the number in front of it."""
    up, down = marks.raised, marks.lowered
    fraction = re.compile(rf"(?P<number>\d?)\s?{up}(?P<top>\d+){up}\s?[/\u2044\u2215]\s?{down}(?P<bottom>\d+){down}")

    def written(match: re.Match[str]) -> str:
        number, top, bottom = match.group("number", "top", "bottom")
        value = rf"$\frac{{{top}}}{{{bottom}}}$" if latex else f"{top}/{bottom}"
        return f"{number} {value}" if number else value

    return fraction.sub(written, text)


def _spelled(base: str, chain: str, single: re.Pattern[str], marks: Marks, latex: bool) -> str:
    first = single.match(chain)
    assert first is not None
    raised, script = first.group(1) == marks.raised, first.group(2)
    between = single.sub("", chain)
    if raised and script in DEGREES and base[-1:].isdecimal() and between in SCALES:
        return f"{base}\u00b0{between}"
    if raised and _is_ending(base, script):
        return base + single.sub(r"\2", chain)
    as_formula = FORMULA_BASE.fullmatch(base) and (base or re.match("[A-Z]", between)) and not re.search(r"\s", script)
    if not (latex and as_formula):
        return base + single.sub(lambda match: _plain(match.group(1) == marks.raised, match.group(2)), chain)

    def latex_of(part: str) -> str:
        return symbols(part).replace(r"\_", "_")  # it is the sign of an index in the script

    def in_latex(match: re.Match[str]) -> str:
        return f"{'^' if match.group(1) == marks.raised else '_'}{{{latex_of(match.group(2))}}}"

    if base in tuple(")]}|"):
        return f"{base}${single.sub(in_latex, chain)}$"
    return f"${latex_of(base)}{single.sub(in_latex, chain)}$"


def _is_ending(base: str, script: str) -> bool:
    """Whether a raised text is the end of a word or number, not an exponent."""
    if ENDING.fullmatch(script):
        return True
    if LETTER_ENDING.fullmatch(script):
        return ABBREVIATED.fullmatch(base) is not None or not base
    if re.fullmatch(r"\(.*\)|[^\W\d_]{2,}", script):
        return len(base) != 1 or not base.isalpha()
    return False


def _plain(raised: bool, script: str) -> str:
    sign = "^" if raised else "_"
    return f"{sign}{script}" if PLAIN.fullmatch(script) else f"{sign}({script})"


def _without_marks(text: str, marks: Marks) -> str:
    return text.replace(marks.raised, "").replace(marks.lowered, "")
