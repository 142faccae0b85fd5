"""MinHash: recall and precision against exact Jaccard, a numpy reference, DataTrove and published pairs; scopes; the
same outcome whatever the number of tasks, workers, runs and blocks. About 25 seconds."""

import collections
import gc
import gzip
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from core.data.steps import StepContext
from core.data.words import split_words
from core.errors import ConfigError
from hypothesis import given, settings
from hypothesis import strategies as st
from smallwright_dedup import pairs
from smallwright_dedup.config import MinHashConfig
from smallwright_dedup.hashing import PIECE, hash_ngrams, hash_words
from smallwright_dedup.minhash import MinHash

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[5] / "shared"))


def word_ngrams(words, n):
    return [" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))] if words else []


def jaccard(a, b):
    a, b = (set(word_ngrams(split_words(text, fold_numbers=True), 5)) for text in (a, b))
    return len(a & b) / len(a | b)


def reference(texts, bands=14, rows=8, ngram=5, seed=1):
    """MinHash LSH in plain numpy: which texts share a band with an earlier text of their cluster."""
    chance = np.random.default_rng(seed)
    a = chance.integers(1, 1 << 63, bands * rows, dtype=np.uint64) | np.uint64(1)
    b = chance.integers(0, 1 << 63, bands * rows, dtype=np.uint64)
    parent = list(range(len(texts)))

    def find(x):
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    buckets = {}
    for i, text in enumerate(texts):
        grams = set(word_ngrams(split_words(text, fold_numbers=True), ngram))
        digests = [hashlib.blake2b(gram.encode(), digest_size=8).digest() for gram in grams]
        values = np.frombuffer(b"".join(digests), dtype=np.uint64)
        signature = ((values[:, None] * a + b) >> np.uint64(32)).min(axis=0)
        for band, key in enumerate(signature.reshape(bands, rows)):
            first = buckets.setdefault((band, key.tobytes()), i)
            x, y = find(first), find(i)
            parent[max(x, y)] = min(x, y)
    return {i for i in range(len(texts)) if find(i) != i}


def datatrove(texts, folder):
    """The places of the texts that DataTrove's own MinHash removes, 14 bands of 8, words as str.split gives them."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Split(WordTokenizer):
        def word_tokenize(self, text):
            return text.split()

        def sent_tokenize(self, text):
            return [text]

        def span_tokenize(self, text):
            return [(0, len(text))]

    (folder / "in").mkdir(parents=True)
    lines = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)]
    (folder / "in/texts.jsonl").write_text("\n".join(lines) + "\n")
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64))
    read = JsonlReader(str(folder / "in"))
    signatures, buckets, removed = (str(folder / name) for name in ("signatures", "buckets", "removed"))
    written = JsonlWriter(str(folder / "out"), compression=None)
    for name, pipeline, tasks in (
        ("1", [read, MinhashDedupSignature(signatures, config=config, language=Split())], 1),
        ("2", [MinhashDedupBuckets(input_folder=signatures, output_folder=buckets, config=config)], 14),
        ("3", [MinhashDedupCluster(input_folder=buckets, output_folder=removed, config=config)], 1),
        ("4", [read, MinhashDedupFilter(input_folder=removed), written], 1),
    ):
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(folder / "logs" / name)).run()
    lines = [line for path in (folder / "out").iterdir() for line in path.read_text().splitlines()]
    return set(range(len(texts))) - {int(json.loads(line)["id"]) for line in lines}


def measure(removed, source):
    """Recall and precision of removals: of each original and its copies, all but one must go, and nothing else."""
    groups = collections.defaultdict(list)
    for i, original in enumerate(source):
        groups[i if original is None else original].append(i)
    expected = sum(len(group) - 1 for group in groups.values())
    good = sum(min(len(group) - 1, sum(i in removed for i in group)) for group in groups.values())
    return good / expected, good / max(1, len(removed))


def numbers(rejected):
    return {int(name[1:]) for name in rejected}


@pytest.mark.slow
def test_as_good_as_datatrove_and_the_reference(tmp_path, write, run, planted):
    texts, source = planted(1200)
    write(tmp_path / "in", texts, files=3)
    _, rejected = run(MinHash(MinHashConfig()), tmp_path / "in", tmp_path / "run")
    ours = measure(numbers(rejected), source)
    theirs = measure(datatrove(texts, tmp_path / "datatrove"), source)
    plain = measure(reference(texts), source)
    assert theirs[0] > 0.9
    for ours_value, theirs_value, plain_value in zip(ours, theirs, plain, strict=True):
        assert ours_value >= 0.99 * theirs_value
        assert ours_value >= 0.99 * plain_value


@pytest.mark.slow
def test_finds_near_copies_and_only_those_and_reports_them(tmp_path, write, run, planted):
    texts, source = planted(400)
    texts += ["", "  "]
    write(tmp_path / "in", texts)
    kept, rejected = run(MinHash(MinHashConfig()), tmp_path / "in", tmp_path / "run")
    near = {i for i, j in enumerate(source) if j is not None and jaccard(texts[i], texts[j]) >= 0.9}
    assert len(near) >= 40
    together = {int(a[1:]): int(b[1:]) for a, b in rejected.items()}
    found = [i for i in near if together.get(i, i) == together.get(source[i], source[i])]
    assert len(found) >= 0.98 * len(near)
    assert all(jaccard(texts[i], texts[j]) > 0.5 for i, j in together.items())
    assert {"d400", "d401"} <= set(kept)
    report = json.loads((tmp_path / "run/work/clusters.report.json").read_text())
    assert (report["documents"], report["removed"]) == (len(texts), len(rejected))
    assert report["clusters"] == len(set(rejected.values()))
    assert sum((int(size) - 1) * count for size, count in report["sizes"].items()) == len(rejected)
    largest = report["largest"][0]
    members = [name for name, original in rejected.items() if original == largest["kept"]["id"]]
    assert largest["size"] == len(members) + 1 == max(collections.Counter(rejected.values()).values()) + 1
    assert {sample["id"] for sample in largest["samples"]} <= set(members)
    assert largest["kept"]["url"] == f"http://a.org/{largest['kept']['id'][1:]}"
    rows = pq.read_table(tmp_path / "run/reports/clusters").to_pylist()
    assert {row["removed"]: row["kept"] for row in rows} == rejected
    assert all(row["kept_url"] == f"http://a.org/{row['kept'][1:]}" for row in rows)


@pytest.mark.slow
def test_outcome_does_not_depend_on_workers_runs_blocks_and_tasks(tmp_path, write, run, planted, monkeypatch):
    texts, _ = planted(300)
    write(tmp_path / "in", texts, files=3)
    for keep in ("first", "longest", "random"):
        outcomes = [run(MinHash(MinHashConfig(keep=keep)), tmp_path / "in", tmp_path / f"{keep}-1")]
        with monkeypatch.context() as patch:
            patch.setattr(pairs, "_READ", 10)
            patch.setattr(pairs, "RUN", 20)
            patch.setattr(pairs, "BLOCK", 100)
            patch.setattr(pairs, "KEYS_PER_TASK", 500)
            outcomes.append(run(MinHash(MinHashConfig(keep=keep)), tmp_path / "in", tmp_path / f"{keep}-2"))
        assert len(list((tmp_path / f"{keep}-2/work/keys").iterdir())) == 15
        if keep == "random":
            outcomes.append(run(MinHash(MinHashConfig(keep=keep)), tmp_path / "in", tmp_path / f"{keep}-3", workers=2))
        assert all(outcome == outcomes[0] for outcome in outcomes)
        assert outcomes[0][1]


@pytest.mark.slow
def test_memory_is_flat_as_the_corpus_grows_tenfold(tmp_path, write, monkeypatch, peak_memory):
    for name, value in (("_READ", 100), ("RUN", 500), ("BLOCK", 20_000), ("KEYS_PER_TASK", 40_000)):
        monkeypatch.setattr(pairs, name, value)

    def of(count):
        texts = [f"document {i} has a few words of its own {i * i} {i * 7}" for i in range(count)]
        write(tmp_path / str(count), texts, files=2)
        step = MinHash(MinHashConfig(fold_numbers=False))
        step.bind(StepContext(label="m", position=0, seed=0))

        def find():
            gc.collect()
            for phase in step.phases(tmp_path / str(count), tmp_path / f"work-{count}")[:2]:
                for rank in range(phase.tasks or 2):
                    assert not list(phase.pipeline[0].run(None, rank, phase.tasks or 2))

        return find

    of(10)()  # what is cached at the first call
    peaks = {count: peak_memory(of(count)) for count in (1400, 14_000)}
    assert len(list((tmp_path / "work-14000/pairs").glob("part-*"))) == 10
    assert peaks[14_000] < 1.2 * peaks[1400]


@pytest.mark.slow
def test_which_document_is_kept(tmp_path, write, run):
    text = " ".join(f"word{i} tree{i}" for i in range(200)).replace("1", "x").replace("2", "y")
    texts = [text, "other words here", text + " more", "other words here", "alone", text]
    write(tmp_path / "in", texts)
    assert run(MinHash(MinHashConfig()), tmp_path / "in", tmp_path / "a")[1] == {"d2": "d0", "d3": "d1", "d5": "d0"}
    longest = run(MinHash(MinHashConfig(keep="longest")), tmp_path / "in", tmp_path / "b")[1]
    assert longest == {"d0": "d2", "d5": "d2", "d3": "d1"}
    kept = {
        frozenset(run(MinHash(MinHashConfig(keep="random", seed=seed)), tmp_path / "in", tmp_path / f"c{seed}")[0])
        for seed in range(6)
    }
    assert all(len(names) == 3 and "d4" in names for names in kept)
    assert len(kept) > 1


@pytest.mark.slow
def test_scope_keeps_snapshots_apart(tmp_path, write, run):
    files = [
        "s3://c/CC-MAIN-2024-10/x.warc.gz",
        "s3://c/CC-MAIN-2024-18/y.warc.gz",
        "s3://c/CC-MAIN-2024-10/z.warc.gz",
        None,
        None,
    ]
    write(tmp_path / "in", ["the same few words"] * 5, metadata=[{"file": file} for file in files])
    everywhere = run(MinHash(MinHashConfig()), tmp_path / "in", tmp_path / "all")[1]
    assert everywhere == dict.fromkeys(("d1", "d2", "d3", "d4"), "d0")
    assert run(MinHash(MinHashConfig(scope="file")), tmp_path / "in", tmp_path / "file")[1] == {"d4": "d3"}
    by_snapshot = MinHash(MinHashConfig(scope="file", scope_pattern=r"CC-MAIN-\d{4}-\d{2}"))
    assert run(by_snapshot, tmp_path / "in", tmp_path / "snapshot")[1] == {"d2": "d0", "d4": "d3"}
    report = json.loads((tmp_path / "snapshot/work/clusters.report.json").read_text())
    assert report["scopes"] == {"CC-MAIN-2024-10": 2, "": 2, "CC-MAIN-2024-18": 1}
    with pytest.raises(ConfigError, match="scope_pattern"):
        MinHashConfig(scope="file", scope_pattern="(")
    with pytest.raises(ConfigError, match="needs scope"):
        MinHashConfig(scope_pattern="x")


def test_more_hashes_than_memory_has_are_refused():
    assert MinHashConfig(bands=450, rows=20)  # RefinedWeb's
    with pytest.raises(ConfigError, match="bands=10000, rows=10000: 100000 hashes of a document at most"):
        MinHashConfig(bands=10_000, rows=10_000)


MARKED = "कीँ่สื\u0301\u064e\u200c\u200d\u00ad\ufe0f\u20e3𑀩𑁆"
CHARACTERS = st.characters(codec=None) | st.sampled_from("ab1.,é中 한\n_") | st.sampled_from(MARKED)
TEXTS = st.lists(st.text(alphabet=CHARACTERS, max_size=40), max_size=6)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(texts=TEXTS, fold=st.booleans())
def test_hashed_words_are_the_words(texts, fold):
    texts = [*texts, "a.b 1,234.5 1..2 x1y22z 中文字 한국어 Ünï_cödé ٣٤ ½ don't", "हिन्दी 12े 中्a ि"]
    hashes, starts = hash_words(texts, fold_numbers=fold)
    ngrams, ngram_starts = hash_ngrams(hashes, starts, 3)
    names, gram_names = {}, {}
    for i, text in enumerate(texts):
        words = split_words(text, fold_numbers=fold)
        mine = hashes[starts[i] : starts[i + 1]].tolist()
        assert len(mine) == len(words)
        assert all(names.setdefault(word, value) == value for word, value in zip(words, mine, strict=True))
        grams = word_ngrams(words, 3)
        mine = ngrams[ngram_starts[i] : ngram_starts[i + 1]].tolist()
        assert len(mine) == len(grams)
        assert all(gram_names.setdefault(gram, value) == value for gram, value in zip(grams, mine, strict=True))
    assert len(set(names.values())) == len(names)
    assert len(set(gram_names.values())) == len(gram_names)


def test_long_pages_are_hashed_in_pieces_alike():
    sentence = "many 12,5 words in one long line that never ends "
    text = sentence * (3 * PIECE // len(sentence))
    hashes, starts = hash_words(["short one", text, "short one"], fold_numbers=True)
    assert starts.tolist() == [0, 2, 2 + len(split_words(text, fold_numbers=True)), len(hashes)]
    assert set(hashes[2:-2].tolist()) == set(hash_words([sentence], fold_numbers=True)[0].tolist())
    assert len(hash_words(["x" * (3 * PIECE)])[0]) == 3


@pytest.mark.skipif(not (SHARED / "data/near_duplicates").is_dir(), reason="needs the shared near-duplicate articles")
@pytest.mark.parametrize(("articles", "at_least"), [(100, 5), (1000, 10)])
def test_published_articles(tmp_path, write, run, articles, at_least):
    folder = SHARED / "data/near_duplicates"
    with gzip.open(folder / f"articles_{articles}.train.gz", "rt") as file:
        names, texts = zip(*(line.split(" ", 1) for line in file), strict=True)
    pairs = [set(line.split()) for line in (folder / f"articles_{articles}.truth").read_text().splitlines()]
    write(tmp_path / "in", texts)
    _, rejected = run(MinHash(MinHashConfig()), tmp_path / "in", tmp_path / "run")
    found = [{names[int(a[1:])], names[int(b[1:])]} for a, b in rejected.items()]
    assert all(pair in pairs for pair in found)
    assert len(found) >= at_least
