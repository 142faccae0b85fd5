"""Steps that decide about groups of documents, tables of counts, and the planted truth."""

import json

import pytest
from core.data.documents import WriteDocuments, read_documents
from core.data.executor import LocalExecutor
from core.data.groups import GroupStep, Verdict
from core.data.recipe import LocalExecutorConfig
from core.data.steps import StepContext
from core.data.truth import IN_THE_END, against_truth
from datatrove.data import Document


class KeepNewest(GroupStep):
    """Toy: of the documents with one URL, the newest stays."""

    def key(self, document):
        return document.metadata["url"] or None

    def value(self, document):
        return {"date": document.metadata["date"]}

    def decide(self, key, members):
        newest = max(members, key=lambda member: (member.value["date"], member.file, member.row))
        return {
            member: Verdict(notes={"captures": len(members)}) if member == newest else Verdict("older capture")
            for member in members
        }

    def summarize(self, key, members, verdicts):
        return {"url": key, "captures": len(members)}

    def report(self, rows):
        return {"urls": sum(1 for _ in rows)}


def write_corpus(folder, files=3, documents=8):
    for rank in range(files):
        rows = [
            Document(
                text="t",
                id=f"{rank}-{i}",
                metadata={"url": f"u{(rank * 5 + i) % 10}" if i else "", "date": (7 * i + rank) % 11},
            )
            for i in range(documents)
        ]
        list(WriteDocuments(folder).run(rows, rank, files))


def apply(folder, workers, monkeypatch):
    corpus, work, out = folder / "corpus", folder / "work", folder / "out"
    write_corpus(corpus)
    step = KeepNewest()
    ledgers = folder / "ledgers"
    ledgers.mkdir()
    context = StepContext(label="captures", position=0, seed=0, rejected=folder / "rejected", ledgers=ledgers)
    step.bind(context)
    with LocalExecutor(LocalExecutorConfig(workers=workers)) as executor:
        for phase in step.phases(corpus, work):
            executor.run(phase.pipeline, phase.tasks or 3, folder / "logs" / phase.name, lambda _: None)
        applied = step.pass_step(work)
        applied.bind(context)
        for rank in range(3):
            documents = read_documents(corpus / f"{rank:05d}.parquet")
            list(WriteDocuments(out).run(applied.run(documents, rank, 3), rank, 3))
    kept = {
        document.id: document.metadata for path in sorted(out.glob("*.parquet")) for document in read_documents(path)
    }
    return kept, json.loads((work / "captures.report.json").read_text())


@pytest.mark.parametrize("per_partition", [500_000, 4])
def test_groups_are_decided_whole_whatever_the_partitions(tmp_path, monkeypatch, per_partition):
    monkeypatch.setattr("core.data.groups.DOCUMENTS_PER_PARTITION", per_partition)
    kept, report = apply(tmp_path, 1, monkeypatch)
    with_url = [metadata for metadata in kept.values() if metadata["url"]]
    urls = [metadata["url"] for metadata in with_url]
    assert len(urls) == len(set(urls)) == report["urls"] == 10
    assert sum(metadata["captures"] for metadata in with_url) == 3 * 7
    assert sum(not metadata["url"] for metadata in kept.values()) == 3
    newest = {}
    for path in sorted((tmp_path / "corpus").glob("*.parquet")):
        for row, document in enumerate(read_documents(path)):
            place = (document.metadata["date"], path.stem, row)
            newest[document.metadata["url"]] = max(newest.get(document.metadata["url"], place), place)
    assert all(metadata["date"] == newest[metadata["url"]][0] for metadata in with_url)


def test_truth_gives_precision_and_recall_of_each_step(tmp_path):
    truth = [
        {"record_id": "good", "removed_by": []},
        {"record_id": "lost", "removed_by": []},
        {"record_id": "spam", "removed_by": ["url_filter"]},
        {"record_id": "missed", "removed_by": ["url_filter", "mine:quality", "other:pii"]},
    ]
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(line) + "\n" for line in truth))
    from core.data.documents import ParquetSink

    sink = ParquetSink(tmp_path / "rejected" / "00-urls-00000.parquet", extra=("step", "outcome", "reason"))
    for name in ("lost", "spam"):
        sink.write(Document(text="", id=name), step="urls", outcome="rejected", reason="x")
    sink.close()
    list(WriteDocuments(tmp_path / "kept").run([Document(text="", id="good"), Document(text="", id="missed")]))
    steps = {"urls": "url_filter", "heuristics": "quality", "pii": "pii"}
    rows = against_truth(tmp_path / "truth.jsonl", "mine", steps, tmp_path / "rejected", tmp_path / "kept")
    by_step = {row["step"]: row for row in rows}
    assert (by_step["urls"]["precision"], by_step["urls"]["recall"]) == (0.5, 0.5)
    assert (by_step["heuristics"]["precision"], by_step["heuristics"]["recall"]) == (None, 0.0)
    assert "pii" not in by_step
    assert (by_step[IN_THE_END]["precision"], by_step[IN_THE_END]["recall"]) == (0.5, 0.5)
