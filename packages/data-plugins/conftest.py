"""How tests of whole-corpus steps make a corpus and run a step over it: phase by phase and shard by shard."""

from collections import Counter

import pytest
from core.data.documents import ParquetSink, ReadDocuments
from core.data.steps import StepContext


def _write_corpus(folder, documents, shards=1):
    for shard in range(shards):
        sink = ParquetSink(folder / f"{shard:05d}.parquet")
        for document in documents[shard::shards]:
            sink.write(document)
        sink.close()
    return folder


def _run_corpus_step(step, corpus, work, reports=None):
    """Run a corpus step's phases, then its pass over the corpus; return the documents and the pass's tables."""
    shards = len(list(corpus.glob("*.parquet")))
    step.bind(StepContext(label="step", position=0, seed=3, reports=reports))
    for phase in step.phases(corpus, work):
        tasks = phase.tasks or shards
        for rank in range(tasks):
            for part in phase.pipeline:
                list(part.run(None, rank=rank, world_size=tasks))
    last = step.pass_step(work)
    found, tables = [], {}
    for rank in range(shards):
        found += last.run(ReadDocuments(corpus).run(rank=rank, world_size=shards), rank, shards)
        for table, counts in last._ledger.tables.items():
            tables.setdefault(table, Counter()).update(counts)
    return found, tables


@pytest.fixture(scope="session")
def write_corpus():
    return _write_corpus


@pytest.fixture(scope="session")
def run_corpus_step():
    return _run_corpus_step
