"""The page of a bench: every combination is on it, escaped, and what failed is told of."""

import html
import re

import pytest
from smallwright_report import bench_page, plugin

LISTS = {"engine": "transformers", "dtype": "float32", "batch": 2, "prompt_tokens": 128, "new_tokens": 64}
FOUND = {
    "version": 1,
    "model": "runs/<x>",
    "name": "<tiny>",
    "parameters": 99_648,
    "executed_parameters": 120_000,
    "weights_bytes": 400_000,
    "machine": {"processor": "A processor", "cores": 2, "system": "Linux"},
    "repeats": 3,
    "rows": [
        {
            **LISTS,
            "prefill_tokens_per_s": {"median": 1234.5, "least": 1000.0, "greatest": 1300.0},
            "decode_tokens_per_s": {"median": 45.67, "least": 40.0, "greatest": 50.0},
            "first_token_s": {"median": 0.25, "least": 0.2, "greatest": 0.3},
            "peak_memory_bytes": 2**29,
            "peak_device_bytes": None,
            "cpu_percent": 51.5,
            "joules_per_1000_tokens": None,
            "energy_from": "no RAPL",
        },
        {**LISTS, "engine": "vllm", "error": "ended by <SIGKILL>"},
    ],
}


def text(page):
    body = re.sub(r"(?s)<(script|style).*?</\1>", "", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.mark.slow
def test_everything_that_was_measured_is_on_the_page(tmp_path):
    path = plugin.make_page("bench", FOUND, tmp_path / "bench.html")
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


def test_a_bench_that_measured_nothing_has_no_charts():
    page = bench_page.render({**FOUND, "rows": FOUND["rows"][1:]})
    assert "<figure" not in page
    assert "ended by &lt;SIGKILL&gt;" in page


def test_a_combination_is_named_by_what_differs():
    rows = [{**FOUND["rows"][0], "batch": batch, "prompt_tokens": prompt} for batch in (1, 8) for prompt in (16, 128)]
    shown = text(bench_page.render({**FOUND, "rows": rows}))
    assert "batch 8, prompt 128 45.7 40.0 50.0" in shown
