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


def test_the_terminal_and_the_page_cannot_be_taken_over(artifact, capsys, tmp_path):
    assert inspect.main([str(artifact), "--samples", "20"]) == 0
    shown = capsys.readouterr().out
    assert "rejected by quality: too short (10)" in shown
    assert "\x1b" not in shown
    page = tmp_path / "page.html"
    assert inspect.main([str(artifact), "--samples", "20", "--html", str(page)]) == 0
    html = page.read_text()
    assert "too short (10)" in html
    assert "<script" not in html
    assert "href" not in html


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
