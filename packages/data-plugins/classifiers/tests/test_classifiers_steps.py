"""What all classifiers share, shown with the linear one: split, measures, groups, scales, reuse, refusals."""

import json
import random
from importlib.resources import files

import numpy as np
import pytest
from core.data.steps import StepContext
from core.errors import ConfigError, InputError, UserError
from core.typed import build
from datatrove.data import Document
from smallwright_classifiers.config import (
    ClassifierConfig,
    EncoderClassifierConfig,
    FastTextClassifierConfig,
)
from smallwright_classifiers.linear import Features, LinearKind, Model
from smallwright_classifiers.model import write_index
from smallwright_classifiers.scoring import SCORING_BATCH, ScoreDocuments, _batches
from smallwright_classifiers.steps import Classifier, EncoderClassifier, FastTextClassifier

LESSON = """Adding fractions. Step 1: find a common denominator of {a}/{b} and 1/{c}. Step 2: multiply {a} × {c}.
Add. Therefore the sum has the denominator {b} × {c}. Practice: find x when x + {a} = {c}, and explain why. """
SHOP = "Running shoes number {a}, now on sale for ${b}.99. Free shipping! Add to cart. Customers like {c} socks too. "
NEWS = "The mayor said that {a} people came to the festival, {b} more than in the last {c} years, by the weather. "
CONTEXT = StepContext(label="step", position=0, seed=0)
KINDS = {"lesson": (LESSON, 5), "shop": (SHOP, 0), "news": (NEWS, 1)}


def page(kind, number, generator, **metadata):
    values = {name: generator.randrange(2, 90) for name in "abc"}
    return Document(text=KINDS[kind][0].format(**values) * 3, id=f"{kind}-{number}", metadata=metadata)


@pytest.fixture
def documents():
    """120 pages, of which 90 have a label."""
    generator = random.Random(3)
    pages = [page(kind, number, generator) for number in range(40) for kind in KINDS]
    for document in pages[:90]:
        document.metadata |= {"label": KINDS[document.id.split("-")[0]][1], "label_scorer": "a person"}
    generator.shuffle(pages)
    return pages


def report_of(work):
    return json.loads((work / "classifier.report.json").read_text())


def test_documents_without_a_label_are_scored_like_those_with_one(documents, tmp_path, write_corpus, run_corpus_step):
    corpus = write_corpus(tmp_path / "a", documents)
    scored, tables = run_corpus_step(Classifier(ClassifierConfig()), corpus, tmp_path / "work")
    assert [d.id for d in scored] == [d.id for d in documents]
    unseen = [d for d in scored if "label" not in d.metadata]
    assert len(unseen) == 30
    for document in unseen:
        assert (document.metadata["int_score"] >= 3) == document.id.startswith("lesson"), document.id
        assert document.metadata["int_score"] == round(min(max(document.metadata["score"], 0), 5))
    assert sum(tables["int_score"].values()) == 120
    report = report_of(tmp_path / "work")
    assert report["binary_f1"] == 1.0
    assert report["labelled_by"] == {"a person": 90}
    assert report["training_labels"] == {"0": 27, "1": 27, "5": 27}  # 90/10 of each value
    assert report["validation_labels"] == {"0": 3, "1": 3, "5": 3}
    assert np.sum(report["confusion"]) == 9
    assert sum(row["documents"] for row in report["calibration"]) == 9


def test_shards_and_their_order_change_nothing(documents, tmp_path, write_corpus, run_corpus_step):
    runs = {}
    for name, docs, shards in (("one", documents, 1), ("three", documents[::-1], 3)):
        corpus = write_corpus(tmp_path / name / "corpus", docs, shards)
        scored, _ = run_corpus_step(Classifier(ClassifierConfig()), corpus, tmp_path / name / "work")
        weights = (tmp_path / name / "work/classifier/common/weights.npz").read_bytes()
        runs[name] = weights, {d.id: d.metadata["score"] for d in scored}, report_of(tmp_path / name / "work")
    assert runs["one"] == runs["three"]


def grouped_documents():
    """In language a the word "up" is worth 5 and in language b 0; c has few labels, d one value, e none."""
    generator = random.Random(7)
    found = []
    for language, count in (("a", 80), ("b", 80), ("c", 12), ("d", 60), ("e", 6)):
        for number in range(count):
            up = number % 2 == 0
            text = " ".join(["up" if up else "down", *generator.choices(["code", "text", "line"], k=12)])
            worth = 1 if language == "d" else 5 * (up if language != "b" else not up)
            metadata = {"language": language} | ({"label": worth} if language != "e" else {})
            found.append(Document(text=text, id=f"{language}-{number}", metadata=metadata))
    generator.shuffle(found)
    return [*found, Document(text="up code", id="none-0", metadata={})]


@pytest.mark.slow
def test_each_group_has_its_classifier_where_it_has_labels(tmp_path, write_corpus, run_corpus_step):
    corpus = write_corpus(tmp_path / "corpus", grouped_documents(), shards=2)
    step = Classifier(ClassifierConfig(by="language", regularization=0.01))
    scored, tables = run_corpus_step(step, corpus, tmp_path / "work", tmp_path / "kept")
    for document in scored:
        if document.metadata.get("language") in ("a", "b"):
            good = (document.text.startswith("up")) == (document.metadata["language"] == "a")
            assert (document.metadata["int_score"] >= 3) == good, document
    report = report_of(tmp_path / "work")
    groups = report["groups"]
    assert (report["by"], list(groups)) == ("language", ["a", "b", "c", "d"])
    assert (groups["a"]["classifier"], groups["b"]["classifier"]) == ("own", "own")
    assert groups["c"]["classifier"] == "of all labels (12 labels)"
    assert groups["d"]["classifier"] == "of all labels (one label value)"
    assert (groups["a"]["binary_f1"], groups["b"]["binary_f1"]) == (1.0, 1.0)
    assert [row["threshold"] for row in groups["a"]["by_threshold"]] == [1, 2, 3, 4, 5]
    assert sum(groups["a"]["training_labels"].values()) + sum(groups["a"]["validation_labels"].values()) == 80
    assert tables["classifier"]["common"] == 12 + 60 + 6 + 1

    common, _ = run_corpus_step(Classifier(ClassifierConfig()), corpus, tmp_path / "w2")
    labelled = [d.metadata for d in common if "label" in d.metadata]
    right = sum((known["int_score"] >= 3) == (known["label"] >= 3) for known in labelled)
    assert right < 0.75 * len(labelled)

    again = ClassifierConfig(by="language", pretrained=str(tmp_path / "kept/classifier"))
    rescored, _ = run_corpus_step(Classifier(again), corpus, tmp_path / "w3")
    assert [d.metadata["score"] for d in rescored] == [d.metadata["score"] for d in scored]
    assert report_of(tmp_path / "w3")["groups"]["c"]["classifier"] == "of all labels"


def test_two_passes_have_a_score_each(documents, tmp_path, write_corpus, run_corpus_step):
    for document in documents:
        if "label" in document.metadata:
            document.metadata |= {"label_scale": 3, "label": min(3, document.metadata["label"])}
            document.metadata["again"] = 4 if document.metadata["label"] == 3 else 2
    first = ClassifierConfig(key="first", binary_threshold=2)
    scored, _ = run_corpus_step(Classifier(first), write_corpus(tmp_path / "a", documents), tmp_path / "w1")
    assert report_of(tmp_path / "w1")["scale"] == 3
    assert {d.metadata["int_first"] for d in scored} == {0, 1, 3}
    second = ClassifierConfig(labels="again")
    both, _ = run_corpus_step(Classifier(second), write_corpus(tmp_path / "b", scored), tmp_path / "w2")
    report = report_of(tmp_path / "w2")
    assert (report["scale"], report["labels"], report["labelled_by"]) == (5, "again", {"unknown": 90})
    assert {"first", "int_first", "score", "int_score"} <= both[0].metadata.keys()


def test_good_or_not_is_learned_where_asked(documents, tmp_path, write_corpus, run_corpus_step):
    config = ClassifierConfig(target="good", binary_threshold=5, key="quality")
    scored, _ = run_corpus_step(Classifier(config), write_corpus(tmp_path / "a", documents), tmp_path / "work")
    for document in scored:
        assert document.metadata["int_quality"] == int(document.id.startswith("lesson"))
    report = report_of(tmp_path / "work")
    assert (report["scale"], report["target"], report["training_labels"]) == (1, "good", {"0": 54, "1": 27})


def test_labels_that_are_no_numbers_are_counted_and_left_out(documents, tmp_path, write_corpus, run_corpus_step):
    odd = ["x", 2.5, [1], "NaN", 10**400, ""]
    for document, label in zip([d for d in documents if "label" in d.metadata], odd, strict=False):
        document.metadata["label"] = label
    documents[-1].metadata["note"] = '"label": 5'
    corpus = write_corpus(tmp_path / "a", documents)
    scored, _ = run_corpus_step(Classifier(ClassifierConfig()), corpus, tmp_path / "work")
    report = report_of(tmp_path / "work")
    assert (len(scored), report["unusable_labels"]) == (120, len(odd))
    assert sum(report["training_labels"].values()) + sum(report["validation_labels"].values()) == 90 - len(odd)


def test_a_killed_training_goes_on_with_what_is_missing(tmp_path, write_corpus, run_corpus_step):
    corpus = write_corpus(tmp_path / "corpus", grouped_documents())
    step = Classifier(ClassifierConfig(by="language"))
    before, _ = run_corpus_step(step, corpus, tmp_path / "work")
    trained = tmp_path / "work/classifier"
    report = report_of(tmp_path / "work")
    (trained / "group-001").rename(trained / "group-001.partial")
    (trained / "classifier.json").unlink()
    (tmp_path / "work/classifier.report.json").unlink()
    kept = (trained / "common/weights.npz").stat().st_mtime_ns
    (trained / "group-001.partial/weights.npz").write_bytes(b"cut")
    after, _ = run_corpus_step(step, corpus, tmp_path / "work")
    assert (trained / "common/weights.npz").stat().st_mtime_ns == kept
    assert [d.metadata for d in after] == [d.metadata for d in before]
    assert report_of(tmp_path / "work") == report


def test_a_kept_classifier_scores_another_corpus(documents, tmp_path, write_corpus, run_corpus_step):
    corpus = write_corpus(tmp_path / "a", documents)
    scored, _ = run_corpus_step(Classifier(ClassifierConfig()), corpus, tmp_path / "work", tmp_path / "kept")
    plain = [Document(text=d.text, id=d.id, metadata={}) for d in documents]
    again = ClassifierConfig(pretrained=str(tmp_path / "kept/classifier"))
    rescored, _ = run_corpus_step(Classifier(again), write_corpus(tmp_path / "b", plain), tmp_path / "w2")
    assert [d.metadata["score"] for d in rescored] == [d.metadata["score"] for d in scored]
    assert report_of(tmp_path / "w2")["note"] == "not measured: the documents have no labels"
    run_corpus_step(Classifier(again), corpus, tmp_path / "w3")
    measured = report_of(tmp_path / "w3")
    assert sum(measured["validation_labels"].values()) == 90
    assert (measured["binary_f1"], measured["training_labels"]) == (1.0, {})


@pytest.mark.parametrize(
    ("cls", "config", "message"),
    [
        (Classifier, ClassifierConfig(pretrained="nowhere"), "pretrained=nowhere: no classifier.json there"),
        (FastTextClassifier, FastTextClassifierConfig(pretrained="nowhere.bin"), "nowhere.bin: no such file"),
    ],
)
def test_what_is_not_there_is_refused_before_any_work(cls, config, message):
    with pytest.raises(InputError, match=message):
        cls(config).bind(StepContext(label="step", position=0, seed=0))


def test_a_classifier_of_another_kind_is_refused(documents, tmp_path, write_corpus, run_corpus_step):
    corpus = write_corpus(tmp_path / "a", documents)
    run_corpus_step(Classifier(ClassifierConfig()), corpus, tmp_path / "work", tmp_path / "kept")
    step = FastTextClassifier(FastTextClassifierConfig(pretrained=str(tmp_path / "kept/classifier")))
    with pytest.raises(ConfigError, match="of kind linear, not fasttext"):
        step.bind(StepContext(label="step", position=0, seed=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "good"}, "target=good: .* was trained with target=score"),
        ({"by": "language"}, "by=language: .* was trained with by=source"),
        ({"scale": 3}, "scale=3: .* was trained with scale=5"),
    ],
)
def test_a_classifier_that_learned_another_thing_is_refused(tmp_path, settings, message):
    write_index(tmp_path, LinearKind(ClassifierConfig(by="source"), seed=0), 5, {})
    Classifier(ClassifierConfig(pretrained=str(tmp_path))).bind(CONTEXT)
    with pytest.raises(ConfigError, match=message):
        Classifier(ClassifierConfig(pretrained=str(tmp_path), **settings)).bind(CONTEXT)


def test_a_damaged_index_is_named(tmp_path):
    (tmp_path / "classifier.json").write_text('{"kind": "lin')
    with pytest.raises(InputError, match=r"its classifier\.json is damaged"):
        Classifier(ClassifierConfig(pretrained=str(tmp_path))).bind(CONTEXT)


def test_labels_that_cannot_be_learned_are_refused(documents, tmp_path, write_corpus, run_corpus_step, monkeypatch):
    def run(name, config, change):
        docs = [Document(text=d.text, id=d.id, metadata=dict(d.metadata)) for d in documents]
        for number, document in enumerate(docs):
            change(number, document.metadata)
        return run_corpus_step(Classifier(config), write_corpus(tmp_path / name, docs), tmp_path / f"work-{name}")

    with pytest.raises(UserError, match=r"0 documents with 'label', too few.*data\.scorer\.sample"):
        run("none", ClassifierConfig(), lambda _, metadata: metadata.clear())
    with pytest.raises(UserError, match="all 120 labels are 2"):
        run("same", ClassifierConfig(), lambda _, metadata: metadata.update(label=2))
    with pytest.raises(UserError, match=r"label=5 lies outside 0 to 3; set data\.steps\.step\.scale"):
        run("high", ClassifierConfig(scale=3), lambda *_: None)
    with pytest.raises(UserError, match=r"different scales \(3, 5\)"):
        run("mixed", ClassifierConfig(), lambda n, metadata: metadata.update(label=1, label_scale=3 if n % 2 else 5))
    monkeypatch.setattr("smallwright_classifiers.training.MOST_GROUPS", 2)
    with pytest.raises(UserError, match=r"data\.steps\.step\.by=page: more than 2 different values"):
        run("many", ClassifierConfig(by="page"), lambda n, metadata: metadata.update(label=n % 2, page=n))
    with pytest.raises(UserError, match="binary_threshold=3: the labels go to 2 only"):
        run("low", ClassifierConfig(), lambda n, metadata: metadata.update(label=n % 3, label_scale=2))


def test_a_score_that_is_no_number_fails_its_document(tmp_path):
    features = Features(word_ngrams=1, features=1024, max_chars=100)
    weights = np.zeros(1024, dtype=np.float32)
    weights[features.row("bad")[0]] = np.nan
    (tmp_path / "common").mkdir()
    Model(features, weights, 2.0).save(tmp_path / "common")
    kind = LinearKind(ClassifierConfig(), seed=0)
    write_index(tmp_path, kind, 5, {})
    step = ScoreDocuments(kind, str(tmp_path))
    documents = [Document(text=text, id=str(n), metadata={}) for n, text in enumerate(["good", "bad", ""])]
    kept = list(step.run(documents))
    assert [d.metadata["int_score"] for d in kept] == [2, 2]
    assert dict(step._ledger.failed) == {"score is not a number": 1}


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (ClassifierConfig, {"validation_fraction": 1.0}, "validation_fraction"),
        (ClassifierConfig, {"binary_threshold": 9, "scale": 5}, "binary_threshold=9"),
        (ClassifierConfig, {"key": ""}, "key"),
        (FastTextClassifierConfig, {"buckets": 1}, "buckets=1"),
        (EncoderClassifierConfig, {}, "encoder: not set"),
        (EncoderClassifierConfig, {"encoder": "a", "learning_rate": 2.0}, "learning_rate"),
    ],
)
def test_wrong_settings_are_refused(cls, settings, message):
    with pytest.raises(ConfigError, match=message):
        build(cls, settings, "x")


@pytest.mark.parametrize(
    ("option", "cls", "extra"),
    [
        ("linear", ClassifierConfig, {}),
        ("fasttext", FastTextClassifierConfig, {}),
        ("encoder", EncoderClassifierConfig, {"encoder": "a/b"}),
    ],
)
def test_classifier_options_list_every_setting_with_its_default(option, cls, extra):
    from omegaconf import OmegaConf

    text = files("smallwright_classifiers.conf").joinpath(f"data/classifier/{option}.yaml").read_text()
    loaded = OmegaConf.to_container(OmegaConf.create(text))
    assert loaded.pop("use") == ("classifier" if option == "linear" else f"classifier_{option}")
    assert set(loaded) == set(cls.__dataclass_fields__)
    assert build(cls, {**loaded, **extra}, "x") == cls(**extra)


@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (Classifier, ClassifierConfig()),
        (FastTextClassifier, FastTextClassifierConfig(dim=8, buckets=1000)),
        (EncoderClassifier, EncoderClassifierConfig(encoder="a/b", by="language")),
    ],
)
def test_every_pass_travels_to_a_worker_process(cls, config, tmp_path):
    dill = pytest.importorskip("dill", reason="dill is not installed")
    step = cls(config)
    step.context = StepContext(label="step", position=0, seed=0)
    for pipeline in [*(phase.pipeline for phase in step.phases(tmp_path, tmp_path)), [step.pass_step(tmp_path)]]:
        payload = dill.dumps(pipeline)
        assert len(payload) < 100_000
        assert [type(part) for part in dill.loads(payload)] == [type(part) for part in pipeline]


def test_documents_are_scored_some_at_a_time():
    """As many are held as the limits say, whatever their number and length."""
    taken = 0

    def endless(text):
        nonlocal taken
        while True:
            taken += 1
            yield Document(text=text, id=str(taken))

    assert len(next(_batches(endless("short")))) == taken == SCORING_BATCH
    taken = 0
    assert len(next(_batches(endless("long " * 1_000_000)))) == taken == 4
    assert [len(batch) for batch in _batches([Document(text="", id="")] * (SCORING_BATCH + 1))] == [SCORING_BATCH, 1]
