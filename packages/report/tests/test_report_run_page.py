"""The page of a run: all that the report has is on it, as text and as tables behind the charts."""

import fcntl
import json
import re
from concurrent.futures import ThreadPoolExecutor, wait
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from core.errors import InputError
from smallwright_report import documents, evaluation, index, page, pictures, plugin, run_page, training


class Page(HTMLParser):
    """The text of a page without its scripts, the ids and labels, and the data of its charts."""

    def __init__(self, html):
        super().__init__()
        self.words, self.specs, self.roles, self.ids, self.links, self._script = [], [], [], [], [], None
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self._script = found.get("type", "code") if tag in ("script", "style") else self._script
        self.roles += [(found["role"], found.get("aria-label"))] if "role" in found else []
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[key] for key in ("href", "src") if key in found]

    def handle_endtag(self, tag):
        self._script = None if tag in ("script", "style") else self._script

    def handle_data(self, data):
        if self._script is None:
            self.words.append(data)
        elif self._script == "application/json":
            self.specs.append(json.loads(data))


@pytest.mark.slow
def test_everything_of_a_run_is_on_its_page(report):
    html = run_page.render(report)
    shown = Page(html)
    for words in (
        "small <run>",
        "A model of 1.07 M parameters.",
        "pretrain gets a prompt to complete. sft gets a prompt as a user's turn.",
        "Once </script> upon its likeliest answer pretrain a time ... sft <b>a</b> clear \ufffd answer",
        "a sampled answer pretrain (it said nothing) sft another time",
        "lessons acc sft 80.0 % 74.1 to 85.9 % 25.0 % < 0.001 200 0 yes, 7 documents",
        "All items of sft : python -m core.inspect /store/eval/sft 1 --wrong",
        "differ by at most 2e-05 nats, 100.0% of choices are the same. 87.5% of 8 answers are the same.",
        "2,048",
        "▼ worse",
        "post-training cost the model what it had learned",
        "five (the model's, -1.00)",
        "four (right, -2.00)",
        "rejected by read: not <text> (9)",
        "<script>alert(1)</script>",
        "50 too short",
        "tokens per second",
        "nats per token, standard error 0.013; word frequencies alone 5.720",
        "Web ends at 1.32; code ends at 1.12.",
        "2.00 ×",
        "python -m core.run +data=web '+posttrain=[sft]'",
        "2026-01-01 00:00:00 UTC",
        "0 in every stage",
        "posttrain/sft-1/hf in /store",
        "/crawl/a.warc.gz and 2 more",
        "corpus: data/web-1",
    ):
        assert words in shown.text, words
    titles = re.findall(r'<figure data-chart="[^"]+" role="group" aria-label="([^:]+):', html)
    wanted = {"Tasks", "Loss", "Learning rate", "Gradient norm", "Throughput", "Funnel of documents", "Quality scores"}
    assert titles.count("Validation loss by corpus") == 1
    assert wanted | {"Lengths", "Languages", "Calibration", "Layers", "Feed-forward neurons"} <= set(titles)
    assert len(shown.specs) == len(titles) == html.count("<summary>table of")
    assert shown.text.count("used of planned") == 1
    assert len(html.encode()) < 3_000_000


def test_a_partial_result_stands_at_the_top(report):
    report["stages"][3]["partial"] = ["mt_bench: the judge did not answer for 4 of 6 ratings"]
    html = run_page.render(report)
    (said,) = re.findall(r'role="alert">(eval has [^<]+)<', html)
    assert said.startswith("eval has a partial result: mt_bench: the judge did not answer for 4 of 6 ratings. The same")


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (
            {"label": "SmolLM2-135M", "origin": "HuggingFaceTB/SmolLM2-135M", "revision": "93ef"},
            "HuggingFaceTB/SmolLM2-135M",
        ),
        ({"label": "mine", "origin": "/a/long/way/mine", "revision": None}, "mine"),
        ({"label": "gqa-nano", "origin": None, "revision": None}, "gqa-nano"),
    ],
)
def test_the_model_that_a_run_started_from_is_called_by_its_name(report, start, name):
    said = json.dumps(report["eval"]), json.dumps(report["samples"])
    report["eval"], report["samples"] = (json.loads(text.replace('"pretrain"', '"model"')) for text in said)
    report["started_from"] = start
    shown = Page(run_page.render(report))
    assert f"lessons acc {name} " in shown.text
    assert f"{name} gets a prompt to complete" in shown.text
    named = {
        row["model"] for spec in shown.specs for rows in spec["datasets"].values() for row in rows if "model" in row
    }
    assert named == {name, "sft"}


@pytest.mark.parametrize(
    ("value", "stderr", "said"),
    [
        (0.80, 0.03, "▼ worse, within the error"),
        (0.70, 0.03, "▼ worse"),
        (0.88, 0.03, "= same"),
        (0.80, None, "▼ worse"),
    ],
)
def test_a_change_by_post_training_that_chance_alone_makes_is_called_so(report, value, stderr, said):
    rows = [row for row in report["eval"] if row["task"] == "lessons"]
    rows[-1] |= {"value": value, "stderr": stderr}
    (table,) = [block["table"] for block in evaluation.blocks(report) if "From pretrain" in str(block.get("table"))]
    assert [row[-1] for row in table["rows"]] == [said]


def test_metadata_is_shown_as_it_is(report):
    sample = report["samples"]["documents"]["web"][0]["documents"][0]
    sample["metadata"] = {"title": "Q&A <b>für</b> 'all'"}
    html = run_page.render(report)
    assert """{ "title": "Q&A <b>für</b> 'all'" }""" in Page(html).text
    assert "<b>für" not in html


def test_an_answer_of_white_space_alone_is_no_empty_box(report):
    answer = report["samples"]["answers"][0]
    report["samples"]["answers"] = [{**answer, "text": "\n" * 40}, {**answer, "model": "sft", "text": "\n \n so"}]
    html = run_page.render(report)
    assert "(white space alone)" in html
    assert '<pre class="text" tabindex="0">so<' in html


def test_the_page_asks_nothing_of_the_network_and_can_be_read_out(report):
    html = run_page.render(report)
    shown = Page(html)
    inside = [link for link in shown.links if link.startswith("#")]
    assert {link[1:] for link in inside} <= set(shown.ids)
    assert [link for link in shown.links if link not in inside] == ["../../store/eval/sft%201/samples.parquet"]
    assert "default-src 'none'" in html
    assert all(label for role, label in shown.roles if role in ("img", "group", "region"))
    assert sum(role == "img" for role, _ in shown.roles) == len(shown.specs)
    assert html.count("<h1>") == 1


def test_the_rows_of_curves_are_where_the_page_smooths_them(report):
    for block in training.blocks(report):
        for chart in block.get("charts", ()):
            assert any("curve" in rows[0] for rows in chart.spec["datasets"].values()), chart.title
            assert all("values" not in layer.get("data", {}) for layer in chart.spec["layer"])


@pytest.mark.slow
def test_the_stages_of_a_training_are_told_apart_in_its_charts(report):
    stages = [{"name": "stable", "first_step": 1}, {"name": "decay", "first_step": 80}]

    def marks(**summary):
        report["pretrain"].pop("stages", None)
        report["pretrain"] |= summary
        found = []
        for chart in next(block["charts"] for block in training.blocks(report) if "charts" in block):
            own = [layer for layer in chart.spec["layer"] if layer["encoding"].get("text", {}).get("field") == "name"]
            rows = [chart.spec["datasets"][layer["data"]["name"]][0] for layer in own if "y" not in layer["encoding"]]
            found.append(({row["name"]: row["step"] for row in rows}, "decay from step 80" in chart.about))
        return found

    assert all(mark == ({"stable": 1, "decay": 80}, True) for mark in marks(stages=stages))
    assert len(marks(stages=stages)) == 5
    assert all(mark == ({}, False) for mark in [*marks(), *marks(stages=stages[:1])])


def test_a_curve_of_one_measurement_is_said_and_not_drawn(report):
    curves = report["curves"]["pretrain"]
    for curve in curves:
        if curve["key"] != "lr":
            curve["points"] = curve["points"][-1:]
    curves[:] = [curve for curve in curves if curve["key"] != "loss"]
    blocks = training.blocks(report)
    assert [chart.title for chart in next(block["charts"] for block in blocks if "charts" in block)] == [
        "Learning rate"
    ]
    assert next(block["text"] for block in blocks if block["kind"] == "text") == (
        "Validation loss, measured once: 1.22 nats per token at step 99. Validation loss by corpus, measured once: "
        "web 1.32 nats per token at step 99, code 1.12 nats per token at step 99. "
        "Gradient norm, measured once: 3 at step 99. "
        "Throughput, measured once: 4898 tokens per second at step 99."
    )


def test_a_reason_to_reject_and_to_fail_is_counted_as_both():
    step = {"step": "read", "in": 9, "kept": 4, "rejected": {"empty": 2, "short": 1}, "failed": {"empty": 2}}
    (rows,) = documents.funnel([step]).spec["datasets"].values()
    assert {row["why"] for row in rows} == {"", "4 empty, 1 short"}


def test_a_report_of_nothing_but_a_failure_is_a_page_without_scripts(report):
    for key in ("data", "pretrain", "init"):
        report.pop(key)
    for key in ("funnel", "eval", "lineage"):
        report[key] = []
    report |= {"posttrain": {}, "curves": {}, "costs": {}, "model": None}
    report["samples"] = {"documents": {}, "items": [], "answers": []}
    report["stages"] = [{"name": "data", "status": "failed", "seconds": 1.0, "artifact": "x", "error": "not <today>"}]
    html = run_page.render(report)
    assert "data failed: not <today>" in Page(html).text
    assert "<script" not in html


def run_of(folder, report, **more):
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({**report, **more}))
    return SimpleNamespace(directory=folder, id=report["id"], config={"run_dir": str(folder)}, pages=[])


@pytest.mark.slow
def test_a_finished_run_gets_its_page_and_a_place_in_the_list(report, tmp_path):
    older = run_of(tmp_path / "runs" / "a", report, name="older", headline="Old & good.")
    made = {**report["made"], "started": "2026-02-02T00:00:00Z"}
    newer = run_of(tmp_path / "runs" / "b", report, name="newer", made=made)
    (tmp_path / "runs" / "c").mkdir()
    (tmp_path / "runs" / "c" / "report.json").write_text("{")
    for run in (older, newer):
        plugin.run_finished(run)
        assert run.pages == [run.directory / "report.html"]
    text = Page((tmp_path / "runs" / "index.html").read_text())
    assert text.text.index("newer") < text.text.index("older")
    assert "Old & good." in text.text
    assert "c/report.json is damaged (JSONDecodeError: " in text.text
    assert text.links[1:] == ["b/report.html", "a/report.html", "c/report.json"]
    (tmp_path / "runs" / "a" / "report.json").unlink()
    index.write(tmp_path / "runs")
    assert "older" not in (tmp_path / "runs" / "index.html").read_text()


def test_the_list_leaves_out_a_run_that_is_deleted_meanwhile_and_links_any_name(report, tmp_path, monkeypatch):
    path = run_of(tmp_path / "50% #1?", report).directory / "report.json"
    monkeypatch.setattr("pathlib.Path.glob", lambda *_: [tmp_path / "gone" / "report.json", path])
    assert Page(index.write(tmp_path).read_text()).links[1:] == ["50%25%20%231%3F/report.json"]


def test_what_another_version_knew_of_a_run_is_read_again(report, tmp_path):
    run_of(tmp_path / "a", report)
    index.write(tmp_path)
    known = json.loads((tmp_path / index.KNOWN).read_text())
    assert known["a"].keys() == index.KEYS
    for other in ({"stamp": known["a"]["stamp"]}, {**known["a"], "more": 1}, None):
        (tmp_path / index.KNOWN).write_text(json.dumps({"a": other}))
        index.write(tmp_path)
        assert json.loads((tmp_path / index.KNOWN).read_text()) == known


def test_lists_are_written_one_after_another(report, tmp_path):
    run_of(tmp_path / "a", report)
    with ThreadPoolExecutor() as pool, open(tmp_path / index.LOCK, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writers = [pool.submit(index.write, tmp_path) for _ in range(4)]
        assert not wait(writers, timeout=0.05).done
        assert not (tmp_path / "index.html").exists()
        fcntl.flock(file, fcntl.LOCK_UN)
        assert {writer.result() for writer in writers} == {tmp_path / "index.html"}


def test_a_run_elsewhere_makes_no_list_and_the_report_of_another_run_no_page(report, tmp_path):
    run = run_of(tmp_path / "mine", report)
    plugin.run_finished(run)
    assert not (tmp_path / "index.html").exists()
    other = SimpleNamespace(directory=run.directory, id="another", config={"run_dir": "x"}, pages=[])
    plugin.run_finished(other)
    assert other.pages == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stages": []}', '{"version": 1}'])
def test_a_report_that_cannot_be_read_is_named(tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(InputError, match=r"report\.json (is damaged|has version 1)"):
        run_page.of_folder(tmp_path)


@pytest.mark.slow
def test_charts_are_written_as_svg_and_png(report, tmp_path):
    report = {**report, "curves": {}, "funnel": [], "init": None}
    written = pictures.write(report, tmp_path)
    assert [path.name for path in written] == ["evaluation-tasks.svg", "evaluation-tasks.png"]
    assert written[0].read_text().count("<path") > 3
    assert written[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_every_picture_has_a_name_of_its_own(report):
    for corpus in ("books", "書", "本"):
        report["funnel"] += [{**row, "corpus": corpus} for row in report["funnel"][:2]]
        report["data"]["corpora"][corpus] = report["data"]["corpora"]["web"]
    names = [name for name, _ in pictures.charts(report)]
    assert len(set(names)) == len(names)
    for corpus in ("web", "books"):
        assert f"documents-what-the-steps-of-{corpus}-say-classifier-calibration" in names
    assert {"documents-funnel-of-documents", "documents-funnel-of-documents-2"} < {*names}


def test_the_scripts_are_bundled_once_and_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    import vl_convert

    (tmp_path / "file").touch()
    for cache in (tmp_path / "cache", tmp_path / "file"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        asked = []
        monkeypatch.setattr(
            vl_convert, "javascript_bundle", lambda snippet, asked=asked: asked.append(1) or "a</script>b"
        )
        assert [page.scripts.__wrapped__() for _ in range(2)] == ["a<\\/script>b"] * 2
        assert len(asked) == (1 if cache.name == "cache" else 2)


def test_scripts_that_were_kept_empty_or_for_another_snippet_are_bundled_again(tmp_path, monkeypatch):
    import vl_convert

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda snippet: snippet)
    assert page.scripts.__wrapped__() == page.SNIPPET
    (kept,) = (tmp_path / "smallwright").iterdir()
    kept.write_text("")
    assert page.scripts.__wrapped__() == page.SNIPPET == kept.read_text()
    monkeypatch.setattr(page, "SNIPPET", "another")
    assert page.scripts.__wrapped__() == "another"


def test_a_user_without_a_home_gets_scripts_and_no_folder(tmp_path, monkeypatch):
    import vl_convert

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda snippet: snippet)
    assert page.scripts.__wrapped__() == page.SNIPPET
    assert list(tmp_path.iterdir()) == []
