"""What happens while labels are made is told in the run's summary, and changes no byte of the artifact."""

import gzip
import json

import pytest
from core.typed import build
from smallwright_labels.config import ScoreLlmConfig
from smallwright_labels.llm import ScoreLlm

ORDERS = ("well", "ramble", "refuse", "500", "bad request", "well", "slowly", "picky", "well", "well")


@pytest.fixture
def label(tmp_path, write_corpus, run_corpus_step, pages):
    """Label pages; return the kept files, the metadata of the documents, and the summary."""
    corpus = write_corpus(tmp_path / "corpus", pages(*ORDERS), 2)

    def run(name, peer, **more):
        given = {"model": "judge", "base_url": peer.url, "backoff": 0.001, "timeout": 5.0, "retries": 8, **more}
        step = ScoreLlm(build(ScoreLlmConfig, given, "data.scorer"))
        work, reports = tmp_path / name / "work", tmp_path / name / "reports"
        documents, _ = run_corpus_step(step, corpus, work, reports)
        kept = {path.name: path.read_bytes() for path in reports.iterdir()}
        assert set(kept) == {"labels.json", "labels.jsonl.gz"}
        metadata = {document.id: document.metadata for document in documents}
        return kept, metadata, json.loads((work / "labels.report.json").read_text())

    return run


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["server", "datatrove"])
def test_refused_connections_change_no_byte(label, make_peer, backend):
    if backend == "datatrove":
        pytest.importorskip("aiosqlite", reason="DataTrove's inference runner is an extra")
        pytest.importorskip("aiofiles", reason="DataTrove's inference runner is an extra")
    calm, busy = make_peer(), make_peer()
    busy.refused = {2, 3, 4, 6}
    kept, metadata, summary = label("calm", calm, backend=backend)
    again, same, other = label("busy", busy, backend=backend, concurrency=3)
    assert again == kept
    assert same == metadata
    # the summary tells what the artifact does not: how often, where, and why
    assert "connection" not in summary["retries"]
    assert other["retries"]["connection"] >= 3
    assert (summary["server"], other["server"]) == (calm.url, busy.url)
    assert summary["details"]["no answer"][0]["detail"].startswith("HTTP 500")
    for happened in ("retries", "details", "reused", "server", "served"):
        assert happened not in json.loads(kept["labels.json"])
    for record in map(json.loads, gzip.decompress(kept["labels.jsonl.gz"]).splitlines()):
        assert set(record) <= {
            *("id", "text_hash", "label", "outcome", "reason", "reply", "prompt", "truncated"),
            *("scorer", "sampling_settings"),
        }


@pytest.mark.slow
def test_labels_taken_from_an_earlier_run_are_kept_as_new_ones(label, make_peer, tmp_path):
    peer = make_peer()
    kept, metadata, _ = label("first", peer, backend="server")
    earlier = [str(tmp_path / "first/reports/labels.jsonl.gz")]
    again, same, summary = label("second", peer, backend="server", reuse=earlier)
    assert summary["reused"] == 7
    assert (again, same) == (kept, metadata)


def test_an_answer_that_comes_late_changes_no_byte(label, make_peer, tmp_path, write_corpus, pages):
    write_corpus(tmp_path / "corpus", pages("well", "500 once", "hang up once", "ramble", "well"), 2)
    kept, metadata, summary = label("patient", make_peer(), backend="server")
    again, same, other = label("hasty", make_peer(), backend="server", retries=0)
    assert (again, same) == (kept, metadata)
    assert summary["unanswered"] == other["unanswered"] == 0
    assert summary["retries"] != other["retries"]


@pytest.mark.parametrize("order", ["500", "ramble, then 500"])
def test_a_document_without_an_answer_leaves_no_trace(label, make_peer, tmp_path, write_corpus, pages, order):
    write_corpus(tmp_path / "corpus", pages("well", order, "well"), 2)
    kept, metadata, summary = label("run", make_peer(), backend="server", retries=1)
    lost = f"1-{order}"
    assert (summary["unanswered"], summary["details"]["no answer"][0]["id"]) == (1, lost)
    assert not [key for key in metadata[lost] if key.startswith("label")]
    assert lost.encode() not in gzip.decompress(kept["labels.jsonl.gz"]) + kept["labels.json"]
    assert b"no answer" not in kept["labels.json"]
