"""The page of a study: the verdict at the top, the pictures, the tables, and links to its runs."""

import re

import pytest
from smallwright_report import plugin, study_page


def run(seed, value, error=None):
    return {"seed": seed, "value": value, "directory": f"{seed} <run>", "error": error}


STUDY = {
    "version": 1,
    "name": "new_against_old",
    "claim": "New is <better>.",
    "control": "old",
    "metric": "pretrain.loss",
    "direction": "lower",
    "test": "paired_t",
    "alpha": 0.05,
    "power": 0.8,
    "study": {"claim": "New is <better>.", "seed_key": "pretrain.seed", "smallest": 0.1, "base": ["+data=toy"]},
    "arms": [
        {"name": "old", "own": ["+arch=a"], "overrides": ["+data=toy", "+arch=a"], "mean": 2.0, "std": 0.1,
         "equal": {"pretrain.tokens": 1000.0}, "runs": [run(0, 2.1), run(1, 1.9), run(2, 2.0)]},
        {"name": "new", "own": ["+arch=b"], "overrides": ["+data=toy", "+arch=b"], "mean": 1.5, "std": 0.1,
         "equal": {"pretrain.tokens": 1010.0}, "runs": [run(0, 1.6), run(1, 1.4), run(2, None, "it <died>")]},
    ],
    "comparisons": [
        {"arm": "new", "control": "old", "seeds": [0, 1], "differences": [-0.5, -0.5], "mean_difference": -0.5,
         "low": -0.6, "high": -0.4, "effect_size": None, "p": 0.25, "p_opposite": 1.0, "p_adjusted": 0.25,
         "p_opposite_adjusted": 1.0, "verdict": "undecided", "sentence": "Undecided.", "seeds_needed": 5},
    ],
    "verdict": "undecided",
    "sentence": "Undecided at 2 seeds: new against old.",
    "notes": ["new at seed 2 is left out, and its pair with it: it <died>"],
    "sweep": "/runs/study/sweep.json",
    "made": {"command": "python -m core.study new_against_old", "started": "2026-01-01T00:00:00Z",
             "ended": "2026-01-01T00:01:40Z", "machine": {"host": "h", "system": "Linux", "cores": 2},
             "python": "3.11.7", "plugins": {}, "engines": {"torch": "2.13"}, "commit": "0123456789abcdef"},
}  # fmt: skip


@pytest.fixture
def html():
    return study_page.render(STUDY)


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
        "old (control) 2.00 0.100 3 0 1,000",
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


def test_a_study_of_which_every_run_failed_has_a_page_without_pictures(tmp_path):
    arms = [{**arm, "mean": None, "std": None, "runs": [run(0, None, "no")]} for arm in STUDY["arms"]]
    nothing = dict.fromkeys(("mean_difference", "low", "high", "effect_size", "p", "p_adjusted"))
    rows = [{**STUDY["comparisons"][0], **nothing, "differences": [], "seeds_needed": None}]
    path = plugin.make_page("study", {**STUDY, "arms": arms, "comparisons": rows}, tmp_path / "study.html")
    assert "<figure" not in path.read_text()
