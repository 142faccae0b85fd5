"""The recipe on the demonstration crawl: lessons stay, and what is not worth keeping goes."""

import json
from collections import Counter, defaultdict

import pyarrow.parquet as pq
import pytest
from core import typed
from core.compose import compose
from core.discovery import load
from core.interfaces import Job

pytest.importorskip("smallwright_demo_crawl", reason="it makes the demonstration crawl")
PLUGINS = ("warc", "extract", "quality", "labels", "classifiers", "dedup", "eval")
for plugin in (f"smallwright_{name}" for name in PLUGINS):
    pytest.importorskip(plugin, reason=f"the recipe names parts of {plugin}")

WORTHLESS = {"shop", "news", "travel", "spam", "junk", "foreign", "chat", "mention", "contaminated"}


def run_stage(registry, kind, name, settings, where, job):
    entry = registry.get(kind, name)
    return entry.load()(typed.build(entry.load_config(), settings, where)).run(job)


@pytest.mark.slow
def test_lessons_stay_and_the_rest_goes(tmp_path):
    registry = load()
    overrides = ["+data=finemath", "data.source.scale=0.3", "executor.workers=2"]
    data = {key: value for key, value in compose(overrides, registry)["data"].items() if key != "name"}
    crawl, corpus = tmp_path / "crawl", tmp_path / "corpus"
    settings = {key: value for key, value in data["source"].items() if key != "name"}
    job = Job(name="crawl", output=crawl, inputs={}, seed=0)
    run_stage(registry, "sources", data["source"]["name"], settings, "data.source", job)
    job = Job(name="data", output=corpus, inputs={"crawl": crawl}, seed=0)
    summary = run_stage(registry, "corpora", "recipe", data, "data", job)

    kinds = defaultdict(set)
    for line in (crawl / "truth.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["kind"] != "request":
            kinds[record["url"]].add(record["kind"])
    kept = Counter()
    for path in (corpus / "documents").glob("*.parquet"):
        for url in pq.read_table(path, columns=["url"])["url"].to_pylist():
            kept.update(kinds[url])
    lessons = sum("lesson" in found for found in kinds.values())
    assert kept["lesson"] >= 0.95 * lessons
    assert sum(kept[kind] for kind in WORTHLESS) <= 0.02 * kept["lesson"]
    assert summary["step_reports"]["classifier"]["binary_f1"] >= 0.9
    assert summary["step_reports"]["label"]["scorer"] == "rules"
