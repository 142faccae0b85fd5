"""Counts of what passes, token counts, long documents. Seconds: 2."""

import pyarrow.parquet as pq
import pytest
from core.data.steps import StepContext
from core.errors import InputError
from datatrove.data import Document
from smallwright_quality.config import LongDocumentsConfig, StatisticsConfig
from smallwright_quality.corpus_statistics import LongDocuments, Statistics, length_bin
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

ROWS = [
    ("one two three\nfour", {"language": "en", "url": "http://www.a.org/1"}),
    ("zwei Wörter", {"language": "de", "url": "http://a.org/2"}),
    ("", {"url": "http://b.org/"}),
    ("\ud800 lone", {}),
]


@pytest.fixture
def tokenizer(tmp_path):
    made = Tokenizer(WordLevel({"<unk>": 0, "one": 1}, unk_token="<unk>"))
    made.pre_tokenizer = Whitespace()
    made.enable_truncation(2)  # as files of trained models have it; counts must not be cut
    made.save(str(tmp_path / "tokenizer.json"))
    return str(tmp_path)


def run(step, rows=ROWS):
    step.bind(StepContext(label="x", position=0, seed=0))
    kept = list(step.run(iter([Document(text=t, id=str(i), metadata=dict(m)) for i, (t, m) in enumerate(rows)])))
    return kept, {name: dict(table) for name, table in step._ledger.tables.items()}


def test_statistics_count_everything_and_change_nothing(tokenizer):
    kept, tables = run(Statistics(StatisticsConfig(tokenizer=tokenizer)))
    assert [(document.text, document.metadata) for document in kept] == ROWS
    assert tables["totals"] == {
        "documents": 4,
        "characters": 18 + 11 + 6,
        "UTF-8 bytes": 18 + 12 + 6,
        "words": 4 + 2 + 2,
        "lines": 2 + 1 + 1,
        "tokens": 4 + 2 + 0 + 2,
    }
    assert tables["tokens per document"] == {"2^02 4-7": 1, "2^01 2-3": 2, "2^-- 0": 1}
    assert tables["language"] == {"en": 1, "de": 1, "(none)": 2}
    assert tables["domains"] == {"a.org": 2, "b.org": 1, "(none)": 1}


def test_without_a_tokenizer_the_tables_say_that_tokens_are_estimated():
    _, tables = run(Statistics(StatisticsConfig(bytes_per_token=4.0, domains=False, by=())))
    assert set(tables) == {"totals", "tokens per document (estimated)"}
    assert tables["totals"]["tokens (estimated)"] == round(18 / 4) + 3 + round(6 / 4)


def test_bins_sort_by_size():
    bins = [length_bin(tokens) for tokens in (0, 1, 2, 3, 4, 1023, 1024, 10**7)]
    assert bins == sorted(bins)
    assert length_bin(1023) == "2^09 512-1023"


def test_long_documents_are_marked_and_counted_by_source(tokenizer):
    rows = [("w " * n, {"url": "http://www.a.org/", "source": "books"}) for n in (9, 10, 11)]
    kept, tables = run(LongDocuments(LongDocumentsConfig(tokenizer=tokenizer, min_tokens=10, by="source")), rows)
    assert [(d.metadata["tokens"], d.metadata["long"]) for d in kept] == [(9, False), (10, True), (11, True)]
    assert tables == {"long documents": {"books": 2}, "tokens in long documents": {"books": 21}}
    step = LongDocuments(LongDocumentsConfig(tokenizer=tokenizer, min_tokens=10, keep="long"))
    kept, tables = run(step, rows)
    assert [document.id for document in kept] == ["1", "2"]
    assert step._ledger.rejected == {"short": 1}
    assert tables["long documents"] == {"a.org": 2}


@pytest.mark.parametrize("rows_per_group", [1, 10_000])
def test_the_index_of_long_documents_lists_each_once(tmp_path, monkeypatch, rows_per_group):
    monkeypatch.setattr(LongDocuments, "ROWS_PER_GROUP", rows_per_group)
    step = LongDocuments(LongDocumentsConfig(min_tokens=10, bytes_per_token=1.0))
    step.bind(StepContext(label="x", position=0, seed=0, reports=tmp_path / "reports"))
    texts = ["short", "x" * 10, "x" * 11, "", "x" * 12]
    documents = [Document(text=t, id=f"{i}\ud800", metadata={"url": f"http://a.org/{i}"}) for i, t in enumerate(texts)]
    assert len(list(step.run(iter(documents), 3, 4))) == 5
    index = pq.read_table(tmp_path / "reports" / "00003.parquet").to_pylist()
    found = [(row["id"], row["source"], row["tokens"]) for row in index]
    assert found == [("1?", "a.org", 10), ("2?", "a.org", 11), ("4?", "a.org", 12)]
    assert list((tmp_path / "reports").iterdir()) == [tmp_path / "reports" / "00003.parquet"]


def test_a_missing_or_broken_tokenizer_is_found_before_any_work(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        run(Statistics(StatisticsConfig(tokenizer=str(tmp_path / "none"))))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="not a tokenizer"):
        run(LongDocuments(LongDocumentsConfig(tokenizer=str(tmp_path / "tokenizer.json"))))
