"""Plain text, and artifacts read again, alone and through the recipes."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core import graph, typed
from core.compose import compose
from core.data.documents import ParquetSink
from core.data.recipe import RecipeConfig, plan_steps
from core.data.runner import Recipe
from core.data.steps import StepContext
from core.discovery import load
from core.errors import ConfigError, InputError
from core.interfaces import Job
from datatrove.data import Document
from smallwright_files.artifacts import ReadDocuments
from smallwright_files.config import ReadDocumentsConfig, ReadTextConfig
from smallwright_files.text import ReadText


def run(step, files, world_size=1):
    step.bind(StepContext(label="read", position=0, seed=0, files=tuple(map(str, files))))
    documents, failed, tables = [], {}, {}
    for rank in range(world_size):
        documents += step.run(None, rank, world_size)  # raises when the accounts do not hold
        for reason, count in step._ledger.failed.items():
            failed[reason] = failed.get(reason, 0) + count
        for key, count in step._ledger.tables.get("read again", {}).items():
            tables[key] = tables.get(key, 0) + count
    return documents, failed, tables


def test_text_by_file_and_by_block(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\nlines\n\n\n\nthree\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("été".encode("latin-1")))
    files = [tmp_path / "a.txt", tmp_path / "b.txt.gz"]
    documents, failed, _ = run(ReadText(ReadTextConfig()), files)
    assert [(d.id, d.text) for d in documents] == [("a.txt", "one\n\ntwo\nlines\n\n\n\nthree")]
    assert failed == {"not in the encoding": 1}
    documents, failed, _ = run(ReadText(ReadTextConfig(split="blocks", encoding="latin-1")), files)
    assert [(d.id, d.text) for d in documents] == [
        ("a.txt:0", "one"), ("a.txt:1", "two\nlines"), ("a.txt:2", "three"), ("b.txt.gz:0", "été"),
    ]  # fmt: skip
    shared, _, _ = run(ReadText(ReadTextConfig(split="blocks", encoding="latin-1")), files, world_size=5)
    assert sorted(d.id for d in shared) == sorted(d.id for d in documents)


def test_text_with_limits_and_cuts(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("short\n\n" + "x" * 50 + "\n\n" + "y\n" * 30 + "\nlast")
    documents, failed, _ = run(ReadText(ReadTextConfig(split="blocks", max_document_bytes=20)), [path])
    assert ([d.text for d in documents], failed) == (["short", "last"], {"too long": 2})
    assert run(ReadText(ReadTextConfig(max_document_bytes=20)), [path])[1] == {"too long": 1}
    path.write_bytes(gzip.compress(b"a block\n\n" * 1000, mtime=0)[:-9])
    documents, failed, _ = run(ReadText(ReadTextConfig(split="blocks")), [path])
    assert failed == {"truncated compressed stream": 1}
    path.write_bytes(b"")
    assert run(ReadText(ReadTextConfig()), [path])[1] == {"no text": 1}
    path.write_bytes(b"\xef\xbb\xbfone\r\nline\r\n\r\ntwo\r\n")  # as editors on Windows write it
    documents, _, _ = run(ReadText(ReadTextConfig(split="blocks")), [path])
    assert [document.text for document in documents] == ["one\nline", "two"]


@pytest.mark.parametrize("encoding", ["utf-9", "rot13", "utf-16", "utf-16-be", "utf-32"])
def test_encodings_that_lines_cannot_be_told_in_are_refused(encoding):
    with pytest.raises(ConfigError, match=f"encoding={encoding}: "):
        typed.build(ReadTextConfig, {"encoding": encoding}, "data.steps.read")


@pytest.fixture
def artifact(tmp_path):
    """An artifact as a data stage leaves it."""
    root = tmp_path / "artifact"
    kept = ParquetSink(root / "documents/00000.parquet")
    for i in range(5):
        kept.write(
            Document(text=f"kept {i}", id=f"k{i}", metadata={"url": f"http://k.example/{i}", "score": 2.5, "n": i})
        )
    kept.close()
    aside = ParquetSink(root / "rejected/03-c4_quality-00000.parquet", extra=("step", "outcome", "reason"))
    for i in range(6):
        document = Document(text=f"rejected {i}", id=f"r{i}", metadata={"url": f"http://r.example/{i}"})
        reason = "curly bracket" if i % 2 else "lorem ipsum"
        aside.write(document, step="c4_quality", outcome="failed" if i == 5 else "rejected", reason=reason)
    aside.write(Document(text="other", id="r9"), step="language", outcome="rejected", reason="not wanted")
    aside.close()
    return root


def again(artifact, world_size=1, **settings):
    config = typed.build(ReadDocumentsConfig, {"artifact": str(artifact), **settings}, "data.steps.read")
    return run(ReadDocuments(config), config.inputs(), world_size)


def test_kept_documents_come_back_as_they_were(artifact):
    documents, failed, tables = again(artifact)
    assert failed == {}
    assert [(d.id, d.text, d.metadata) for d in documents] == [
        (f"k{i}", f"kept {i}", {"score": 2.5, "n": i, "url": f"http://k.example/{i}"}) for i in range(5)
    ]
    assert tables == {"chosen": 5}


def test_rejected_documents_are_chosen_by_step_outcome_reason_and_url(artifact, tmp_path):
    documents, _, tables = again(artifact, folder="rejected", steps=["c4_quality"], reasons=["curly bracket"])
    assert [d.id for d in documents] == ["r1", "r3"]
    assert documents[0].metadata == {
        "url": "http://r.example/1", "rejected_by": "c4_quality", "rejected_for": "curly bracket",
    }  # fmt: skip
    assert tables == {"chosen": 2, "not chosen": 5}
    assert [d.id for d in again(artifact, folder="rejected", outcomes=["failed"])[0]] == ["r5"]
    (tmp_path / "urls.txt").write_bytes(b"\xef\xbb\xbfhttp://r.example/4\r\n\r\nhttp://k.example/1\r\nhttp://\xff/\r\n")
    settings = {"urls": ["http://r.example/2"], "url_files": [str(tmp_path / "urls.txt")]}
    assert [d.id for d in again(artifact, folder="rejected", **settings)[0]] == ["r2", "r4"]
    assert [d.id for d in again(artifact, **settings)[0]] == ["k1"]
    shared, _, tables = again(artifact, 3, folder="rejected", steps=["c4_quality"], reasons=["curly bracket"])
    assert (sorted(d.id for d in shared), tables) == (["r1", "r3"], {"chosen": 2, "not chosen": 5})


def test_a_damaged_artifact_is_counted_and_a_wrong_one_refused(artifact, tmp_path):
    path = artifact / "documents/00000.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert again(artifact)[1] == {"broken Parquet": 1}
    odd = pa.table({"id": ["a", "b"], "text": ["x", "y"], "url": ["", ""], "metadata": ['["no", "object"]', "{}"]})
    pq.write_table(odd, path)
    documents, failed, _ = again(artifact)
    assert ([document.id for document in documents], failed) == (["b"], {"invalid metadata": 1})
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(InputError, match=r"is no documents file of an artifact .it lacks id, url, metadata."):
        again(artifact)
    with pytest.raises(InputError, match=r"no documents/.*parquet in it"):
        again(tmp_path / "nothing")


RECIPES = ("jsonl", "hub", "documents")


@pytest.fixture(scope="module")
def registry():
    pytest.importorskip("smallwright_dedup", reason="the recipes name steps of smallwright_dedup")
    return load()


def settings_of(registry, name, *overrides):
    data = compose([f"+data={name}", *overrides], registry)["data"]
    return {key: value for key, value in data.items() if key != "name"}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_list_every_setting(registry, name):
    required = {"hub": ["data.steps.read.dataset=x"]}.get(name, [])
    settings = settings_of(registry, name, *required)
    recipe = typed.build(RecipeConfig, settings, "data")
    for step in plan_steps(recipe, registry):
        listed = set(settings["steps"][step.label]) - {"use"}
        fields = set(step.config.__dataclass_fields__)
        assert listed == fields if step.label == "read" else listed <= fields, step.label


@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_jsonl_and_parquet_take_the_same_settings(registry, name):
    settings = settings_of(registry, "jsonl", f"data.steps.read.use=read_{name}")
    assert plan_steps(typed.build(RecipeConfig, settings, "data"), registry)[0].entry.name == f"read_{name}"


@pytest.mark.slow
def test_a_folder_of_files_is_a_corpus_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my docs/part").mkdir(parents=True)
    rows = {"text": ["one", None, "two"], "source": ["a", "b", "c"]}
    pq.write_table(pa.table(rows), tmp_path / "my docs/part/a.parquet")
    registry = load()

    def stage():
        return graph.build(compose(["corpus=my docs"], registry), registry)[0]

    spec = stage()
    job = spec.job(tmp_path / "store", (), {})
    summary = job.stage.run(job)
    kept = pq.read_table(job.output / "documents").to_pylist()
    assert [(row["id"], row["text"], json.loads(row["metadata"])["source"]) for row in kept] == [
        ("a.parquet:0", "one", "a"), ("a.parquet:2", "two", "c"),
    ]  # fmt: skip
    assert summary["funnel"][0]["failed"] == {"no text": 1}
    assert (spec.folder, spec.label) == ("data", "my_docs")
    assert spec.external_files == (str(tmp_path / "my docs/part/a.parquet"),)
    pq.write_table(pa.table({"text": ["three"]}), tmp_path / "my docs/part/a.parquet")
    assert stage().digest != spec.digest
    pq.write_table(pa.table({"body": ["three"]}), tmp_path / "my docs/part/a.parquet")
    with pytest.raises(InputError, match=r"^corpus=my docs: .* has no column text. Its columns: body. To take"):
        stage()


def make(registry, folder, name, *overrides):
    settings = settings_of(registry, name, *overrides)
    recipe = typed.build(RecipeConfig, settings, "data")
    if recipe.paths is None:
        settings["paths"] = plan_steps(recipe, registry)[0].config.inputs()
    config = typed.build(RecipeConfig, settings, "data")
    return Recipe(config).run(Job(name="data", output=folder, inputs={}, seed=0))


@pytest.mark.slow
def test_from_rows_to_documents_and_the_rejected_ones_back(registry, tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"id": f"r{i}", "text": f"text number {i % 4}", "url": f"http://r.example/{i}"} for i in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "broken\n")
    summaries = [make(registry, tmp_path / f"{n}", "jsonl", f"data.paths=[{path}]", f"data.shards={n}") for n in (1, 3)]
    first = summaries[0]
    assert [(e["step"], e["in"], e["kept"]) for e in first["funnel"]] == [("read", 11, 10), ("exact_dedup", 10, 4)]
    assert first["funnel"][0]["failed"] == {"invalid JSON": 1}
    assert summaries[1]["funnel"] == first["funnel"]
    choice = ["data.steps.read.folder=rejected", "data.steps.read.steps=[exact_dedup]"]
    back = make(registry, tmp_path / "back", "documents", f"data.steps.read.artifact={tmp_path / '1'}", *choice)
    assert back["funnel"][0]["in"] == 6
    table = pq.read_table(tmp_path / "back/documents").to_pylist()
    assert {json.loads(row["metadata"])["rejected_for"] for row in table} == {"exact duplicate"}
