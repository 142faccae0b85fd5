"""Recipes: every document accounted for, the same outcome whatever the workers, and work resumed."""

import json
import shutil

import pytest
from core import discovery, store
from core.data.documents import read_documents
from core.data.executor import LocalExecutor
from core.data.recipe import LocalExecutorConfig, RecipeConfig, expand, plan_steps
from core.data.runner import Recipe, _finished_part, _funnel
from core.data.steps import ForeignStep, Step
from core.errors import ConfigError, InputError
from core.interfaces import Job
from datatrove.data import Document


@pytest.fixture
def files(workdir):
    discovery.load(["toy_plugin.py"])
    (workdir / "in").mkdir()
    for number in range(3):
        lines = [f"file {number} line {i} number {i % 7}" for i in range(20)] + [""]
        (workdir / "in" / f"{number}.txt").write_text("\n".join(lines))
    return workdir / "in" / "*.txt"


STEPS = {"read_lines": {}, "drop": {"word": "number 3", "fail_on": "line 5 "}, "keep_first": {}}


def run(files, output, workers=1, steps=STEPS, name="data"):
    output.mkdir(exist_ok=True)
    config = RecipeConfig(steps=steps, paths=(str(files),))
    plugin_files = ("toy_plugin.py",)
    executor = LocalExecutor(LocalExecutorConfig(workers=workers), plugin_files)
    job = Job(name=name, output=output, inputs={}, seed=0, plugin_files=plugin_files, executor=executor)
    return Recipe(config).run(job)


def test_the_funnel_accounts_for_every_record(files, workdir):
    funnel = run(files, workdir / "out")["funnel"]
    assert [(step["step"], step["in"], step["kept"]) for step in funnel] == [
        ("read_lines", 63, 60),
        ("drop", 60, 48),
        ("keep_first", 48, 6),
    ]
    assert funnel[0]["rejected"] == {"empty": 3}
    assert funnel[1]["rejected"] == {"the word": 9}
    assert funnel[1]["failed"] == {"RuntimeError": 3}
    assert funnel[2]["rejected"] == {"seen before": 42}


def test_what_is_set_aside_keeps_its_reason_and_text(files, workdir):
    run(files, workdir / "out")
    aside = [d for path in sorted((workdir / "out" / "rejected").glob("01-drop-*")) for d in read_documents(path)]
    assert len(aside) == 12
    failed = [d for d in aside if "error" in d.metadata]
    assert {d.text for d in failed} == {f"file {n} line 5 number 5" for n in range(3)}
    assert failed[0].metadata["error"] == "RuntimeError: cannot look at line 5"


def test_a_step_may_start_from_the_settings_of_another(workdir):
    registry = discovery.load(["toy_plugin.py"])
    first = {"use": "drop", "word": "one", "fail_on": "line 5 "}
    recipe = RecipeConfig(steps={"first": first, "second": {"like": first, "word": "two"}})
    one, two = plan_steps(recipe, registry)
    assert (one.config.word, two.config.word) == ("one", "two")
    assert one.config.fail_on == two.config.fail_on == "line 5 "
    assert one.entry is two.entry


@pytest.mark.slow
def test_the_outcome_does_not_depend_on_the_workers(files, workdir):
    run(files, workdir / "one", workers=1)
    run(files, workdir / "two", workers=2)
    for folder in ("documents", "rejected"):
        one, two = (sorted((workdir / name / folder).iterdir()) for name in ("one", "two"))
        assert [p.name for p in one] == [p.name for p in two]
        assert [store.file_digest(p) for p in one] == [store.file_digest(p) for p in two]


@pytest.mark.slow
def test_a_worker_that_dies_is_reported_and_its_shard_redone(files, workdir, monkeypatch):
    steps = {**STEPS, "drop": {"word": "number 3", "fail_on": "line 5 ", "die_once": str(workdir / "died")}}
    with pytest.raises(InputError, match="a worker process died in pass before-02-keep_first"):
        run(files, workdir / "out", workers=2, steps=steps)
    assert run(files, workdir / "out", workers=2, steps=steps) == run(files, workdir / "other")


def test_a_second_start_redoes_only_what_is_unfinished(files, workdir):
    out = workdir / "out"
    first = run(files, out)
    kept = {p: store.file_digest(p) for p in (out / "documents").iterdir()}
    (out / "work" / "logs" / "last" / "completions" / "00001").unlink()
    (out / "documents" / "00001.parquet").unlink()
    times = {p: p.stat().st_mtime_ns for p in (out / "documents").iterdir()}
    assert run(files, out) == first
    assert {p: store.file_digest(p) for p in (out / "documents").iterdir()} == kept
    assert all(p.stat().st_mtime_ns == time for p, time in times.items())


@pytest.mark.slow
def test_a_lost_account_or_file_of_a_finished_shard_is_made_again(files, workdir):
    out = workdir / "out"
    first = run(files, out)
    before = {path: path.read_bytes() for path in (*(out / "rejected").iterdir(), *(out / "documents").iterdir())}
    lost = ["work/ledgers/00-read_lines-00002.json", "rejected/02-keep_first-00000.parquet", "documents/00001.parquet"]
    for name in lost:
        (out / name).unlink()
    shutil.rmtree(out / "work" / "passes")
    assert run(files, out) == first
    assert {path: path.read_bytes() for path in before} == before
    for name in ("ledgers", "corpus_steps"):
        shutil.rmtree(out / "work" / name)
    assert run(files, out) == first


def test_what_a_killed_source_left_half_written_is_not_read(files, workdir):
    (workdir / "crawl" / "files").mkdir(parents=True)
    for name in ("0.txt", "1.txt.partial"):
        (workdir / "crawl" / "files" / name).write_text("number 1")
    job = Job(name="data", output=workdir, inputs={"crawl": workdir / "crawl"}, seed=0)
    assert Recipe(RecipeConfig(steps=STEPS))._files(job) == (str(workdir / "crawl" / "files" / "0.txt"),)


def test_a_label_may_look_like_a_pattern_to_the_accounts(tmp_path):
    for rank in range(2):
        ledger = {"in": 5, "kept": 5, "rejected": {}, "failed": {}, "tables": {}}
        (tmp_path / f"00-x[1]-{rank:05d}.json").write_text(json.dumps(ledger))
    assert _funnel(tmp_path, ["x[1]"], ranks=2, finished=1)[0]["in"] == 10


def test_the_account_of_every_shard_is_asked_for(tmp_path):
    ledger = {"in": 5, "kept": 5, "rejected": {}, "failed": {}, "tables": {}}
    (tmp_path / "00-a-00001.json").write_text(json.dumps(ledger))
    with pytest.raises(AssertionError, match="step 'a' has no account of shard 0, 2 of 3"):
        _funnel(tmp_path, ["a"], ranks=3, finished=1)
    (tmp_path / "00-a-00001.json").write_text(json.dumps({**ledger, "kept": 0, "rejected": {"x": 5}}))
    assert [step["in"] for step in _funnel(tmp_path, ["a", "b"], ranks=1, finished=1)] == [5, 0]


@pytest.mark.slow
def test_the_stage_can_be_ended_at_every_step_of_its_end(workdir, each_fault):
    discovery.load(["toy_plugin.py"])
    (workdir / "0.txt").write_text("number 1\nnumber 2\n\nnumber 1")
    record = {"stage": "data", "folder": "data", "identity": {}, "inputs": {}, "external_files": []}

    def work(out):
        summary = run(workdir / "0.txt", out, steps={"read_lines": {}, "keep_first": {}})
        store.finish(out, {**record, "summary": summary})

    work(workdir / "whole")
    expected = store.read_manifest(workdir / "whole")
    run(workdir / "0.txt", workdir / "done", steps={"read_lines": {}, "keep_first": {}})  # all that is left is the end
    for number, ended in enumerate(each_fault("killed", every=4)):
        out = workdir / f"out-{number}"
        shutil.copytree(workdir / "done", out)
        ended(lambda out=out: work(out))
        if store.read_manifest(out) is None:
            work(out)
        assert store.read_manifest(out) == expected
        assert store.faults(out) == []
    assert number > 10


def test_nothing_left_says_where_and_keeps_what_was_set_aside(files, workdir):
    steps = {"read_lines": {}, "drop": {"word": "file", "fail_on": "never"}}
    with pytest.raises(InputError, match=r"no document is left after step 'drop' \(60 in: 60 the word\)"):
        run(files, workdir / "out", steps=steps)
    assert len(list((workdir / "out" / "rejected").glob("01-drop-*"))) == 3
    assert json.loads((workdir / "out" / "funnel.json").read_text())[1]["kept"] == 0


def test_what_a_step_refuses_is_told_with_the_place_of_its_setting(files, workdir, monkeypatch):
    def refuse(self, context):
        if context.label == "drop":
            raise InputError("word=file: not today. Set word, or leave data.steps.drop out.")

    monkeypatch.setattr(Step, "bind", refuse)
    steps = {"read_lines": {}, "drop": {"word": "file", "fail_on": "never"}}
    for name, where in (("data", "data"), ("data-mine", "data.mine")):
        with pytest.raises(InputError) as error:
            run(files, workdir / name, steps=steps, name=name)
        assert str(error.value) == (
            f"{where}.steps.drop.word=file: not today. Set word, or leave {where}.steps.drop out."
        )


def test_a_step_that_fails_leaves_the_funnel_of_the_steps_before_it(files, workdir):
    good = run(files, workdir / "good")["funnel"]
    with pytest.raises(InputError, match="not today"):
        run(files, workdir / "out", steps={**STEPS, "refuse": {}, "drop_again": {"use": "drop"}})
    assert json.loads((workdir / "out" / "funnel.json").read_text()) == good


def test_the_finished_part_of_a_funnel_ends_where_shards_are_missing(files, workdir):
    complete = run(files, workdir / "out")["funnel"]
    ledgers, labels = workdir / "out" / "work" / "ledgers", list(STEPS)
    assert _finished_part(ledgers, labels) == complete
    (ledgers / "01-drop-00001.json").unlink()
    assert _finished_part(ledgers, labels) == complete[:1]


@pytest.mark.slow
def test_datatrove_steps_are_put_under_the_same_accounts():
    from datatrove.pipeline.filters import GopherQualityFilter, LambdaFilter

    good = "The cat and the dog have been to the house with that man. " * 20
    documents = [Document(text="too short", id="a"), Document(text=good, id="b")]
    step = ForeignStep(GopherQualityFilter())
    assert [d.id for d in step.run(iter(documents))] == ["b"]
    assert step._ledger.rejected == {"gopher_short_doc": 1}

    def broken(document):
        raise ValueError(document.id)

    step = ForeignStep(LambdaFilter(broken))
    assert list(step.run(iter(documents))) == []
    assert step._ledger.failed == {"ValueError": 2}


def test_a_step_that_loses_a_document_is_caught():
    class Lossy(Step):
        def process(self, documents, rank, world_size):
            for i, document in enumerate(documents):
                if i:
                    yield document

    with pytest.raises(AssertionError, match="received 2 documents but accounts for 1"):
        list(Lossy().run(iter([Document(text="a", id="1"), Document(text="b", id="2")])))


def test_lone_surrogates_do_not_stop_a_write(workdir):
    from core.data.documents import ParquetSink

    sink = ParquetSink(workdir / "x.parquet")
    sink.write(Document(text="bad \ud800 character", id="1", metadata={"url": "http://x", "when": 3}))
    sink.close()
    (document,) = read_documents(workdir / "x.parquet")
    assert document.text == "bad ? character"
    assert document.metadata == {"when": 3, "url": "http://x"}


def test_a_score_that_is_no_number_does_not_stop_a_write(workdir):
    import pyarrow.parquet as pq
    from core.data.documents import ParquetSink

    scores = ["high", 10**400, 2, None, float("nan")]
    sink = ParquetSink(workdir / "x.parquet")
    for score in scores:
        sink.write(Document(text="x", id="1", metadata={"score": score}))
    sink.close()
    assert pq.read_table(workdir / "x.parquet")["score"].to_pylist()[:4] == [None, None, 2.0, None]
    assert [document.metadata["score"] for document in read_documents(workdir / "x.parquet")][:4] == scores[:4]


def test_step_errors_name_the_label(workdir):
    registry = discovery.load(["toy_plugin.py"])
    for steps, words in (
        ({"read_lines": {"path": 1}}, None),
        ({"cut": {"use": "drop", "wrd": "x"}}, r"data\.steps\.cut\.wrd: unknown key"),
        ({"drop": 5}, r"data\.steps\.drop=5: expected settings"),
        ({}, "data.steps is empty"),
    ):
        config = RecipeConfig(steps=steps)
        if words is None:
            planned = plan_steps(config, registry)
            assert planned[0].config == {"path": 1}
        else:
            with pytest.raises(ConfigError, match=words):
                plan_steps(config, registry)


def test_paths_expand_to_each_file_once(files, workdir):
    assert len(expand((str(files), str(workdir / "in" / "1.txt")))) == 3
    with pytest.raises(InputError, match="is a folder"):
        expand((str(workdir / "in"),))
    with pytest.raises(InputError, match="no file matches"):
        expand(("nothing.warc.gz",))
    with pytest.raises(InputError, match="cannot look at"):
        expand(("nosuchprotocol://x",))


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("[v].txt", ["[v].txt"]),
        ("[vw].txt", ["v.txt"]),
        ("a*.txt", ["a*.txt"]),
        ("a?.txt", ["a*.txt", "ab.txt"]),
        ("set [2024]/x.txt", ["set [2024]/x.txt"]),
        ("set [2024]/*.txt", ["set [2024]/[x].txt", "set [2024]/x.txt"]),
        ("set [2024]/[x].txt", ["set [2024]/[x].txt"]),
        ("s*/[x].txt", ["set [2024]/x.txt"]),
        ("*", ["[v].txt", "a*.txt", "ab.txt", "v.txt"]),
    ],
)
def test_a_path_that_exists_is_no_pattern(tmp_path, path, read):
    (tmp_path / "set [2024]").mkdir()
    for name in ("[v].txt", "v.txt", "a*.txt", "ab.txt", "set [2024]/x.txt", "set [2024]/[x].txt"):
        (tmp_path / name).write_text("x")
    assert expand((f"{tmp_path}/{path}",)) == tuple(f"{tmp_path}/{name}" for name in read)
    with pytest.raises(InputError, match="no file matches"):
        expand((f"{tmp_path}/set [2024]/y*",))


def test_a_pattern_leaves_out_what_is_half_written(tmp_path):
    folder = tmp_path / "kept.partial"  # a folder that is named may be called as it likes
    (folder / "more.partial").mkdir(parents=True)
    for name in ("a.jsonl", "b.jsonl.partial", "more.partial/c.jsonl"):
        (folder / name).write_text("{}")
    assert expand((f"{folder}/*", f"{folder}/**/*")) == (str(folder / "a.jsonl"),)
