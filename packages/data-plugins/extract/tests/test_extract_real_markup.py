"""Pages with real mark-up, shipped with their text: what is said is kept, what surrounds it is not. Seconds: 4."""

import json
from pathlib import Path

import pytest
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.page import extract_page

FIXTURES = Path(__file__).parent / "fixtures"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))
PRECISE = {"quality": "precise", "comments": False}
TRAFILATURA = {"extractor": "trafilatura", "comments": False}
CODE = {
    "forum": "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n\n    return a\n\n\nassert gcd(1071, 462) == 21",
    "maths_mathjax": "def solve(p, q):\n    d = p * p / 4 - q\n    return [-p / 2 + s * d ** 0.5 for s in (1, -1)]",
    "manual": "[water]\ncans=6\nlitres=5",
}

pages = pytest.mark.parametrize("name", EXPECTED)


def html(name):
    return (FIXTURES / f"{name}.html").read_bytes().decode(EXPECTED[name]["charset"])


def extracted(name, **settings):
    return extract_page(html(name).encode(), ExtractTextConfig(**settings))


def one_line(text):
    return " ".join(text.split())


def lines(name):
    return (FIXTURES / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def test_every_page_has_its_text_and_its_expectations():
    assert {path.stem for path in FIXTURES.glob("*.html")} == set(EXPECTED)
    assert {path.stem for path in FIXTURES.glob("*.txt")} == set(EXPECTED)


@pages
@pytest.mark.parametrize("settings", [{}, {"comments": False}, PRECISE], ids=["default", "no comments", "precise"])
def test_every_line_of_the_text_is_kept_in_order(name, settings):
    text, place = one_line(extracted(name, **settings).text), 0
    for line in map(one_line, lines(name)):
        found = text.find(line, place)
        assert found >= 0, line
        place = found + len(line)


@pages
def test_boilerplate_is_dropped(name):
    default, precise = extracted(name).text, extracted(name, **PRECISE).text
    for words in EXPECTED[name]["dropped"]:
        assert words in html(name).replace("&amp;", "&"), "the page says no such thing"
        assert words not in default
    for words in [*EXPECTED[name]["dropped"], *EXPECTED[name]["dropped_by_precise"]]:
        assert words not in precise


@pages
def test_the_precise_text_is_little_more_than_the_article(name):
    article, text = "".join(lines(name)), extracted(name, **PRECISE).text
    assert len(one_line(text)) <= 1.4 * len(one_line(article))


@pages
def test_titles_and_formulas(name):
    page = extracted(name)
    assert page.title == EXPECTED[name]["title"]
    assert page.formulas == EXPECTED[name]["formulas"]


@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize("settings", [{}, PRECISE], ids=["default", "precise"])
def test_code_keeps_its_lines(name, settings):
    assert CODE[name] in extracted(name, **settings).text


def test_tables_become_markdown():
    assert (
        "| Salt | ½ teaspoon | 1 teaspoon |\n| Buttermilk | 350–400 ml | ¾ litre |"
        in extracted("recipe", tables="markdown").text
    )
    assert (
        "| Primes | Number | Prime? |\n| --- | --- | --- |\n| 2, 3, 5 | 31 | yes |"
        in extracted("encyclopedia", tables="markdown").text
    )


@pytest.mark.parametrize("name", ["encyclopedia", "hebrew", "maths_mathjax", "news", "russian"])
def test_trafilatura_keeps_text_and_formulas_too(name):
    pytest.importorskip("trafilatura")
    page = extracted(name, **TRAFILATURA)
    text = one_line(page.text)
    missing = [line for line in map(one_line, lines(name)) if line not in text]
    assert all(line[0].isdigit() or line.startswith("Primes") for line in missing), (
        missing
    )  # rows get bars between cells
    assert page.formulas == EXPECTED[name]["formulas"]
