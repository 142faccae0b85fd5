"""fastText classifiers: trained as fastText trains, and files from elsewhere such as DCLM's."""

import json
import random

import pytest
from core.data.steps import StepContext
from core.errors import ConfigError, InputError
from datatrove.data import Document
from smallwright_classifiers.config import FastTextClassifierConfig
from smallwright_classifiers.fast_text import as_fasttext, to_line
from smallwright_classifiers.steps import FastTextClassifier

floret = pytest.importorskip("floret", reason="floret is not installed: extra fasttext")
fasttext = pytest.importorskip("fasttext", reason="no fasttext is installed: extra fasttext")

SMALL = {"dim": 16, "buckets": 5000, "epochs": 25, "learning_rate": 0.5}
WORDS = ["shop cart", "news mayor", "sum idea", "step equation", "solve lesson", "proof therefore"]


@pytest.fixture
def documents():
    generator = random.Random(1)
    found = []
    for number in range(180):
        label = number % 6
        words = [generator.choice([*WORDS[label].split(), "the", "a", "of"]) for _ in range(40)]
        metadata = {"label": label} if number < 150 else {}
        found.append(Document(text="\n".join(words), id=str(number), metadata=metadata))
    generator.shuffle(found)
    return found


def test_bigrams_give_the_expected_score(documents, tmp_path, write_corpus, run_corpus_step):
    corpus = write_corpus(tmp_path / "corpus", documents, shards=2)
    step = FastTextClassifier(FastTextClassifierConfig(**SMALL))
    scored, _ = run_corpus_step(step, corpus, tmp_path / "work", tmp_path / "kept")
    assert all(d.metadata["int_score"] == int(d.id) % 6 for d in scored)
    report = json.loads((tmp_path / "work/classifier.report.json").read_text())
    assert report["macro_f1"] == 1.0
    assert report["words"] == 12 + 3 + 1  # and the end of a line

    # the file is fastText's: any fasttext reads it, and the score is the mean of the labels' values
    model = fasttext.load_model(str(tmp_path / "kept/classifier/common/model.bin"))
    for document in scored[:20]:
        labels, shares = model.predict(" ".join(document.text.split()), k=-1)
        expected = sum(
            int(label.removeprefix("__label__")) * share for label, share in zip(labels, shares, strict=True)
        )
        assert document.metadata["score"] == pytest.approx(expected / sum(shares), abs=1e-5)


def test_training_twice_gives_the_same_bytes(documents, tmp_path, write_corpus, run_corpus_step):
    files = []
    for name, docs, shards in (("a", documents, 1), ("b", documents[::-1], 3)):
        corpus = write_corpus(tmp_path / name / "corpus", docs, shards)
        run_corpus_step(FastTextClassifier(FastTextClassifierConfig(**SMALL)), corpus, tmp_path / name / "work")
        files.append((tmp_path / name / "work/classifier/common/model.bin").read_bytes())
    assert files[0] == files[1]


def test_a_page_cannot_say_its_own_label(documents, tmp_path, write_corpus, run_corpus_step):
    for document in documents:
        if document.metadata.get("label") == 0:
            document.text += "\n__label__5\n" * 30
    corpus = write_corpus(tmp_path / "corpus", documents)
    scored, _ = run_corpus_step(FastTextClassifier(FastTextClassifierConfig(**SMALL)), corpus, tmp_path / "work")
    assert {d.metadata["int_score"] for d in scored if d.metadata.get("label") == 0} == {0}
    assert to_line("a\x00b\n __LABEL__x __label__1\t", lowercase=True) == "a\x00b  labelx label1"
    assert to_line(" a\xa0b\r\nc\u2028d\x0b__label__", lowercase=False) == "a\xa0b c d label"
    assert to_line("\ud800", lowercase=False) == "?"


@pytest.fixture
def published(documents, tmp_path):
    """A file with DCLM's labels: ``__label__hq`` and ``__label__cc``."""
    lines = tmp_path / "train.txt"
    with open(lines, "w") as file:
        for document in documents:
            file.write(f"__label__{'hq' if int(document.id) % 6 >= 3 else 'cc'} {' '.join(document.text.split())}\n")
    model = floret.train_supervised(input=str(lines), wordNgrams=2, dim=8, bucket=1000, epoch=5, thread=1, verbose=0)
    model.save_model(str(tmp_path / "floret.bin"))
    as_fasttext(tmp_path / "floret.bin", tmp_path / "published.bin")
    return tmp_path / "published.bin"


def test_a_published_file_scores_by_the_probability_of_its_good_label(
    published, documents, tmp_path, write_corpus, run_corpus_step
):
    config = FastTextClassifierConfig(pretrained=str(published), max_chars=None, target="good")
    scored, _ = run_corpus_step(
        FastTextClassifier(config), write_corpus(tmp_path / "corpus", documents), tmp_path / "work"
    )
    model = fasttext.load_model(str(published))
    for document in scored:
        (label,), (share,) = model.predict(" ".join(document.text.split()))  # as DCLM's scoring does
        expected = share if label == "__label__hq" else 1 - share
        assert document.metadata["score"] == pytest.approx(expected, abs=1e-4)
    above = {d.id for d in scored if d.metadata["score"] >= 0.018112}
    assert above >= {d.id for d in documents if int(d.id) % 6 >= 3}
    report = json.loads((tmp_path / "work/classifier.report.json").read_text())
    assert report["scale"] == 1
    assert report["validation_labels"] == {"0": 75, "1": 75}
    assert report["binary_f1"] > 0.9


def test_labels_that_the_file_does_not_have_are_named(published, documents, tmp_path, write_corpus, run_corpus_step):
    config = FastTextClassifierConfig(pretrained=str(published), good_labels=("__label__good",))
    with pytest.raises(ConfigError, match="__label__cc, __label__hq"):
        run_corpus_step(FastTextClassifier(config), write_corpus(tmp_path / "c", documents), tmp_path / "work")


@pytest.mark.parametrize("cut", [0, 3, 4, 40, 70, 1000, -5])
def test_a_damaged_file_is_one_line(published, documents, tmp_path, write_corpus, run_corpus_step, cut):
    damaged = tmp_path / "damaged.bin"
    damaged.write_bytes(published.read_bytes()[:cut])
    config = FastTextClassifierConfig(pretrained=str(damaged))
    with pytest.raises(InputError, match="no fastText model"):
        run_corpus_step(FastTextClassifier(config), write_corpus(tmp_path / "c", documents), tmp_path / "work")


def test_missing_engines_are_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    step = FastTextClassifier(FastTextClassifierConfig())
    with pytest.raises(ConfigError, match=r"fasttext-predict and floret not installed.*classifiers\[fasttext\]"):
        step.bind(StepContext(label="step", position=0, seed=0))
