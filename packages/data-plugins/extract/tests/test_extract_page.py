"""Main content, code and tables, by either extractor; quality on real pages. About 15 seconds, a slow one 30."""

import importlib.util
import os
import re
from pathlib import Path

import pytest
from core.data.steps import StepContext
from core.errors import ConfigError
from core.typed import build
from resiliparse.parse.html import HTMLTree
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.page import extract_page, is_deeper
from smallwright_extract.step import ExtractText

ROOT = Path(__file__).resolve().parents[4]
SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", ROOT.parent / "shared")) / "data"
BOTH = pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
TEXT = "".join(
    f"<p>Sentence {i} of an article that is long enough to be taken for one, with a comma.</p>" for i in range(9)
)
CODE = "def f(x):\n    if x &lt; 3:\n\n        return 1\n    return 2"


def extract(inside: str, **settings) -> str:
    return extract_page(
        f"<html><body><article>{TEXT}{inside}{TEXT}</article></body></html>".encode(), ExtractTextConfig(**settings)
    ).text


@BOTH
def test_code_keeps_lines_and_indentation(extractor):
    text = extract(f'<pre class="language-python"><code>{CODE}</code></pre>', extractor=extractor)
    assert CODE.replace("&lt;", "<") in text
    assert "```" not in text


@BOTH
def test_code_can_be_fenced_with_its_language(extractor):
    block = f'<div class="highlight-python"><pre><span>{CODE}</span>\n# ```\n</pre></div>'
    text = extract(block, extractor=extractor, code_fences=True)
    assert f"````python\n{CODE.replace('&lt;', '<')}\n# ```\n````" in text


@BOTH
def test_tables_are_kept_as_rows_or_as_markdown(extractor):
    cells = "<tr><th>Name</th><th>Age</th></tr><tr><td>Ann | Bea</td><td>3 <b>years</b></td></tr><tr><td>Bob</td></tr>"
    rows = extract(f"<table>{cells}</table>", extractor=extractor)
    assert re.search(r"Ann \W+ ?Bea\W+3 years", rows)
    assert "| --- | --- |" not in rows
    markdown = extract(f"<table>{cells}</table>", extractor=extractor, tables="markdown")
    assert "| Name | Age |\n| --- | --- |\n| Ann \\| Bea | 3 years |\n| Bob |  |" in markdown


def test_tables_keep_captions_line_breaks_and_columns():
    cells = """<caption>Fruit <b>sold</b></caption><tr><th>Kind<th>Shop<th colspan=2>Sold<br>in all
      <tr><td rowspan=2>Red<br>apple<td><div>North</div><div>Street</div><td>1<td>2
      <tr><td>Market<td>3<td>4<tr><td>Pear<td rowspan=9999999999>x<td>5<td>6"""
    assert (
        "Fruit sold\n\n| Kind | Shop | Sold in all |  |\n| --- | --- | --- | --- |\n"
        "| Red apple | North Street | 1 | 2 |\n| Red apple | Market | 3 | 4 |\n| Pear | x | 5 | 6 |"
    ) in extract(f"<table>{cells}</table>", tables="markdown")


@BOTH
@pytest.mark.parametrize("fences", [False, True])
@pytest.mark.parametrize(
    "markup",
    ["<pre>{0}<br>{1}<br>{2}</pre>", "<pre><code><div>{0}</div><div>{1}</div><div>{2}</div></code></pre>",
     "<pre><ol><li>{0}</li><li>{1}</li><li>{2}</li></ol></pre>"],
    ids=["br", "div", "li"],
)  # fmt: skip
def test_lines_of_code_that_elements_divide_stay_lines(extractor, fences, markup):
    lines = ["def f(x):", "    if x:", "        return 1"]
    assert "\n".join(lines) in extract(markup.format(*lines), extractor=extractor, code_fences=fences)


@BOTH
def test_characters_that_nobody_sees_go_and_joiners_stay(extractor):
    text = extract(
        "<p>The Unter&shy;neh\u2063men, zero&#8203;wi\u206ad\u034fth, "
        "\u200fleft\u200e, \u0645\u06cc\u200c\u062e\u0648.</p>",
        extractor=extractor,
    )
    assert "The Unternehmen, zerowidth, left, \u0645\u06cc\u200c\u062e\u0648." in text


@pytest.mark.parametrize(
    "inside",
    [
        "First<br><br>Second<br>Third",
        "First <b>bold</b><br>\n<br/>Second<br>Third<p>Fourth</p>",
        "First<br><br><p>Second</p><br>Third",
        "First<br>Second<br>Third",
        "<span>First<br>&nbsp;<br>Second<br><!-- --><br>Third</span>",
    ],
)
def test_trafilatura_keeps_text_before_a_line_break(inside):
    inside = inside.replace("First", "The first thought of the author").replace(
        "Second", "The second thought of the author"
    )
    text = extract(f"<div>{inside}</div>", extractor="trafilatura")
    for words in ("The first thought of the author", "The second thought of the author", "Third"):
        assert words in text


@pytest.mark.parametrize("tag", ["div", "section"])
def test_trafilatura_keeps_text_before_a_paragraph(tag):
    first = "The first thought of the author, in <b>bold</b> letters"
    text = extract(f"<{tag}>{first}<p>The second thought</p>The third thought</{tag}>", extractor="trafilatura")
    for words in ("The first thought of the author, in bold letters", "The second thought", "The third thought"):
        assert words in text


@pytest.mark.parametrize("settings", [{}, {"quality": "precise"}, {"extractor": "trafilatura"}], ids=str)
def test_characters_between_two_tags_are_kept(settings):
    inside = (
        "<p><b>\u4e2d</b>\u6587<i>\u5b57</i>, <i>from</i> \u2014 <i>to</i>&hellip; <b>\ud55c</b>\uad6d &euro;<b>5</b>"
    )
    assert "\u4e2d\u6587\u5b57, from \u2014 to\u2026 \ud55c\uad6d \u20ac5" in extract(inside, **settings)
    vector = "<p>A vector <math><mover><mi>v</mi><mo>\u2192</mo></mover></math> here.</p>"
    assert r"A vector $\vec{v}$ here." in extract(vector, **settings)


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("quality", ["fast", "precise"])
def test_lists_of_text_are_kept_and_menus_are_not(quality, depth):
    menu = "<ul><li><a href=/>Home</a></li><li><a href=/shop>Shop</a></li></ul>"
    items = "<ul><li>Coffee beans are roasted.</li><li>Tea leaves are <a href=/dry>dried in the sun</a>.</li></ul>"
    html = f"<body>{'<div>' * depth}{menu}<div>{TEXT}<p>What is needed:</p>{items}{TEXT}"
    text = extract_page(html.encode(), ExtractTextConfig(quality=quality)).text
    assert "\u2022 Coffee beans are roasted." in text
    assert "\u2022 Tea leaves are dried in the sun." in text
    assert "Shop" not in text


def test_how_deep_the_source_is_indented_does_not_make_a_text_of_a_menu():
    gap = "\n" + " " * 8
    items = [f"<li>{gap}<a href=/{name}>To the {name}</a>{gap}</li>{gap}" for name in ("first page", "Shop")]
    menu = f"<ul>{gap}{''.join(items)}</ul>"
    text = extract_page(f"<body><div>{menu}<div>{TEXT}".encode(), ExtractTextConfig()).text
    assert "Sentence 8" in text
    assert "Shop" not in text


def test_delimiters_in_a_list_that_mathjax_leaves_alone_are_no_formulas():
    script = "<script src=MathJax.js></script>"
    text = extract(f'{script}<ul class="tex2jax_ignore"><li>The name \\(x\\) of a file is written so.</li></ul>')
    assert r"\(x\)" in text


@pytest.mark.parametrize(("head", "kept"), [("", False), ("<script src=MathJax.js></script>", True)])
def test_pages_with_much_code_keep_their_formulas_powers_and_lines(head, kept):
    many = "<p>" + "<code>f(x)</code>, " * 60 + "</p>"
    more = f"{head}{many}<p>so <code>s/\\(x\\)/y/</code> and \\(a+b\\) and 10<sup>-3</sup></p><pre>a<br>  b</pre>"
    page = extract_page(f"<body><article>{TEXT}{more}{TEXT}</article>".encode(), ExtractTextConfig())
    assert r"so s/\(x\)/y/ and " + ("$a+b$" if kept else r"\(a+b\)") + " and $10^{-3}$" in page.text
    assert "a\n  b" in page.text


def test_a_character_alone_between_two_tags_is_kept():
    text = extract("<p><b>one</b>\n   \u2014\n<i>two</i><b>\t\u6f22</b> <u> &mdash; </u></p>")
    assert "one \u2014 two \u6f22 \u2014" in " ".join(text.split())


def test_tables_that_lay_out_a_page_are_no_tables():
    layout = f"<table><tr><td><h1>Title</h1></td><td>x</td></tr><tr><td>{TEXT}</td><td>y</td></tr></table>"
    assert "| --- |" not in extract(layout, tables="markdown")


def test_the_precise_rules_keep_the_article_alone():
    html = f"""<body><div class="top-bar"><a href=/>Home</a></div>
      <div class="page"><div class="entry-excerpt">The lead says what the article is about, in one sentence.</div>
      <div class="entry-content">{TEXT}<div class="shareButtons">Share this</div>
        <h3>Read also</h3><ul><li><a href=1>Another story that you may like</a></li></ul></div>
      <div class="sidebar"><p>{"Words of a widget that nobody came for. " * 5}</p></div>
      <ol class="comment-list"><li><p>{"A reader has an opinion. " * 5}</p></li></ol></div></body>"""
    fast = extract_page(html.encode(), ExtractTextConfig()).text
    precise = extract_page(html.encode(), ExtractTextConfig(quality="precise")).text
    assert precise.startswith("The lead says")
    assert precise.count("Sentence") == fast.count("Sentence") == 9
    for unwanted in ("Home", "Share this", "Another story", "Read also", "widget", "opinion"):
        assert unwanted not in precise
    assert fast.startswith("Home")
    assert "opinion" in fast


def test_little_text_falls_back_to_looser_rules():
    text = "Warm socks for cold feet. " * 8
    html = f'<body><div class="shop"><h1>Socks</h1><div class="info-box">{text}</div></div></body>'
    assert "Warm socks" in extract_page(html.encode(), ExtractTextConfig(quality="precise")).text


def test_pages_of_nothing_but_boilerplate_are_told_from_empty_ones():
    nothing = extract_page(b"<body><script>x()</script></body>", ExtractTextConfig())
    links = extract_page(b"<body><nav><a href=1>Home</a></nav><footer>Imprint</footer></body>", ExtractTextConfig())
    assert (nothing.reason, links.reason) == ("no text", "only boilerplate")


def test_an_extractor_that_is_not_installed_is_named_before_any_work(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    step = ExtractText(ExtractTextConfig(extractor="trafilatura"))
    with pytest.raises(ConfigError, match=r"data\.steps\.text\.extractor.*\[trafilatura\]"):
        step.bind(StepContext(label="text", position=0, seed=0))


@pytest.mark.parametrize(
    "settings",
    [{"max_page_bytes": 0}, {"min_characters": 0}, {"max_depth": 6000}, {"timeout_s": 0}, {"max_memory_mb": 1}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        build(ExtractTextConfig, settings, "x")


@pytest.mark.parametrize(("levels", "deeper"), [(9, False), (10, False), (11, True), (5000, True)])
def test_depth_is_counted_below_the_body(levels, deeper):
    assert is_deeper(HTMLTree.parse("<body>" + "<div>" * levels), 10) is deeper


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "extract_articles").is_dir(), reason=f"no real pages in {SHARED}")
def test_the_precise_rules_are_at_least_as_good_as_trafilatura_on_real_pages():
    trafilatura = pytest.importorskip("trafilatura")
    spec = importlib.util.spec_from_file_location("extraction_quality", ROOT / "benchmarks" / "extraction_quality.py")
    quality = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quality)
    config = ExtractTextConfig(quality="precise", comments=False)
    for kind, (folders, read, score, sum_up) in quality.SETS.items():
        for folder in folders:
            pages = [(quality.decoded(page), truth) for _, page, truth in read(SHARED / folder)]
            ours = sum_up([score(truth, extract_page(html.encode(), config).text) for html, truth in pages])
            for precise in (False, True):
                found = [
                    trafilatura.extract(html, include_comments=False, favor_precision=precise) for html, _ in pages
                ]
                theirs = sum_up([score(truth, text or "") for (_, truth), text in zip(pages, found, strict=True)])
                assert ours["F1"] >= theirs["F1"], (kind, folder, precise)
