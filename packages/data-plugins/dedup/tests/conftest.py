"""Writing a corpus, and running a whole-corpus step over it as the runner does."""

import random

import pytest
from core.data.documents import ParquetSink, ReadDocuments, WriteDocuments, read_documents
from core.data.executor import LocalExecutor
from core.data.recipe import LocalExecutorConfig
from core.data.steps import StepContext
from datatrove.data import Document


@pytest.fixture
def write():
    """Write texts as documents d0, d1, ... in files of equal size."""

    def write_corpus(folder, texts, files=2, metadata=None):
        for rank in range(files):
            sink = ParquetSink(folder / f"{rank:05d}.parquet")
            share = -(-len(texts) // files)
            for i in range(rank * share, min(len(texts), (rank + 1) * share)):
                extra = metadata[i] if metadata else {}
                sink.write(Document(text=texts[i], id=f"d{i}", metadata={"url": f"http://a.org/{i}", **extra}))
            sink.close()

    return write_corpus


@pytest.fixture
def run():
    """Run a step; return the kept documents as {id: text} and {id rejected: duplicate_of}."""

    def run_step(step, corpus, work, workers=1):
        shards = len(list(corpus.glob("*.parquet")))
        context = StepContext(
            label="dedup", position=0, seed=0, rejected=work / "rejected", ledgers=work, reports=work / "reports"
        )
        step.bind(context)
        work.mkdir(parents=True, exist_ok=True)
        with LocalExecutor(LocalExecutorConfig(workers=workers)) as executor:
            for phase in step.phases(corpus, work / "work"):
                executor.run(phase.pipeline, phase.tasks or shards, work / "logs" / phase.name, lambda done: None)
            applied = step.pass_step(work / "work")
            applied.bind(context)
            pipeline = [ReadDocuments(corpus), applied, WriteDocuments(work / "out")]
            executor.run(pipeline, shards, work / "logs" / "pass", lambda done: None)
        kept = [d for path in sorted((work / "out").glob("*.parquet")) for d in read_documents(path)]
        rejected = [d for path in sorted((work / "rejected").glob("*.parquet")) for d in read_documents(path)]
        assert len(kept) + len(rejected) == sum(1 for p in corpus.glob("*.parquet") for _ in read_documents(p))
        return {d.id: d.text for d in kept}, {d.id: d.metadata.get("duplicate_of") for d in rejected}

    return run_step


@pytest.fixture(scope="session")
def planted():
    """Make n texts of which a fifth are copies: half of them exact, half with 0.5 to 3 % of the words replaced, and a
    twentieth decoys with a third replaced. Return texts and, for each, the place of what it is a copy of, or None."""

    def make(n, seed=0):
        chance = random.Random(seed)
        words = ["".join(chance.choices("abcdefghij", k=6)) for _ in range(5000)]
        texts, source = [], []
        for _ in range(int(n * 0.75)):
            texts.append(" ".join(chance.choices(words, k=chance.randint(120, 300))))
            source.append(None)
        originals = len(texts)

        def changed(text, share):
            return " ".join(chance.choice(words) if chance.random() < share else word for word in text.split())

        while len(texts) < n:
            i = chance.randrange(originals)
            kind = chance.random()
            if kind < 0.2:
                texts.append(changed(texts[i], 0.33))
                source.append(None)
            else:
                texts.append(texts[i] if kind < 0.6 else changed(texts[i], chance.choice((0.005, 0.01, 0.02, 0.03))))
                source.append(i)
        order = list(range(n))
        chance.shuffle(order)
        place = {old: new for new, old in enumerate(order)}
        return [texts[i] for i in order], [None if source[i] is None else place[source[i]] for i in order]

    return make
