"""Main content, code and tables, by either extractor; quality on real pages. About 15 seconds."""

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
    for name, read, sum_up in (
        ("extract_articles", quality.read_articles, quality.sum_up_articles),
        ("extract_segments", quality.read_segments, quality.sum_up_segments),
    ):
        pages = [(quality.decoded(page), truth) for _, page, truth in read(SHARED / name)]
        ours = sum_up([(truth, extract_page(html.encode(), config).text) for html, truth in pages])
        theirs = sum_up([(truth, trafilatura.extract(html, include_comments=False) or "") for html, truth in pages])
        assert ours["F1"] >= theirs["F1"], name
