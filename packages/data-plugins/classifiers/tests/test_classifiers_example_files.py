"""Good and bad texts from files instead of labels, as DCLM's filter has them."""

import gzip
import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.errors import ConfigError, InputError, UserError
from core.typed import build
from datatrove.data import Document
from smallwright_classifiers import example_files
from smallwright_classifiers.config import ClassifierConfig, FastTextClassifierConfig
from smallwright_classifiers.example_files import read_texts
from smallwright_classifiers.steps import Classifier, FastTextClassifier


def words(vocabulary, count, seed):
    generator = random.Random(seed)
    return [" ".join(generator.choices([*vocabulary.split(), "the", "of"], k=30)) for _ in range(count)]


@pytest.fixture
def good(tmp_path):
    """80 good texts in a JSONL and a Parquet file, and records without a text."""
    texts = words("because explain step answer", 80, 1)
    lines = [json.dumps({"text": text}) for text in texts[:40]]
    with gzip.open(tmp_path / "good.jsonl.gz", "wt") as file:
        file.write("\n".join([*lines, "", "no JSON", '{"text": 5}', '{"other": "x"}', '{"text": " "}', "[1]"]) + "\n")
    pq.write_table(pa.table({"text": [*texts[40:], None], "more": range(41)}), tmp_path / "good.parquet")
    return (str(tmp_path / "good.jsonl.gz"), str(tmp_path / "good.parquet"))


@pytest.fixture
def corpus_documents():
    """300 pages of the crawl, of which 20 are good; their labels say the opposite."""
    pages = [
        *(
            Document(text=text, id=f"shop-{n}", metadata={"label": 5})
            for n, text in enumerate(words("buy cart", 280, 2))
        ),
        *(
            Document(text=text, id=f"good-{n}", metadata={"label": 0})
            for n, text in enumerate(words("because explain step answer", 20, 3))
        ),
    ]
    random.Random(4).shuffle(pages)
    return pages


def run(config, folder, documents, write_corpus, run_corpus_step, shards=2, cls=Classifier):
    scored, _ = run_corpus_step(cls(config), write_corpus(folder / "corpus", documents, shards), folder / "work")
    return scored, json.loads((folder / "work/classifier.report.json").read_text())


@pytest.mark.parametrize("kind", ["linear", "fasttext"])
def test_as_many_random_pages_are_the_bad_texts(good, corpus_documents, tmp_path, write_corpus, run_corpus_step, kind):
    if kind == "fasttext":
        pytest.importorskip("floret", reason="floret is not installed: extra fasttext")
        pytest.importorskip("fasttext", reason="no fasttext is installed: extra fasttext")
        cls, config_class, more = FastTextClassifier, FastTextClassifierConfig, {"dim": 16, "buckets": 5000}
    else:
        cls, config_class, more = Classifier, ClassifierConfig, {}
    config = config_class(target="good", good_files=good, **more)
    scored, report = run(config, tmp_path, corpus_documents, write_corpus, run_corpus_step, cls=cls)
    assert len(scored) == 300
    assert report["labelled_by"] == {"corpus, by hash": 80, "good_files": 80}
    assert (report["unusable_labels"], report["labels"], report["scale"]) == (6, None, 1)
    # a tenth of either is held out, and the classifier says what the labels of the corpus do not
    assert report["validation_labels"] == {"0": 8, "1": 8}
    scores = {side: [d.metadata["score"] for d in scored if d.id.startswith(side)] for side in ("good", "shop")}
    assert min(scores["good"]) > max(scores["shop"])
    assert all(0 <= d.metadata["int_score"] <= 1 for d in scored)


def test_bad_texts_can_be_given(good, corpus_documents, tmp_path, write_corpus, run_corpus_step, monkeypatch):
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join(json.dumps({"text": text}) + "\n" for text in words("buy cart", 50, 5)))
    config = ClassifierConfig(target="good", good_files=good, bad_files=(str(bad),), key="quality")
    scored, report = run(config, tmp_path / "a", corpus_documents, write_corpus, run_corpus_step)
    assert report["labelled_by"] == {"bad_files": 50, "good_files": 80}
    assert all(d.metadata["int_quality"] == d.id.startswith("good") for d in scored)
    # neither the parts that files are read in nor the shards of the corpus show
    monkeypatch.setattr(example_files, "ROWS_PER_PART", 7)
    again, _ = run(config, tmp_path / "b", corpus_documents[::-1], write_corpus, run_corpus_step, shards=3)
    assert len(list((tmp_path / "b/work/labelled").glob("good_files-*.parquet"))) == 13
    assert {d.id: d.metadata for d in again} == {d.id: d.metadata for d in scored}


def test_the_random_pages_depend_on_ids_alone(good, corpus_documents, tmp_path, write_corpus, run_corpus_step):
    weights = []
    for name, documents, shards in (("a", corpus_documents, 1), ("b", corpus_documents[::-1], 3)):
        config = ClassifierConfig(target="good", good_files=good)
        run(config, tmp_path / name, documents, write_corpus, run_corpus_step, shards)
        weights.append(np.load(tmp_path / name / "work/classifier/common/weights.npz")["weights"])
    assert (weights[0] == weights[1]).all()


def test_a_line_without_end_fills_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(example_files, "LONGEST_LINE", 50)
    lines = ['{"text": "first"}', '{"text": "' + "x" * 175 + '"}', '{"text": "\\ud800"}', '{"text": "last"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert list(read_texts(str(tmp_path / "a.jsonl"), "good_files")) == ["first", None, "?", "last"]


def test_files_that_cannot_be_learned_from_are_named(good, tmp_path, write_corpus, run_corpus_step):
    pages = [Document(text="buy", id=str(n), metadata={}) for n in range(5)]

    def attempt(name, content):
        (tmp_path / name).write_bytes(content)
        config = ClassifierConfig(target="good", good_files=(str(tmp_path / name),))
        return run(config, tmp_path / f"run-{name}", pages, write_corpus, run_corpus_step)

    with pytest.raises(InputError, match=r"data\.steps\.step\.good_files: .*empty\.jsonl has no record with a text"):
        attempt("empty.jsonl", b'{"content": "a"}\n')
    whole = gzip.compress(b'{"text": "a"}\n' * 1000)
    with pytest.raises(InputError, match=r"good_files: .*cut\.jsonl\.gz is not readable"):
        attempt("cut.jsonl.gz", whole[:-20])
    with pytest.raises(InputError, match=r"good_files: .*no\.parquet is not readable"):
        attempt("no.parquet", b"PAR1")
    pq.write_table(pa.table({"content": ["a"]}), tmp_path / "field.parquet")
    with pytest.raises(InputError, match=r"field\.parquet is not readable .*field text"):
        attempt("field.parquet", (tmp_path / "field.parquet").read_bytes())
    with pytest.raises(UserError, match=r"1 good and 1 bad texts, too few"):
        attempt("one.jsonl", b'{"text": "a"}\n')


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"good_files": ["a.jsonl"]}, "set target=good"),
        ({"bad_files": ["a.jsonl"], "target": "good"}, "bad_files: needs good_files"),
        ({"good_files": [], "target": "good"}, r"good_files=\[\]: must not be empty"),
        ({"good_files": ["a.jsonl"], "target": "good", "by": "language"}, "by=language"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(ClassifierConfig, settings, "x")
