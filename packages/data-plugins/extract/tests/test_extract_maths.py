# ruff: noqa: E501 (mark-up is easier to read in one piece)
"""Formulas become LaTeX, by either extractor. A second; Trafilatura takes three to import."""

import pytest
from resiliparse.parse.html import HTMLTree
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.html_mathml import mathml_to_latex
from smallwright_extract.page import extract_page

BEFORE = "<p>" + "A sentence in front that is long enough to be taken for the text of an article. " * 4 + "</p>"


@pytest.mark.parametrize(
    ("markup", "latex"),
    [
        ("<mfrac><mn>1</mn><msup><mi>x</mi><mn>2</mn></msup></mfrac>", r"\frac{1}{x^{2}}"),
        ("<msqrt><mi>a</mi><mo>+</mo><mi>b</mi></msqrt>", r"\sqrt{a+b}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        ("<msup><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></msup>", "{a+b}^{2}"),
        ("<msup><mrow><mo>(</mo><mi>a</mi><mo>)</mo></mrow><mn>2</mn></msup>", "(a)^{2}"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_{i}^{2}"),
        ("<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><mi>i</mi>", r"\sum_{i=1}^{n}i"),
        ("<munder><mi>lim</mi><mrow><mi>x</mi><mo>→</mo><mn>0</mn></mrow></munder>", r"\lim_{x\to0}"),
        ("<mover><mi>x</mi><mo>¯</mo></mover>", r"\bar{x}"),
        ("<mover><mrow><mi>A</mi><mi>B</mi></mrow><mo>→</mo></mover>", r"\overrightarrow{AB}"),
        ("<mover><mo>=</mo><mi>d</mi></mover>", r"\overset{d}{=}"),
        ("<mtable><mtr><mtd><mi>a</mi></mtd><mtd><mi>b</mi></mtd></mtr><mtr><mtd><mi>c</mi></mtd><mtd><mi>d</mi></mtd></mtr></mtable>",
         r"\begin{matrix} a & b \\ c & d \end{matrix}"),
        ("<mfenced open='[' close=']'><mi>a</mi><mi>b</mi></mfenced>", r"\left[ a,b \right]"),
        ("<mi>α</mi><mi>x</mi><mo>≤</mo><mi>sin</mi><mi>θ</mi>", r"\alpha x\le\sin\theta"),
        ("<mtext>if </mtext><mi>x</mi>", r"\text{if}x"),
        ("<mmultiscripts><mi>C</mi><mn>6</mn><none/><mprescripts/><none/><mn>14</mn></mmultiscripts>", "{}^{14}C_{6}"),
        ("<mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac>", r"{n \atop k}"),
        ("<semantics><mi>x</mi><annotation-xml><ci>y</ci></annotation-xml></semantics>", "x"),
        ("<menclose notation='box'><mi>x</mi></menclose>", r"\boxed{x}"),
    ],
)  # fmt: skip
def test_mathml_is_written_by_its_structure(markup, latex):
    tree = HTMLTree.parse(f"<body><math>{markup}</math></body>")
    assert mathml_to_latex(tree.body.query_selector("math")) == latex


def test_endless_mathml_is_cut_off():
    tree = HTMLTree.parse("<body><math>" + "<mrow>" * 900 + "<mi>x</mi></math>" + "<math>" + "<mi>x</mi>" * 20_000)
    deep, long = (mathml_to_latex(node) for node in tree.body.query_selector_all("math").values())
    assert deep == ""
    assert 4000 < len(long) < 6000


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (r'<script type="math/tex">\frac{1}{2}</script>', r"$\frac{1}{2}$"),
        (r'<script type="math/tex; mode=display">x_1</script>', "$$x_1$$"),
        ('<script type="math/mml"><math><mi>y</mi><mo>=</mo><mn>2</mn></math></script>', "$y=2$"),
        ('<span class="MathJax_Preview">x2</span><span class="MathJax" data-mathml="&lt;math&gt;">x2</span><script type="math/tex">x^2</script>', "$x^2$"),
        ('<mjx-container class="MathJax" display="true"><mjx-math>x</mjx-math><mjx-assistive-mml><math display="block"><msup><mi>x</mi><mn>2</mn></msup></math></mjx-assistive-mml></mjx-container>', "$$x^{2}$$"),
        ('<span class="katex"><span class="katex-mathml"><math><semantics><mi>a</mi><annotation encoding="application/x-tex">a+b</annotation></semantics></math></span><span class="katex-html">a+b</span></span>', "$a+b$"),
        ('<span class="katex-display"><span class="katex"><span class="katex-mathml"><math display="block"><semantics><mi>a</mi><annotation encoding="application/x-tex">a</annotation></semantics></math></span></span></span>', "$$a$$"),
        (r'<span class="mwe-math-element"><span class="mwe-math-mathml-inline"><math alttext="{\displaystyle y^3}"><mi>y</mi></math></span><img class="mwe-math-fallback-image-inline" alt="{\displaystyle y^3}"></span>', "$y^3$"),
        (r'<img class="latex" alt="\alpha_1" src="/a.png">', r"$\alpha_1$"),
        (r'<img class="tex" alt="$\beta$" src="/a.png">', r"$\beta$"),
        (r'<img src="https://latex.codecogs.com/gif.latex?%5Cinline%20%5Cdpi%7B120%7D%20x%5E2&amp;space;+1" alt="">', "$x^2 +1$"),
        ('<img src="https://s0.wp.com/latex.php?latex=x%5E2%2B1&amp;bg=ffffff&amp;fg=000" alt="">', "$x^2+1$"),
        ('<span data-latex="z_0">z0</span>', "$z_0$"),
    ],
)  # fmt: skip
def test_every_form_of_formula_becomes_latex(extractor, markup, text):
    html = f"<html><body><article>{BEFORE}<p>We know that {markup} holds here and everywhere else.</p>{BEFORE}</article></body></html>"
    page = extract_page(html.encode(), ExtractTextConfig(extractor=extractor))
    assert f"We know that {text} holds here" in " ".join(page.text.split())
    assert page.formulas == 1


def test_delimiters_are_made_one_kind_where_the_page_typesets():
    body = r"<p>So \(x^2\), \[y_1\] and [tex]z[/tex] and $latex w$ hold.</p>"
    settings = ExtractTextConfig()
    page = extract_page(f"<script src=/MathJax.js></script><body>{body}".encode(), settings)
    assert (page.text, page.formulas) == ("So $x^2$, $$y_1$$ and $z$ and $w$ hold.", 4)
    assert r"\(x^2\)" in extract_page(rb"<body><p>A regular expression: \(x^2\)</p>", settings).text
    off = extract_page(f"<script src=/MathJax.js></script><body>{body}".encode(), ExtractTextConfig(math=False))
    assert r"\(x^2\)" in off.text
    assert off.formulas == 0


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
@pytest.mark.parametrize("fences", [False, True])
def test_code_holds_no_formulas(extractor, fences):
    code = r"sed 's/\(foo\)\(bar\)/\2\1/' file"
    body = rf"<p>Inline is \(a+b\) here, and \[ c \\[2pt] d \] too. Groups of sed stay: <code>s/\(x\)/\1/</code></p><pre>{code}</pre>"
    html = f"<html><head><script src=/MathJax.js></script></head><body><article>{BEFORE}{body}{BEFORE}</article></body></html>"
    page = extract_page(html.encode(), ExtractTextConfig(extractor=extractor, code_fences=fences))
    assert r"Inline is $a+b$ here, and $$c \\[2pt] d$$ too. Groups of sed stay: s/\(x\)/\1/" in " ".join(
        page.text.split()
    )
    assert code in page.text
    assert page.formulas == 2
