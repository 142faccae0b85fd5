"""Exponents and indices keep their place; what is raised for another reason stays. Milliseconds."""

import pytest
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.page import extract_page

BEFORE = "<p>A sentence in front that is long enough to be taken for the text of an article.</p>"


def extract(markup, **settings):
    html = f"<html><body><article>{BEFORE}<div>{markup}</div></article></body></html>"
    return extract_page(html.encode(), ExtractTextConfig(**settings)).text.splitlines()[-1]


@pytest.mark.parametrize(
    ("markup", "latex", "plain"),
    [
        ("E = mc<sup>2</sup>.", "E = $mc^{2}$.", "E = mc^2."),
        ("10<sup>-3</sup> m", "$10^{-3}$ m", "10^-3 m"),
        ("10<SUP>\u22123</SUP> m", "$10^{-3}$ m", "10^-3 m"),
        ("<i>x</i><sub>i</sub><sup>2</sup>", "$x_{i}^{2}$", "x_i^2"),
        ("2<sup>n+1</sup>", "$2^{n+1}$", "2^(n+1)"),
        ("(a + b)<sup>2</sup>", "$(a + b)^{2}$", "(a + b)^2"),
        ("e<sup>i\u03c0</sup>", r"$e^{i\pi}$", "e^i\u03c0"),
        ("e<sup>x<sup>2</sup></sup>", "$e^{x^2}$", "e^(x^2)"),
        ("H<sub>2</sub>SO<sub>4</sub> in H<sub>2</sub>O", "$H_{2}SO_{4}$ in $H_{2}O$", "H_2SO_4 in H_2O"),
        ("<sup>14</sup>C", "$^{14}C$", "^14C"),
        ("10<sup>3</sup>kg", "$10^{3}$kg", "10^3kg"),
        ("f<sup>(n)</sup>", "$f^{(n)}$", "f^(n)"),
        ("Na<sup>+</sup>, SO<sub>4</sub><sup>2\u2212</sup>", "$Na^{+}$, $SO_{4}^{2-}$", "Na^+, SO_4^(2-)"),
        (
            "<sup>1</sup>/<sub>2</sub> or 1<sup>3</sup>\u2044<sub>4</sub>",
            r"$\frac{1}{2}$ or 1 $\frac{3}{4}$",
            "1/2 or 1 3/4",
        ),
        ("the distance<sup>2</sup> counts", "the distance^2 counts", "the distance^2 counts"),
        ("(so the authors say)<sup>2</sup>", "(so the authors say)$^{2}$", "(so the authors say)^2"),
    ],
)
def test_exponents_and_indices_are_written_by_signs(markup, latex, plain):
    assert extract(markup) == latex
    assert extract(markup, math=False) == plain


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("the 4<sup>th</sup> of May", "the 4th of May"),
        ("au XIX<sup>e</sup> si\u00e8cle, n<sup>o</sup> 5, M<sup>me</sup> B.", "au XIXe si\u00e8cle, no 5, Mme B."),
        ("at 30<sup>o</sup>C or -4 <sup>o</sup>F, 25.5<sup>0</sup>C", "at 30\u00b0C or -4 oF, 25.5\u00b0C"),
        ("Acme<sup>TM</sup> and Acme<sup>\u00ae</sup>", "AcmeTM and Acme\u00ae"),
        ("as said<sup>[3]</sup> and<sup>*</sup>", "as said[3] and*"),
        ("said<sup><a href='#n1'>1</a></sup> and <a href='#n2'><sup>2</sup></a>", "said1 and 2"),
        ("<code>2<sup>n</sup></code>", "2^n"),
    ],
)
def test_notes_ordinals_trade_marks_and_code_are_no_formulas(markup, text):
    assert extract(markup) == text
