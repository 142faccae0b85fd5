"""The page of a comparison: all of its compare.json is on it, escaped, as charts and as the tables behind them."""

import copy
import html
import json
import re

import pytest
from smallwright_report import compare_page, plugin


def text(page):
    body = re.sub(r"(?s)<(script|style).*?</\1>", "", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.fixture(scope="module")
def page(comparison):
    return compare_page.render(comparison)


def test_everything_of_a_comparison_is_on_its_page(page):
    shown = text(page)
    for words in (
        "3 sides against base",
        "Against base: rate=<0.1> is better on 1 of 2 measures.",
        "lessons, acc rate=<0.1> +30.0 +15.0 +45.0 < 0.001 < 0.001 ▲ better exact McNemar",
        "words, acc norm a-much-longer-name-of-a-side -5.0 -13.0 +3.0 0.500 1.000 not significant",
        "validation, nats per token rate=<0.1> -0.110 -0.130 -0.090 < 0.001 < 0.001 ▲ better",  # less is better
        "better is to the left of zero",
        "our_lessons acc ↑ 40 50.0 % 80.0 %",
        "validation perplexity ↓ 3.350 ± 0.100 3.000 ± 0.100",
        "base ends at 0.1356; rate=<0.1> ends at 0.1186",
        "pretrain.learning_rate 0.004 0.1 -",
        "base 1.07 M 266.24 k 4.7 min 1.00 GiB",
        "The <model> base. (runs/base)",
        "Lessons Peer-135M 61.5 50.0 80.0 shots: 5 there, 0 here. engine: vllm here "
        "model card of Peer-135M; the paper has 61.0",
        "runs/c#3 is left out: failed.",
        "our_lessons: shots differ: 0, 5",
        "validation (perplexity): not tested",
        "python -m core.compare runs/a 'runs/b#0'",
    ):
        assert words in shown, words
    assert "<model>" not in page
    assert page.count("<h1>") == 1
    assert "default-src 'none'" in page


def test_a_difference_that_is_not_significant_is_a_hollow_point(page):
    found = re.findall(r'(?s)<script type="application/json">(.*?)</script>', page)
    (rows,) = [rows for rows in json.loads(found[0])["datasets"].values() if "verdict" in rows[0]]
    assert [row["verdict"] for row in rows] == ["better", "not significant", "not significant"]
    assert '"test": "datum.verdict != \'not significant\'"' in json.dumps(json.loads(found[0]))


def test_losses_that_were_measured_once_are_said_and_not_drawn(comparison):
    found = copy.deepcopy(comparison)
    for side in found["curves"]["pretrain.loss"]["sides"]:
        side["points"] = side["points"][:1]
    shown = compare_page.render(found)
    said = "Pretrain: training loss, measured once: base 8 nats per token at step 1, rate=&lt;0.1&gt; 7 nats per token"
    assert said in shown
    assert "training loss by training step" not in shown


def test_two_sides_without_tests_or_curves_are_a_page_without_scripts(comparison, tmp_path):
    found = copy.deepcopy(comparison) | {"curves": {}, "published": [], "differences": []}
    found["sides"].pop()
    for row in found["tasks"]:
        row["values"], row["stderrs"], row["pairs"] = row["values"][:2], row["stderrs"][:2], []
    path = plugin.make_page("compare", found, tmp_path / "compare.html")
    shown = path.read_text()
    assert "base and rate=&lt;0.1&gt;" in shown
    assert "The settings are the same." in shown
    assert "<script" not in shown
