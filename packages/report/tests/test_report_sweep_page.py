"""The page of a sweep: the best run first, a picture for each key, one table of all runs, and their reasons to fail."""

import json
import re

import pytest
from markupsafe import escape
from smallwright_report import measures, plugin, sweep_page
from smallwright_report.measures import Measures


@pytest.fixture(scope="module")
def html(sweeps):
    return sweep_page.render(sweeps.grid())


def text(html):
    body = re.sub(r"(?s)<(script|style).*?</\1>", " ", html.replace("<wbr>", ""))
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def specs(html):
    """Return the charts by title."""
    titles = re.findall(r'<figure data-chart="[^"]+" role="group" aria-label="([^:]+):', html)
    found = re.findall(r'(?s)<script type="application/json">(.*?)</script>', html)
    return dict(zip(titles, map(json.loads, found), strict=True))


def test_the_page_says_which_run_is_best_and_has_them_all(html):
    shown = text(html)
    for words in (
        "a &lt;sweep&gt; 12 runs that differ in arch, pretrain.learning_rate and seed: 11 finished and 1 failed.",
        "Lowest pretrain.validation_loss: 1.26 with arch=shared_ffn, learning_rate=3e-4, seed=0; the highest is 2.25.",
        "run arch pretrain.learning_rate seed status pretrain.validation_loss ↓ pretrain.task0.acc ↑ pretrain.seconds",
        "pretrain.peak_memory, GiB ↓ seconds 1 gqa 3e-4 0 finished 2.20 0.0 % 5.0 1.00 11.0",
        "4 gqa 1e-3 1 failed 5 gqa",
        "stage pretrain failed: &lt;it&gt; was killed. 1 4 (arch=gqa, learning_rate=1e-3, seed=1)",
        "the same in every run pretrain.tokens 262,144",
        "python -m core.run -m +arch=gqa,shared_ffn &#39;seed=range(0,2)&#39;",
        "2026-01-01 00:00:00 UTC",
    ):
        assert words in shown, words
    assert '<a href="7%20%3Crun%3E/report.html">7</a>' in html
    assert "4%20%3Crun" not in html, "the run that failed before its report has no link"
    assert re.findall(r'<tr class="best"><th[^>]*><a[^>]*>(\d+)</a>', html) == ["7"]
    assert html.count("<button type=") == 1 + 3 + 1 + 4 + 1


def test_each_key_but_seeds_has_its_picture(html):
    found = specs(html)
    assert list(found) == ["arch", "pretrain.learning_rate"]
    (rows,) = found["arch"]["datasets"].values()
    assert len(rows) == 11
    assert rows[0]["m0"] == 2.2
    assert rows[0]["made with"] == "arch=gqa, learning_rate=3e-4, seed=0"
    channels = {title: [layer["encoding"] for layer in spec["layer"]] for title, spec in found.items()}
    for layer in channels["arch"]:
        assert layer["y"]["type"] == "nominal"
        assert layer["x"]["field"] == "m0"
        assert layer["color"]["scale"]["domain"] == [f"learning_rate={rate}" for rate in ("3e-4", "1e-3", "3e-3")]
    for layer in channels["pretrain.learning_rate"]:
        assert layer["x"]["type"] == "quantitative"
        assert layer["x"]["scale"]["type"] == "log"
        assert layer["y"]["field"] == "m0"
    options = re.findall(r'<option value="(m\d)">([^<]+)</option>', html)
    assert [value for value, _ in options] == ["m0", "m1", "m2", "m3"]
    assert options[0][1] == "pretrain.validation_loss ↓"
    assert {"m0", "m1", "m2", "m3"} <= rows[0].keys()


def test_what_a_key_makes_of_the_metric_is_a_table_too(html):
    assert "gqa 5 2.22 2.20 shared_ffn 6 1.29 1.26" in text(html)


@pytest.mark.parametrize(
    ("metrics", "main"),
    [
        ({"a.x": [1, 2], "pretrain.lessons.acc,none": [0.1, 0.2], "pretrain.validation_loss": [2.0, 1.0]}, 2),
        ({"a.x": [1, 2], "pretrain.lessons.acc,none": [0.1, 0.2], "pretrain.validation_loss": [2.0, 2.0]}, 1),
        ({"pretrain.seconds": [1.0, 2.0], "data.documents": [7, 8]}, 1),
        ({"pretrain.seconds": [1.0, 2.0], "data.documents": [7, 7]}, 1),
        ({"pretrain.seconds": [1.0, 2.0]}, 0),
        ({"data.documents": [float("nan"), None], "eval.seconds": [1.0, 1.0]}, 1),
        ({}, None),
    ],
)
def test_runs_are_ranked_by_what_tells_most_of_those_numbers_that_differ(metrics, main, sweeps):
    rows = [sweeps.run(n + 1, {"a": str(n)}, {name: found[n] for name, found in metrics.items()}) for n in range(2)]
    data = sweeps.of(rows) | {"metrics": list(metrics)}
    assert Measures(data).main == (None if main is None else list(metrics)[main])
    assert sweep_page.render(data)


@pytest.mark.parametrize(
    ("metric", "better", "label", "shown"),
    [
        ("pretrain.validation_loss", "lower", "pretrain.validation_loss ↓", "0.5"),
        ("sft.arc_easy.acc_norm", "higher", "sft.arc_easy.acc_norm ↑", "50.0 %"),
        ("sft.gsm8k.exact_match,strict", "higher", "sft.gsm8k.exact_match,strict ↑", "50.0 %"),
        ("sft.humaneval.pass@10", "higher", "sft.humaneval.pass@10 ↑", "50.0 %"),
        ("sft.ifeval.prompt_level_strict_acc,none", "higher", "sft.ifeval.prompt_level_strict_acc,none ↑", "50.0 %"),
        ("sft.math.math_verify", "higher", "sft.math.math_verify ↑", "50.0 %"),
        ("pretrain.accumulation_steps", "", "pretrain.accumulation_steps", "0.5"),
        ("data.empty_documents", "", "data.empty_documents", "0.5"),
        ("pretrain.peak_memory_bytes", "lower", "pretrain.peak_memory, GiB ↓", "0.00 GiB"),
        ("pretrain.tokens_per_second", "higher", "pretrain.tokens_per_second ↑", "0.5"),
        ("data.documents", "", "data.documents", "0.5"),
    ],
)
def test_a_metric_says_by_its_name_what_is_better(metric, better, label, shown):
    assert measures.better(metric) == better
    assert measures.label(metric) == label
    assert measures.written(metric, 0.5) == shown


def test_a_score_above_one_is_no_percentage():
    assert measures.written("sft.squad.f1", 73.25) == "73.25"
    assert measures.form("sft.squad.f1", [0.0, 73.25]) is None
    assert measures.form("sft.squad.f1", [0.0, 0.73]) == "percent"


@pytest.mark.parametrize(
    ("values", "pictures"),
    [
        ([{"seed": "0"}, {"seed": "1"}], ["seed"]),
        ([{"a.seed": "0", "b": "x"}, {"a.seed": "1", "b": "y"}], ["b"]),
        ([{"steps": "10", "b": "x"}, {"steps": "20"}], ["steps", "b"]),
        ([{"a": "1"}], []),
    ],
)
def test_seeds_are_repeats_and_a_key_may_be_missing(values, pictures, sweeps):
    data = sweeps.of([sweeps.run(n, made, {"x.loss": 1.0 / n}) for n, made in enumerate(values, 1)])
    assert list(specs(sweep_page.render(data))) == pictures


def test_a_sweep_of_which_nothing_is_finished_has_a_page_that_sorts(sweeps):
    data = sweeps.of([sweeps.run(n, {"a": str(n)}, {}, f"reason {n // 3}.") for n in range(1, 5)])
    shown = text(html := sweep_page.render(data))
    assert "4 runs that differ in a: 4 failed." in shown
    assert "reason 0. 2 1, 2 reason 1. 2 3, 4" in shown
    assert "vegaEmbed" not in html
    assert "table[data-sort]" in html


def test_a_thousand_runs_stay_below_three_megabytes(sweeps):
    rates = [f"{n / 100}" for n in range(1, 26)]
    html = sweep_page.render(sweeps.grid(("a", "b", "c", "d"), rates, seeds=10, tasks=60))
    assert html.count('<th scope="row" class="n">') == 1000
    assert "more columns are in sweep.parquet" in html
    assert len(html.encode()) < 3_000_000


def test_a_sweep_is_listed_among_the_runs_and_its_runs_are_not(tmp_path, report, sweeps):
    folder = tmp_path / "runs" / "a-sweep-0a0a0a0a"
    (folder / "1 run").mkdir(parents=True)
    (folder / "1 run" / "report.json").write_text(json.dumps(report))
    (folder / "sweep.json").write_text(json.dumps(sweeps.grid()))
    assert plugin.make_page("sweep", sweeps.grid(), folder / "sweep.html") == folder / "sweep.html"
    listed = (tmp_path / "runs" / "index.html").read_text()
    assert '<a href="a-sweep-0a0a0a0a/sweep.html">a &lt;sweep&gt; (sweep)</a>' in listed
    assert "12 runs that differ in arch" in listed
    assert listed.count("<article>") == 1
    (folder / "sweep.json").write_text('{"name": "x", "runs": 3}')
    plugin.make_page("sweep", sweeps.grid(), folder / "sweep.html")
    assert "A sweep of another version." in (tmp_path / "runs" / "index.html").read_text()


def test_a_sweep_elsewhere_is_not_put_into_a_list(tmp_path, sweeps):
    folder = tmp_path / "elsewhere" / "one"
    folder.mkdir(parents=True)
    plugin.make_page("sweep", sweeps.grid(), folder / "sweep.html")
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_a_study_and_a_comparison_are_listed_among_the_runs_with_their_own_pages(sweeps, study, comparison, tmp_path):
    made = {"a": {"sweep": sweeps.grid(), "study": study}, "b": {"compare": comparison}}
    for folder, pages in made.items():
        (tmp_path / "runs" / folder).mkdir(parents=True)
        for kind, data in pages.items():
            (tmp_path / "runs" / folder / f"{kind}.json").write_text(json.dumps(data))
            plugin.make_page(kind, data, tmp_path / "runs" / folder / f"{kind}.html")
    listed = (tmp_path / "runs" / "index.html").read_text()
    assert set(re.findall(r'<h2><a href="([^"]+)"', listed)) == {"a/study.html", "b/compare.html"}
    for data in (study, comparison):
        assert str(escape(data["sentence"])) in listed
