"""Dedup steps: recall and precision against exact Jaccard, decontamination, the same outcome for any workers."""

import gzip
import json
import os
import pickle
import random
from pathlib import Path

import pytest
from core.data.documents import ParquetSink, ReadDocuments, WriteDocuments, read_documents
from core.data.steps import StepContext
from core.errors import InputError
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from smallwright_dedup.config import DecontaminateConfig, ExactDedupConfig, MinHashConfig
from smallwright_dedup.decontaminate import Decontaminate, longest_common_subsequence
from smallwright_dedup.exact import ExactDedup
from smallwright_dedup.minhash import MinHash
from smallwright_dedup.words import split_words

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[5] / "shared"))


def write(folder, texts, files=2):
    for rank in range(files):
        sink = ParquetSink(folder / f"{rank:05d}.parquet")
        share = -(-len(texts) // files)
        for i in range(rank * share, min(len(texts), (rank + 1) * share)):
            sink.write(Document(text=texts[i], id=f"d{i}", metadata={"url": f"http://a.org/{i}"}))
        sink.close()


def run(step, corpus, work, workers=1, tasks=2):
    """Return ids kept and {id rejected: duplicate_of}."""
    label = str(work / "logs")
    step.bind(StepContext(label="dedup", position=0, seed=0))
    for phase in step.phases(corpus, work):
        phase_tasks = phase.tasks or tasks
        LocalPipelineExecutor(
            pipeline=phase.pipeline,
            tasks=phase_tasks,
            workers=min(workers, phase_tasks),
            logging_dir=f"{label}-{phase.name}",
        ).run()
    applied = step.pass_step(work)
    applied.bind(StepContext(label="dedup", position=0, seed=0, rejected=work / "rejected"))
    pipeline = [ReadDocuments(corpus), applied, WriteDocuments(work / "out")]
    LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=workers, logging_dir=f"{label}-pass").run()
    kept = [d.id for path in sorted((work / "out").glob("*.parquet")) for d in read_documents(path)]
    rejected = {
        d.id: d.metadata["duplicate_of"]
        for path in sorted((work / "rejected").glob("*.parquet"))
        for d in read_documents(path)
    }
    return kept, rejected


def word_ngrams(words, n):
    return [" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))]


def jaccard(a, b):
    a, b = (set(word_ngrams(split_words(text, fold_numbers=True), 5)) for text in (a, b))
    return len(a & b) / len(a | b)


def planted():
    """150 random texts, 25 copies with about 1 % of words changed, 25 with a third changed."""
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghij", k=6)) for _ in range(3000)]
    texts = [" ".join(chance.choices(words, k=200)) for _ in range(150)]
    for share in (0.01, 0.33):
        for i in range(25):
            texts.append(" ".join(chance.choice(words) if chance.random() < share else w for w in texts[i].split()))
    return texts


def test_minhash_finds_near_copies_and_only_those(tmp_path):
    texts = [*planted(), "", "  "]
    write(tmp_path / "in", texts)
    kept, rejected = run(MinHash(MinHashConfig()), tmp_path / "in", tmp_path / "work")
    near = {f"d{150 + i}" for i in range(25) if jaccard(texts[i], texts[150 + i]) >= 0.85}
    assert len(near) >= 20
    assert len(near & set(rejected)) >= 0.95 * len(near)
    for removed, original in rejected.items():
        assert jaccard(texts[int(removed[1:])], texts[int(original[1:])]) > 0.5
    assert {"d200", "d201"} <= set(kept)
    assert len(kept) + len(rejected) == len(texts)
    report = json.loads((tmp_path / "work/clusters.report.json").read_text())
    assert report["documents"] == len(texts)
    assert report["removed"] == len(rejected)


@pytest.mark.parametrize("keep", ["first", "longest"])
def test_minhash_does_not_depend_on_tasks_or_workers(tmp_path, keep):
    text = " ".join(f"word{i} tree{i}" for i in range(200)).replace("1", "x").replace("2", "y")
    write(tmp_path / "in", [text, "other words here", text + " more", "other words here", "alone"])
    outcomes = [
        run(MinHash(MinHashConfig(keep=keep)), tmp_path / "in", tmp_path / f"w{tasks}{workers}", workers, tasks)
        for tasks, workers in ((2, 1), (2, 2), (1, 1))
    ]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    pair = {"d2": "d0"} if keep == "first" else {"d0": "d2"}
    assert outcomes[0][1] == {**pair, "d3": "d1"}


def test_exact_dedup_keeps_the_first(tmp_path):
    write(tmp_path / "in", ["The cat!", "a dog", "", "the  CAT", "a dog", ""], files=3)
    outcomes = [
        run(ExactDedup(ExactDedupConfig()), tmp_path / "in", tmp_path / f"w{tasks}{workers}", workers, tasks)
        for tasks, workers in ((3, 1), (3, 2), (1, 1))
    ]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0] == (["d0", "d1", "d2", "d5"], {"d3": "d0", "d4": "d1"})
    raw = ExactDedup(ExactDedupConfig(normalize=False))
    assert run(raw, tmp_path / "in", tmp_path / "raw")[1] == {"d4": "d1"}


ITEM = "Natalia sold clips to forty eight of her friends in April and then she sold half as many clips in May"


def contaminate(tmp_path, text, **settings):
    items = tmp_path / "toy.jsonl"
    items.write_text(
        json.dumps({"question": ITEM, "answer": "72"})
        + "\n"
        + json.dumps({"context": "short", "choices": ["a"], "label": 0})
    )
    step = Decontaminate(DecontaminateConfig(against=(str(items),), **settings))
    step.bind(StepContext(label="clean", position=0, seed=0))
    document = Document(text=text, id="a")
    kept = list(pickle.loads(pickle.dumps(step)).run(iter([document])))
    return bool(kept), document.metadata


def test_decontaminate_finds_an_edited_item_in_a_long_page(tmp_path):
    filler = "Some other sentence about the weather of the day. " * 100
    words = ITEM.split()
    edited = " ".join([*words[:14], "quickly", *words[15:]])
    kept, metadata = contaminate(tmp_path, f"{filler} {edited.upper()}? {filler}")
    assert not kept
    assert metadata["contaminated_by"] == "toy:0"
    assert metadata["contamination_ratio"] > 0.9
    assert metadata["contamination_match"] in ITEM.lower()


def test_decontaminate_needs_both_the_ngram_and_the_ratio(tmp_path):
    words = ITEM.split()
    scattered = " ".join(word + (" etc" if i % 6 == 5 else "") for i, word in enumerate(words))
    assert contaminate(tmp_path, scattered)[0]
    long_tail = " ".join([*words[:12], "x", "y"] * 3)
    assert contaminate(tmp_path, long_tail)[0]
    assert contaminate(tmp_path, " ".join(words[:13]) + " and rain fell on all the fields " * 3, ratio=0.9)[0]
    assert not contaminate(tmp_path, " ".join(words[:13]) + " and rain fell on all the fields " * 3, ratio=0.6)[0]


def test_decontaminate_refuses_wrong_files(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"prompt": "x"}\n')
    step = Decontaminate(DecontaminateConfig(against=(str(tmp_path / "bad.jsonl"),)))
    with pytest.raises(InputError, match="line 1"):
        step.bind(StepContext(label="clean", position=0, seed=0))
    with pytest.raises(InputError, match="no file"):
        Decontaminate(DecontaminateConfig(against=("none/such.jsonl",))).bind(
            StepContext(label="c", position=0, seed=0)
        )


def test_lcs_equals_the_plain_recurrence():
    chance = random.Random(1)
    for _ in range(100):
        a = chance.choices(range(5), k=chance.randint(0, 90))
        b = chance.choices(range(5), k=chance.randint(0, 90))
        row = [0] * (len(b) + 1)
        for x in a:
            above = row[:]
            for j, y in enumerate(b):
                row[j + 1] = above[j] + 1 if x == y else max(above[j + 1], row[j])
        assert longest_common_subsequence(a, b) == row[-1]


@pytest.mark.skipif(not (SHARED / "data/near_duplicates").is_dir(), reason="needs the shared near-duplicate articles")
def test_minhash_on_published_articles(tmp_path):
    folder = SHARED / "data/near_duplicates"
    with gzip.open(folder / "articles_1000.train.gz", "rt") as file:
        lines = [line.split(" ", 1) for line in file]
    names = [name for name, _ in lines]
    texts = [text for _, text in lines]
    pairs = [set(line.split()) for line in (folder / "articles_1000.truth").read_text().splitlines()]
    write(tmp_path / "in", texts)
    _, rejected = run(MinHash(MinHashConfig()), tmp_path / "in", tmp_path / "work")
    found = [{names[int(a[1:])], names[int(b[1:])]} for a, b in rejected.items()]
    assert all(pair in pairs for pair in found)
    assert len(found) >= 9
