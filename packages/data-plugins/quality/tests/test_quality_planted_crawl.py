"""Each filter alone on the pages of the demonstration crawl, against the truth about them. Seconds: 12."""

import json

import pytest
from core import typed
from core.data.documents import read_documents
from core.data.executor import LocalExecutor
from core.data.recipe import LocalExecutorConfig
from core.data.steps import StepContext
from core.discovery import load
from core.interfaces import Job

pytest.importorskip("smallwright_demo_crawl", reason="it makes the demonstration crawl")
for plugin in ("smallwright_warc", "smallwright_extract"):
    pytest.importorskip(plugin, reason=f"the crawl is read by a step of {plugin}")

# FineMath's relaxations: with formulas in the text Gopher's values drop most worked solutions.
NGRAMS = {f"dup_{n}_gram": None for n in range(5, 10)} | {"dup_10_gram": 0.35}
MATHS = {"min_avg_word_length": 2.0, "min_alpha_words_ratio": 0.25}
WORTHLESS = {"url", "language", "quality", "repetition"}
"""What any of these filters may remove without harm."""


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    """Documents of the extracted crawl, and the truth by id."""
    folder, registry = tmp_path_factory.mktemp("planted"), load()

    def run(kind, name, settings, output, **inputs):
        entry = registry.get(kind, name)
        executor = LocalExecutor(LocalExecutorConfig(workers=1))
        job = Job(name="data", output=folder / output, inputs=inputs, seed=0, executor=executor)
        return entry.load()(typed.build(entry.load_config(), settings, kind)).run(job)

    run("sources", "demo_crawl", {"scale": 0.4}, "crawl")
    steps = {"read": {"use": "read_warc"}, "extract": {"use": "extract_text"}}
    run("corpora", "recipe", {"steps": steps}, "corpus", crawl=folder / "crawl")
    documents = [d for path in sorted((folder / "corpus/documents").glob("*.parquet")) for d in read_documents(path)]
    with open(folder / "crawl/truth.jsonl") as file:
        truth = {record["record_id"]: record for record in map(json.loads, file)}
    assert len(documents) > 300
    return documents, truth, registry


def apply(registry, documents, use, **settings):
    """Return the reason by id of what a step alone rejects, and the text by id of what it keeps."""
    entry = registry.get("steps", use)
    step = entry.load()(typed.build(entry.load_config(), settings, use))
    step.bind(StepContext(label=use, position=0, seed=0))
    reasons, texts = {}, {}
    step.reject = lambda document, reason: reasons.update({document.id: reason})
    for document in step.process((type(d)(d.text, d.id, metadata=dict(d.metadata)) for d in documents), 0, 1):
        texts[document.id] = document.text
    assert len(reasons) + len(texts) == len(documents)
    return reasons, texts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("use", "settings", "expected", "recall"),
    [
        ("url_filter", {}, "url", 0.2),  # two of the four sites have fewer than two of the listed words
        ("url_filter", {"banned_words": ["casino", "adult"]}, "url", 1.0),
        ("language", {}, "language", 1.0),
        ("gopher_repetition", NGRAMS, "repetition", 1.0),
        ("gopher_quality", MATHS, "quality", 0.9),
        ("fineweb_quality", {}, "quality", 0.9),
    ],
)
def test_precision_and_recall(crawl, use, settings, expected, recall):
    documents, truth, registry = crawl
    rejected, _ = apply(registry, documents, use, **settings)
    wanted = {document.id for document in documents if truth[document.id]["expected"] == expected}
    rightly = {name for name in rejected if truth[name]["expected"] in WORTHLESS}
    assert len(wanted) > 1
    assert len(wanted & set(rejected)) / len(wanted) >= recall
    assert len(rightly) / len(rejected) >= 0.99


def test_curly_brackets(crawl):
    documents, truth, registry = crawl
    planted = {document.id for document in documents if truth[document.id]["kind"] == "curly_bracket"}
    rejected, _ = apply(registry, documents, "c4_quality")
    assert planted
    assert all(rejected.get(name) == "curly_bracket" for name in planted)
    rejected, _ = apply(registry, documents, "c4_quality", filter_curly_bracket=False)
    assert not planted & set(rejected)
    assert "curly_bracket" not in rejected.values()


def test_personal_data(crawl):
    documents, truth, registry = crawl
    _, texts = apply(registry, documents, "pii")
    planted = {document.id for document in documents if truth[document.id]["kind"] == "pii"}
    before = {document.id: document.text for document in documents}
    assert planted == {name for name in texts if texts[name] != before[name]}
    for name in planted:
        secrets = truth[name]["pii"]
        assert all(secret in before[name] for secret in secrets)
        assert not any(secret in texts[name] for secret in secrets)
