"""Bloom dedup against DCLM's rule in plain sets, the filter's own error rate, shards. About 10 seconds."""

import json
import random
import re

import numpy as np
import pytest
from core.data.steps import StepContext
from core.errors import ConfigError, InputError
from smallwright_dedup.bloom import BloomDedup, BloomFilter, filter_bits
from smallwright_dedup.config import BloomDedupConfig


def plain(texts, remove, ngram=13, min_ngram=13, threshold=0.8):
    """DCLM's rule with a set for the filter, word by word; None for a text that goes as a whole."""
    seen, out = set(), []
    for text in texts:
        kept, total, total_seen = [], 0, 0
        for part in [text] if remove == "document" else text.split("\n"):
            words = re.findall(r"\w+|[^\w\s]", part)
            grams = [tuple(words[i : i + ngram]) for i in range(len(words) - ngram + 1)]
            if not grams and len(words) >= min_ngram:
                grams = [tuple(words)]
            found = sum(gram in seen for gram in grams)
            total, total_seen = total + len(grams), total_seen + found
            if grams and found / len(grams) > threshold:
                continue
            seen.update(grams)
            kept.append(part)
        gone = remove == "both" and total and total_seen / total > threshold
        result = "\n".join(kept)
        out.append(None if gone or (not result.strip() and text.strip()) else result)
    return out


def pages(count):
    chance = random.Random(5)
    words = ["".join(chance.choices("abcdefgh", k=5)) for _ in range(2000)]
    lines = [" ".join(chance.choices(words, k=chance.randint(3, 40))) + "." for _ in range(count)]
    texts = []
    for _ in range(count):
        own = [" ".join(chance.choices(words, k=chance.randint(1, 40))) for _ in range(chance.randint(1, 5))]
        shared = [chance.choice(lines) for _ in range(chance.randint(0, 4))]
        body = own + shared + (shared[:1] if chance.random() < 0.2 else [])  # some repeat a line of their own
        chance.shuffle(body)
        texts.append("\n".join(body))
    return [*texts, *(chance.choice(texts) for _ in range(count // 4)), ""]


@pytest.mark.slow
@pytest.mark.parametrize("remove", ["paragraph", "document", "both"])
def test_equals_the_rule_in_plain_sets(tmp_path, write, run, remove):
    texts = pages(120)
    write(tmp_path / "in", texts, files=3)
    for min_ngram in (13, 4):
        config = BloomDedupConfig(remove=remove, min_ngram=min_ngram, expected_ngrams=200_000, false_positive_rate=1e-9)
        kept, rejected = run(BloomDedup(config), tmp_path / "in", tmp_path / f"run-{min_ngram}")
        expected = plain(texts, remove, min_ngram=min_ngram)
        assert kept == {f"d{i}": text for i, text in enumerate(expected) if text is not None}
        assert rejected
        report = json.loads((tmp_path / f"run-{min_ngram}/work/dedup.report.json").read_text())
        assert report["documents"] == len(texts)
        assert not report["overfull"]
        ledgers = [json.loads(path.read_text()) for path in (tmp_path / f"run-{min_ngram}").glob("00-dedup-*.json")]
        tables = [ledger["tables"].get("bloom", {}) for ledger in ledgers]
        cut = sum(text is not None and text != texts[i] for i, text in enumerate(expected))
        assert sum(table.get("documents cut", 0) for table in tables) == cut
        lost = sum(len(texts[i]) - len(text or "") for i, text in enumerate(expected))
        assert sum(table.get("characters removed", 0) for table in tables) == lost


@pytest.mark.slow
def test_shards_and_workers(tmp_path, write, run):
    texts = pages(60)
    write(tmp_path / "in", texts, files=4)
    config = BloomDedupConfig(shards=2, expected_ngrams=100_000)
    outcomes = [run(BloomDedup(config), tmp_path / "in", tmp_path / f"w{workers}", workers) for workers in (1, 2)]
    assert outcomes[0] == outcomes[1]
    names = [f"d{i}" for i in range(len(texts))]
    share = -(-len(texts) // 4)
    for shard in (0, 1):
        mine = [i for i in range(len(texts)) if i // share % 2 == shard]
        expected = plain([texts[i] for i in mine], "both")
        assert [outcomes[0][0].get(names[i]) for i in mine] == expected


def test_the_filter_errs_as_often_as_it_says():
    chance = np.random.default_rng(0)
    hashes = chance.integers(0, 1 << 64, 60_000, dtype=np.uint64)
    bloom = BloomFilter(20_000, 0.01)
    assert bloom.bits // 8 == filter_bits(20_000, 0.01) // 8 == pytest.approx(1.2 * 20_000, rel=0.01)
    bloom.add(hashes[:20_000])
    assert bloom.contains(hashes[:20_000]).all()
    assert 0.006 < bloom.contains(hashes[20_000:]).mean() < 0.014
    assert bloom.share_set() ** bloom.hashers == pytest.approx(0.01, rel=0.3)


def test_overfull_is_reported_and_too_large_refused(tmp_path, write, run):
    write(tmp_path / "in", pages(40), files=1)
    run(BloomDedup(BloomDedupConfig(expected_ngrams=100)), tmp_path / "in", tmp_path / "run")
    report = json.loads((tmp_path / "run/work/dedup.report.json").read_text())
    assert report["overfull"]
    assert report["filters"][0]["false_positive_rate"] > 0.5
    with pytest.raises(InputError, match="expected_ngrams=1000000000000000: the filter needs"):
        BloomDedup(BloomDedupConfig(expected_ngrams=10**15)).bind(StepContext(label="bloom", position=0, seed=0))
    with pytest.raises(ConfigError, match="min_ngram=14"):
        BloomDedupConfig(min_ngram=14)
