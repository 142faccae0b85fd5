"""``backend: datatrove``: the real inference runner over several ranks, on a server that fails on purpose."""

import json
import subprocess
import sys
import time
from collections import Counter

import dill
import pytest
from core.errors import UserError
from core.typed import build
from smallwright_labels.config import ScoreLlmConfig
from smallwright_labels.llm import ScoreLlm

pytest.importorskip("aiosqlite", reason="DataTrove's inference runner is an extra")
pytest.importorskip("aiofiles", reason="DataTrove's inference runner is an extra")


def settings(peer, **more):
    given = {"backend": "datatrove", "model": "judge", "base_url": peer.url, "backoff": 0.001, "timeout": 5.0}
    return ScoreLlm(build(ScoreLlmConfig, {**given, "chunk": 3, **more}, "data.scorer"))


ORDERS = ("well", "429 once", "500 once", "500", "refuse", "ramble", "no schema", "cut the body once", "stop half way")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [None, 2])
def test_every_rank_labels_its_shards_whatever_fails(peer, pages, tmp_path, write_corpus, run_corpus_step, ranks):
    corpus = write_corpus(tmp_path / "corpus", pages(*ORDERS * 2), 4)
    step = settings(peer, ranks=ranks, retries=2)
    phases = step.phases(corpus, tmp_path / "work")
    assert [(phase.name, phase.tasks) for phase in phases] == [
        ("select", 1), (f"ask-{ranks or 'files'}-3", ranks), ("collect", 1), ("report", 1),
    ]  # fmt: skip
    found, _ = run_corpus_step(step, corpus, tmp_path / "work")
    by_order = {document.id.partition("-")[2]: document.metadata for document in found}
    labels = {order: by_order[order].get("label") for order in ORDERS}
    assert labels == {
        **dict.fromkeys(("well", "429 once", "500 once", "cut the body once"), 4),
        **dict.fromkeys(("ramble", "no schema"), 2),
        **dict.fromkeys(("500", "refuse", "stop half way")),
    }
    assert not [key for key in by_order["500"] if key.startswith("label")]
    report = json.loads((tmp_path / "work" / "labels.report.json").read_text())
    assert (report["documents"], report["unanswered"], report["refused"]) == (16, 2, 2)
    assert report["outcomes"] == {"labelled": 12, "refused": 2, "reply cut off": 2}
    assert report["retries"]["HTTP 429"] == report["retries"]["malformed response"] == 2
    answers = sorted(path.name.split("_")[0] for path in tmp_path.glob("work/*-3/answers/*"))
    assert set(answers) == {f"{rank:05d}" for rank in range(ranks or 4)}
    assert max(Counter(answers).values()) > 1  # more than one chunk a rank


@pytest.mark.slow
def test_ranks_make_the_labels_that_one_server_backend_makes(peer, pages, tmp_path, write_corpus, run_corpus_step):
    corpus = write_corpus(tmp_path / "corpus", pages("well", "ramble", "refuse", "well", "well", "ramble"), 3)
    run_corpus_step(settings(peer), corpus, tmp_path / "many")
    run_corpus_step(settings(peer, backend="server"), corpus, tmp_path / "one")
    for shard in range(3):
        name = f"labels/{shard:05d}.jsonl"
        assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["server", "datatrove"])
def test_a_killed_process_goes_on_where_it_was(peer, pages, tmp_path, write_corpus, run_corpus_step, backend):
    corpus = write_corpus(tmp_path / "corpus", pages(*["slowly"] * 40), 2)
    step = settings(peer, backend=backend, concurrency=2)
    select, ask, *_ = step.phases(corpus, tmp_path / "work")
    list(select.pipeline[0].run(None))
    payload = tmp_path / "pass.dill"
    payload.write_bytes(dill.dumps((ask.pipeline[0], 2 if backend == "datatrove" else 1)))
    code = "import dill, sys; part, ranks = dill.load(open(sys.argv[1], 'rb')); list(part.run(None, 0, ranks))"
    with subprocess.Popen([sys.executable, "-c", code, str(payload)], stderr=subprocess.DEVNULL) as process:
        while sum(peer.seen.values()) < 10:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        process.kill()
    assert sum(peer.seen.values()) < 40
    found, _ = run_corpus_step(step, corpus, tmp_path / "work")
    assert [document.metadata["label"] for document in found] == [4] * 40
    # only what was in flight, and what was answered and not yet written, is asked again
    assert sum(peer.seen.values()) <= 40 + 4


@pytest.mark.parametrize("change", [{"ranks": 1}, {"chunk": 2}])
def test_a_killed_run_may_go_on_with_other_ranks_and_chunks(
    peer, pages, tmp_path, write_corpus, run_corpus_step, change
):
    corpus = write_corpus(tmp_path / "corpus", pages(*["well"] * 10), 2)
    step = settings(peer, ranks=2)
    select, ask, *_ = step.phases(corpus, tmp_path / "work")
    list(select.pipeline[0].run(None))
    list(ask.pipeline[0].run(None, rank=0, world_size=2))
    assert sum(peer.seen.values()) == 5
    found, _ = run_corpus_step(settings(peer, **{"ranks": 2, **change}), corpus, tmp_path / "work")
    assert [document.metadata.get("label") for document in found] == [4] * 10


def test_a_wrong_key_or_model_ends_the_run_in_one_line(peer, pages, tmp_path, write_corpus, run_corpus_step):
    corpus = write_corpus(tmp_path / "corpus", pages("404"))
    with pytest.raises(UserError, match=r"^data\.scorer\.model=judge: .*does not offer it"):
        run_corpus_step(settings(peer), corpus, tmp_path / "work")


def test_nothing_to_label_starts_no_server(tmp_path, write_corpus, run_corpus_step):
    config = build(ScoreLlmConfig, {"backend": "datatrove", "model": "no/such-model"}, "data.scorer")
    found, _ = run_corpus_step(ScoreLlm(config), write_corpus(tmp_path / "corpus", []), tmp_path / "work")
    assert found == []
