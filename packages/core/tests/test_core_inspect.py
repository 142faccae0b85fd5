"""``core.inspect``: what is shown is what is there, the same samples each time, and nothing that the web can run."""

import json

import pytest
from core import inspect
from core.data.documents import ParquetSink
from core.data.samples import look
from core.errors import InputError
from datatrove.data import Document


@pytest.fixture
def artifact(tmp_path):
    folder = tmp_path / "store" / "data" / "toy-0123"
    kept = ParquetSink(folder / "documents" / "00000.parquet")
    for i in range(40):
        metadata = {"url": f"https://{i % 3}.example/{i}", "score": i / 10, "int_score": i // 10, "language": "en"}
        kept.write(Document(text=f"kept {i} " + "x" * 10 * i, id=f"k{i}", metadata=metadata))
    kept.close()
    reasons = [("quality", "rejected", "too short")] * 10 + [("quality", "failed", "ValueError")] * 2
    aside = ParquetSink(folder / "rejected" / "01-quality-00000.parquet", extra=("step", "outcome", "reason"))
    for i, (step, outcome, reason) in enumerate(reasons):
        text = f"<script>alert({i})</script>\x1b[31m red"
        document = Document(text=text, id=f"r{i}", metadata={"url": "", "score": 0.5, "language": "de"})
        aside.write(document, step=step, outcome=outcome, reason=reason)
    aside.close()
    copies = ParquetSink(folder / "rejected" / "02-minhash-00000.parquet", extra=("step", "outcome", "reason"))
    for i in range(3):
        document = Document(text=f"copy {i}", id=f"c{i}", metadata={"duplicate_of": "k7"})
        copies.write(document, step="minhash", outcome="rejected", reason="near duplicate")
    copies.close()
    ledger = {"step": "quality", "in": 55, "kept": 43, "rejected": {"too short": 10}, "failed": {"ValueError": 2}}
    (folder / "funnel.json").write_text(json.dumps([ledger]))
    return folder


def test_everything_is_counted_by_fate(artifact):
    found = look(artifact, samples=4)
    counts = {(group.step, group.outcome, group.reason): group.documents for group in found.groups}
    assert counts == {
        ("", "kept", ""): 40,
        ("minhash", "rejected", "near duplicate"): 3,
        ("quality", "rejected", "too short"): 10,
        ("quality", "failed", "ValueError"): 2,
    }
    assert all(len(group.samples) == min(4, group.documents) for group in found.groups)
    assert found.tables["language"] == [["en", 40, 0], ["de", 0, 12]]
    assert sum(kept for _, kept, _ in found.tables["length in characters"]) == 40
    assert found.scores["int_score"]["kept"] == [10, 10, 10, 10, 0, 0]
    assert sum(found.scores["score"]["rejected"]) == 12
    (cluster,) = found.clusters
    assert (cluster["size"], cluster["kept"].id, cluster["step"]) == (4, "k7", "minhash")


def test_samples_depend_on_the_seed_alone(artifact):
    def ids(seed):
        return [sample.id for group in look(artifact, samples=4, seed=seed).groups for sample in group.samples]

    assert ids(0) == ids(0)
    assert ids(0) != ids(1)


def test_one_step_alone_and_one_that_does_not_exist(artifact):
    assert {group.step for group in look(artifact, step="quality").groups} == {"quality"}
    with pytest.raises(InputError, match=r"'nothing' set nothing aside.*minhash, quality"):
        look(artifact, step="nothing")


def test_a_large_corpus_is_read_in_part(tmp_path):
    kept = ParquetSink(tmp_path / "documents" / "00000.parquet")
    for i in range(3000):
        kept.write(Document(text=f"kept {i}", id=f"k{i}", metadata={}))
    kept.close()
    found = look(tmp_path, limit=1000)
    assert (found.documents, found.read) == (3000, 1000)
    assert look(tmp_path, limit=3000).read == 3000


def test_the_terminal_cannot_be_taken_over(artifact, capsys):
    assert inspect.main([str(artifact), "--samples", "20"]) == 0
    shown = capsys.readouterr().out
    assert "rejected by quality: too short (10)" in shown
    assert "\x1b" not in shown


def test_without_a_package_that_makes_pages_the_page_is_refused_before_anything_is_read(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SMALLWRIGHT_PLUGINS", "")
    assert inspect.main([str(tmp_path / "nowhere"), "--html", str(tmp_path / "page.html")]) == 2
    assert capsys.readouterr().err == (
        "error: no installed plugin makes pages. Install one: pip install smallwright-report\n"
    )


def test_urls_reasons_and_tables_cannot_take_over_the_terminal(tmp_path, capsys):
    evil = "\x1b[2J\x1b]0;title\x07\u202e\n"
    kept = ParquetSink(tmp_path / "documents" / "00000.parquet")
    for i in range(3):
        metadata = {"url": f"https://a.example/{evil}{i}", "language": f"en{evil}", f"score{evil}": float(i)}
        kept.write(Document(text=evil, id=f"k{evil}{i}", metadata=metadata))
    kept.close()
    aside = ParquetSink(tmp_path / "rejected" / "01-a-00000.parquet", extra=("step", "outcome", "reason"))
    document = Document(text="x", id="r", metadata={"duplicate_of": f"k{evil}1", "error": evil})
    aside.write(document, step=f"a{evil}", outcome=f"rejected{evil}", reason=f"why{evil}")
    aside.close()
    rejected = {f"why{evil}": 1}
    row = {"step": f"a{evil}", "in": 4, "kept": 3, "rejected": rejected, "failed": {}}
    (tmp_path / "funnel.json").write_text(json.dumps([row]))
    assert inspect.main([str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "https://a.example/" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)


DAMAGE = {
    "documents/00000.parquet": [lambda b: b"", lambda b: b[:50], lambda b: b[:-9] + bytes(9), lambda b: b"{}" * 99,
                                lambda b: b[:4] + bytes(200) + b[204:]],
    "rejected/01-quality-00000.parquet": [lambda b: b[: len(b) // 2]],
    "funnel.json": [lambda b: b"", lambda b: b[:9], lambda b: b"3", lambda b: b"[3]", lambda b: b'[{"step": "a"}]',
                    lambda b: b"null", lambda b: b"\xff", lambda b: b.replace(b"43", b'"x"')],
}  # fmt: skip


@pytest.mark.parametrize(("file", "harm"), [(file, harm) for file, harms in DAMAGE.items() for harm in harms])
def test_a_damaged_file_of_a_corpus_is_one_line_that_names_it(artifact, capsys, file, harm):
    path = artifact / file
    path.write_bytes(harm(path.read_bytes()))
    assert inspect.main([str(artifact)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path} is damaged (")
    assert said.endswith(f"Delete {artifact}, and the next run makes it again.\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "content", ["", "3", "[]", "{}", '{"stages": 5}', '{"stages": [5]}', '{"stages": [{}]}', "[[[["]
)
def test_a_damaged_report_of_a_run_is_one_line_that_names_it(tmp_path, capsys, content):
    (tmp_path / "logs").mkdir()
    (tmp_path / "report.json").write_text(content)
    assert inspect.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path}/report.json is damaged (")
    assert said.count("\n") == 1


def test_a_damaged_manifest_is_one_line_that_names_it(artifact, capsys):
    (artifact / "funnel.json").unlink()
    (artifact / "manifest.json").write_text('{"summary": ')
    assert inspect.main([str(artifact)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {artifact}/manifest.json is damaged (")


@pytest.mark.parametrize(
    ("manifest", "said"), [(None, "nothing is written yet"), ("{}", "it is finished and holds no documents")]
)
def test_a_folder_without_documents_says_whether_it_is_finished(tmp_path, manifest, said):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=said):
        look(tmp_path)


def test_a_run_shows_its_corpora_and_nonsense_one_line(artifact, capsys, tmp_path):
    run = tmp_path / "run"
    (run / "logs").mkdir(parents=True)
    stages = [{"name": "data-toy", "artifact": str(artifact)}, {"name": "tokens", "artifact": "x"}]
    (run / "report.json").write_text(json.dumps({"stages": stages}))
    assert inspect.main([str(run)]) == 0
    assert "toy-0123: 55 documents" in capsys.readouterr().out
    assert inspect.main([str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert inspect.main([str(tmp_path)]) == 2
    assert "Give a folder store/data/<name>" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        inspect.main([str(run), "--samples", "-3"])
    assert "must be at least 0" in capsys.readouterr().err


def test_a_run_that_is_not_finished_shows_what_there_is(artifact, capsys, tmp_path):
    logs = tmp_path / "unfinished" / "logs"
    logs.mkdir(parents=True)
    (logs / "data.job.json").write_text(json.dumps({"output": str(artifact)}))
    assert inspect.main([str(tmp_path / "unfinished")]) == 0
    assert "toy-0123: 55 documents" in capsys.readouterr().out
