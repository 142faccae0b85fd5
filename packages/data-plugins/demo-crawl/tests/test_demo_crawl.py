"""The demonstration crawl: the same bytes twice, and a truth that holds."""

import json
import re
from pathlib import Path

import pytest
from core.data.steps import StepContext
from core.interfaces import Job
from core.typed import build
from smallwright_demo_crawl.config import DemoCrawlConfig
from smallwright_demo_crawl.items import write
from smallwright_demo_crawl.stage import DemoCrawl

SCALE = 0.3


def make(folder: Path, items: Path, seed: int = 7) -> Path:
    tasks = tuple(str(path) for path in sorted(items.glob("*.jsonl")))
    config = build(DemoCrawlConfig, {"scale": SCALE, "contaminate_with": tasks}, "data.source")
    DemoCrawl(config).run(Job(name="crawl", output=folder, inputs={}, seed=seed))
    return folder


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("items")
    write(folder)
    return folder


@pytest.fixture(scope="module")
def crawl(tmp_path_factory, items) -> Path:
    return make(tmp_path_factory.mktemp("crawl"), items)


def pages(crawl: Path, workers: int = 1):
    step = pytest.importorskip("smallwright_warc.read", reason="what is written is read by it").ReadWarc()
    files = tuple(str(path) for path in sorted((crawl / "files").iterdir()))
    step.bind(StepContext(label="read", position=0, seed=0, files=files))
    documents, failed, received = [], 0, 0
    for rank in range(workers):
        documents += step.run(None, rank, workers)
        failed += sum(step._ledger.failed.values())
        received += step._ledger.received
    return documents, failed, received


def extract(documents):
    step = pytest.importorskip("smallwright_extract.step", reason="it gives the texts of pages").ExtractText()
    return {document.id: document.text for document in step.run(iter(documents))}


def shingles(text: str, n: int = 13) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


@pytest.mark.slow
def test_same_seed_gives_the_same_bytes(crawl, items, tmp_path):
    again, other = make(tmp_path / "again", items), make(tmp_path / "other", items, seed=8)
    for path in [*(crawl / "files").iterdir(), crawl / "truth.jsonl"]:
        relative = path.relative_to(crawl)
        assert path.read_bytes() == (again / relative).read_bytes()
        assert path.read_bytes() != (other / relative).read_bytes()


def test_truth_agrees_with_what_is_read(crawl):
    truth = {line["record_id"]: line for line in map(json.loads, (crawl / "truth.jsonl").read_text().splitlines())}
    documents, failed, received = pages(crawl)
    readable = {key for key, line in truth.items() if line["expected"] not in ("http", "corrupt")}
    assert {document.id for document in documents} == readable
    assert failed == sum(line["expected"] == "corrupt" for line in truth.values()) == 3
    assert received == len(truth)
    by_workers = {document.id: (document.text, document.metadata) for document in pages(crawl, workers=3)[0]}
    assert by_workers == {document.id: (document.text, document.metadata) for document in documents}


@pytest.mark.slow
def test_only_contaminated_pages_hold_evaluation_items(crawl, items):
    truth = {line["record_id"]: line for line in map(json.loads, (crawl / "truth.jsonl").read_text().splitlines())}
    evaluation: set[tuple[str, ...]] = set()
    for path in items.glob("*.jsonl"):
        for item in map(json.loads, path.read_text().splitlines()):
            grams = shingles(f"{item['context']} {item['choices'][item['label']]}")
            assert grams, "an item is shorter than 13 words"
            evaluation |= grams
    texts = extract(pages(crawl)[0])
    found = {truth[key]["expected"] for key, text in texts.items() if shingles(text) & evaluation}
    clean = [
        key
        for key, text in texts.items()
        if truth[key]["expected"] == "contaminated" and not shingles(text) & evaluation
    ]
    assert found == {"contaminated"}
    assert not clean
    for key, text in texts.items():
        if truth[key]["expected"] == "exact_duplicate":
            assert text == texts[truth[key]["duplicate_of"]]
        if truth[key]["expected"] == "near_duplicate":
            mine, other = shingles(text, 5), shingles(texts[truth[key]["duplicate_of"]], 5)
            assert 0.8 < len(mine & other) / len(mine | other) < 1


def test_shipped_evaluation_items_are_these(items):
    package = pytest.importorskip("smallwright_eval")
    for path in items.glob("*.jsonl"):
        assert (Path(package.__file__).parent / "tasks" / path.name).read_text() == path.read_text()


def test_planted_rules_are_on_the_pages(crawl):
    truth = [json.loads(line) for line in (crawl / "truth.jsonl").read_text().splitlines()]
    raw = {document.id: document for document in pages(crawl)[0]}
    texts = extract(pages(crawl)[0])
    kinds = {line["kind"] for line in truth}
    assert {"opt_out", "older_capture", "larger_capture", "markup", "pii", "curly_bracket"} <= kinds
    for line in truth:
        name = line["record_id"]
        if name in raw:
            assert raw[name].metadata.get("opt_out", []) == line.get("opt_out", [])
        for part in [*line.get("contains", ()), *line.get("pii", ())]:
            assert part in texts[name]
        if line["kind"] == "curly_bracket":
            assert "{1, 2, 3, 6}" in texts[name]
        if line["expected"] == "capture":
            other = raw[line["duplicate_of"]]
            assert other.metadata["url"] == raw[name].metadata["url"]
            assert other.metadata["warc_date"] > raw[name].metadata["warc_date"]
            larger = raw[name].metadata["page_bytes"] > other.metadata["page_bytes"]
            assert larger == (line["kind"] == "larger_capture")
