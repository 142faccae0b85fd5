"""The page of a bench: every combination is on it, escaped, and what failed is told of."""

import html
import re

import pytest
from smallwright_report import bench_page, plugin


def text(page):
    body = re.sub(r"(?s)<(script|style).*?</\1>", "", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.mark.slow
def test_everything_that_was_measured_is_on_the_page(tmp_path, bench):
    path = plugin.make_page("bench", bench, tmp_path / "bench.html")
    page = path.read_text()
    shown = text(page)
    for words in (
        "How fast <tiny> is",
        "transformers 45.7 40.0 50.0",
        "transformers float32 2 128 64 45.7 1,234 0.250 0.50 51.5",
        "Energy was not measured: no RAPL.",
        "vllm ended by <SIGKILL>",
        "runs/<x>",
        "3 times each",
    ):
        assert words in shown, words
    assert "<SIGKILL>" not in page
    assert page.count("<figure data-chart") == 4


def test_a_bench_that_measured_nothing_has_no_charts(bench):
    page = bench_page.render({**bench, "rows": bench["rows"][1:]})
    assert "<figure" not in page
    assert "ended by &lt;SIGKILL&gt;" in page


@pytest.mark.slow
def test_a_combination_is_named_by_what_differs(bench):
    rows = [{**bench["rows"][0], "batch": batch, "prompt_tokens": prompt} for batch in (1, 8) for prompt in (16, 128)]
    shown = text(bench_page.render({**bench, "rows": rows}))
    assert "batch 8, prompt 128 45.7 40.0 50.0" in shown
