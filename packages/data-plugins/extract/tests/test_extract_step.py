# ruff: noqa: E501 (mark-up is easier to read in one piece)
"""Text of pages: main content, formulas, hostile nesting."""

import pytest
from datatrove.data import Document
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.step import ExtractText


def extract(html: str, **settings):
    step = ExtractText(ExtractTextConfig(**settings))
    documents = list(step.run([Document(text=html, id="x", metadata={})]))
    return (documents[0].text if documents else None), step._ledger.to_dict()


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (r'<script type="math/tex">\frac{1}{2}</script>', r"$\frac{1}{2}$"),
        (r'<script type="math/tex; mode=display">x_1</script>', "$$x_1$$"),
        ('<span class="MathJax">x2</span><script type="math/tex">x^2</script>', "$x^2$"),
        ('<math><semantics><mi>x</mi><annotation encoding="application/x-tex">x^2</annotation></semantics></math>', "$x^2$"),
        ('<span class="katex"><span class="katex-mathml"><math><semantics><mi>a</mi><annotation encoding='
         '"application/x-tex">a+b</annotation></semantics></math></span><span class="katex-html">a+b</span></span>', "$a+b$"),
        ('<math alttext="y^3"><mi>y</mi></math>', "$y^3$"),
        ("<math><mfrac><mn>1</mn><msup><mi>x</mi><mn>2</mn></msup></mfrac></math>", r"$\frac{1}{x^{2}}$"),
        (r"\(a&lt;b\) and $c$", r"\(a<b\) and $c$"),
    ],
)  # fmt: skip
def test_formulas_become_latex(markup, text):
    html = f"<html><body><article><p>We know that {markup} holds here.</p></article></body></html>"
    assert extract(html)[0] == f"We know that {text} holds here."


def test_every_formula_of_a_page_is_kept():
    formulas = "".join(f'<p>Formula <math alttext="x^{{{i}}}"><mi>x</mi></math> is fine.</p>' for i in range(50))
    text, _ = extract(f"<body>{formulas}</body>")
    assert all(f"$x^{{{i}}}$" in text for i in range(50))


def test_navigation_is_left_out_and_empty_pages_are_rejected():
    html = "<body><nav><a href=/>Home</a></nav><main><h1>Sums</h1><p>Two and two is four.</p></main><footer>© me</footer></body>"
    text, _ = extract(html)
    assert "Two and two is four." in text
    assert "Home" not in text
    assert extract("<body><script>x()</script></body>")[1]["rejected"] == {"no text": 1}
    assert extract("<p>" + "a" * 200, max_page_bytes=100)[1]["rejected"] == {"larger than the limit": 1}


@pytest.mark.parametrize("tag", ["<div>", '<div a="</div>">', "<math><mrow>", "<table><tr><td>"])
def test_a_hundred_thousand_levels_are_refused(tag):
    assert extract("<body>" + tag * 100_000 + "x")[1]["rejected"] == {"nested too deeply": 1}


def test_text_is_not_extracted_twice():
    step = ExtractText(ExtractTextConfig(isolate=False))
    page = Document(text="<html><body><p>A page with a sentence to keep.</p></body></html>", id="1")
    (document,) = step.run([page])
    assert list(step.run([document])) == []
    assert step._ledger.to_dict()["failed"] == {"text already extracted": 1}
