"""The page of a study: the verdict at the top, the pictures, the tables, and links to its runs."""

import re

import pytest
from smallwright_report import plugin, study_page


@pytest.fixture
def html(study):
    return study_page.render(study)


def text(html):
    body = re.sub(r"(?s)<(script|style).*?</\1>", "", html)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_the_page_says_what_was_found_and_how_to_make_it_again(html):
    shown = text(html)
    for words in (
        "new_against_old Undecided at 2 seeds: new against old. Claim: New is &lt;better&gt;.",
        "pretrain.loss ↓, lower is better. Paired t-test, one-sided, paired by pretrain.seed, alpha 0.05.",
        "new at seed 2 is left out, and its pair with it: it &lt;died&gt;.",
        "new - old -0.500 -0.600 -0.400 0.250 0.250 2 undecided 5",
        "old (control) 2.000 0.100 3 0 1,000",
        "what sets it apart +arch=b",
        "seed 2: it &lt;died&gt;",
        "python -m core.study new_against_old",
        "seed_key: pretrain.seed",
    ):
        assert words in shown, words
    assert 'href="2%20%3Crun%3E/report.html"' in html
    assert html.count("<h1>") == 1
    assert "default-src 'none'" in html


def test_the_pictures_have_the_runs_and_the_interval(html):
    titles = re.findall(r'<figure data-chart="[^"]+" role="group" aria-label="([^:]+):', html)
    assert titles == ["By seed", "Difference"]
    assert html.count('"seed": "0"') == 2
    assert '"low": -0.6' in html
    assert "worth having" in html


def test_a_study_of_which_every_run_failed_has_a_page_without_pictures(study, tmp_path):
    arms = [
        {**arm, "mean": None, "std": None, "runs": [arm["runs"][0] | {"value": None, "error": "no"}]}
        for arm in study["arms"]
    ]
    nothing = dict.fromkeys(("mean_difference", "low", "high", "effect_size", "p", "p_adjusted"))
    rows = [{**study["comparisons"][0], **nothing, "differences": [], "seeds_needed": None}]
    path = plugin.make_page("study", {**study, "arms": arms, "comparisons": rows}, tmp_path / "study.html")
    assert "<figure" not in path.read_text()
