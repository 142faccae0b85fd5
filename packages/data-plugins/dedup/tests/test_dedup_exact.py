"""Exact dedup by text and URL. 1 second."""

import json

import pytest
from core.errors import ConfigError
from smallwright_dedup import pairs
from smallwright_dedup.config import ExactDedupConfig, MinHashConfig
from smallwright_dedup.exact import ExactDedup
from smallwright_dedup.minhash import MinHash

TEXTS = ["The cat!", "a dog", "", "the  CAT", "a dog", "", "a DOG"]


@pytest.mark.slow
def test_keeps_the_first(tmp_path, write, run, monkeypatch):
    write(tmp_path / "in", TEXTS, files=3)
    kept, rejected = run(ExactDedup(ExactDedupConfig()), tmp_path / "in", tmp_path / "a")
    assert (list(kept), rejected) == (["d0", "d1", "d2", "d5"], {"d3": "d0", "d4": "d1", "d6": "d1"})
    for name, value in (("_READ", 1), ("RUN", 1), ("BLOCK", 2), ("KEYS_PER_TASK", 3)):
        monkeypatch.setattr(pairs, name, value)
    assert run(ExactDedup(ExactDedupConfig()), tmp_path / "in", tmp_path / "b") == (kept, rejected)
    verbatim = ExactDedup(ExactDedupConfig(normalize=False))
    assert run(verbatim, tmp_path / "in", tmp_path / "c")[1] == {"d4": "d1"}


@pytest.mark.slow
def test_by_url_and_within_a_scope(tmp_path, write, run):
    urls = [
        {"url": url, "dump": dump} for url, dump in (("u", 1), ("u", 2), ("v", 1), ("", 1), ("u", 1), ("", 1), ("v", 2))
    ]
    write(tmp_path / "in", TEXTS, files=2, metadata=urls)
    by_url = ExactDedup(ExactDedupConfig(by_text=False, by_url=True))
    assert run(by_url, tmp_path / "in", tmp_path / "a")[1] == {"d1": "d0", "d4": "d0", "d6": "d2"}
    both = ExactDedup(ExactDedupConfig(by_url=True))
    assert run(both, tmp_path / "in", tmp_path / "b")[1] == {"d1": "d0", "d3": "d0", "d4": "d0", "d6": "d0", "d2": "d0"}
    scoped = ExactDedup(ExactDedupConfig(by_text=False, by_url=True, scope="dump"))
    assert run(scoped, tmp_path / "in", tmp_path / "c")[1] == {"d4": "d0"}
    assert json.loads((tmp_path / "c/work/clusters.report.json").read_text())["scopes"] == {"1": 5, "2": 2}
    with pytest.raises(ConfigError, match="nothing is left to compare"):
        ExactDedupConfig(by_text=False)


OTHER_WORDS = ["यह कील है", "यह कुल है", "เสือ", "เสื่อ", "เสื้อ", "كَتَبَ الوَلَدُ", "كُتُبُ الوَلَدِ", "كتب الولد"]


@pytest.mark.parametrize("step", [ExactDedup(ExactDedupConfig()), MinHash(MinHashConfig())], ids=["exact", "minhash"])
def test_texts_of_other_vowel_signs_are_no_duplicates(tmp_path, write, run, step):
    texts = [*OTHER_WORDS, "यह कुल, है!"]
    write(tmp_path / "in", texts, files=1)
    assert run(step, tmp_path / "in", tmp_path / "run")[1] == {"d8": "d1"}
