"""Encoder classifiers on small real encoders with random weights: frozen, whole, published, refused."""

import json
import random

import numpy as np
import pytest
from core.data.steps import StepContext
from core.errors import ConfigError, InputError, UserError
from datatrove.data import Document

torch = pytest.importorskip("torch", reason="torch is not installed: extra encoder")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: extra encoder")

from safetensors.torch import load_file  # noqa: E402
from smallwright_classifiers.config import EncoderClassifierConfig  # noqa: E402
from smallwright_classifiers.encoder import EncoderKind  # noqa: E402
from smallwright_classifiers.encoder_torch import _fit  # noqa: E402
from smallwright_classifiers.examples import read_examples  # noqa: E402
from smallwright_classifiers.export import export  # noqa: E402
from smallwright_classifiers.steps import EncoderClassifier  # noqa: E402

WORDS = ["shop cart price", "news mayor weather", "sum idea number", "step equation add", "solve lesson", "proof hence"]
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "initializer_range": 0.3,  # at 0.02 the first token of so small an encoder hardly sees the others
}
QUICK = {"max_tokens": 64, "epochs": 30, "batch": 32, "learning_rate": 3e-3, "device": "cpu", "scoring_batch": 16}


@pytest.fixture(scope="module")
def documents():
    generator = random.Random(1)
    found = []
    for number in range(240):
        label = number % 6
        words = [generator.choice([*WORDS[label].split(), "the", "of"]) for _ in range(generator.randrange(5, 90))]
        metadata = {"label": label, "language": "ab"[number % 2]} if number < 200 else {"language": "c"}
        found.append(Document(text=" ".join(words), id=str(number), metadata=metadata))
    generator.shuffle(found)
    return found


@pytest.fixture(scope="module")
def tokenizer(documents):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    inner.train_from_iterator(
        [d.text for d in documents], trainers.WordPieceTrainer(vocab_size=300, special_tokens=special)
    )
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **names)


@pytest.fixture(scope="module")
def make_encoder(tokenizer, tmp_path_factory):
    def make(model_class, config_class, **settings):
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp(model_class)
        config = getattr(transformers, config_class)(vocab_size=len(tokenizer), pad_token_id=0, **settings)
        getattr(transformers, model_class)(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture(scope="module")
def bert(make_encoder):
    return make_encoder("BertModel", "BertConfig", **SHAPE)


def report_of(work):
    return json.loads((work / "classifier.report.json").read_text())


def logits(model, tokenizer, texts):
    inputs = tokenizer(texts, truncation=True, max_length=64, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return model.eval()(**inputs).logits[:, 0].numpy()


def test_a_frozen_encoder_with_a_trained_head(bert, tokenizer, documents, tmp_path, write_corpus, run_corpus_step):
    step = EncoderClassifier(EncoderClassifierConfig(encoder=bert, **QUICK))
    corpus = write_corpus(tmp_path / "corpus", documents, shards=2)
    scored, _ = run_corpus_step(step, corpus, tmp_path / "work", tmp_path / "kept")
    assert len(scored) == 240
    report = report_of(tmp_path / "work")
    assert report["binary_f1"] > 0.6
    assert sum(report["validation_labels"].values()) == 18  # round(33.3 * 0.1) of each of six
    good = [(d.metadata["score"] >= 2.5) == (int(d.id) % 6 >= 3) for d in scored if "label" not in d.metadata]
    assert sum(good) > 0.7 * len(good)

    # put into the ordinary model, the trained weights give the same scores: the head is one that can be published
    head = load_file(tmp_path / "kept/classifier/common/head.safetensors")
    assert set(head) == {
        *("bert.pooler.dense.weight", "bert.pooler.dense.bias"),
        *("classifier.weight", "classifier.bias"),
    }
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert, num_labels=1)
    assert not model.load_state_dict(head, strict=False).unexpected_keys
    np.testing.assert_allclose(
        logits(model, tokenizer, [d.text for d in scored]), [d.metadata["score"] for d in scored], atol=1e-4
    )


def test_kept_vectors_train_what_the_whole_model_would(bert, documents, tmp_path, write_corpus, run_corpus_step):
    """The same steps through the whole model, its encoder frozen and without dropout, end in the same weights."""
    config = EncoderClassifierConfig(encoder=bert, **(QUICK | {"epochs": 3}), evaluate_every=10_000)
    corpus = write_corpus(tmp_path / "corpus", documents)
    run_corpus_step(EncoderClassifier(config), corpus, tmp_path / "work")
    head = load_file(tmp_path / "work/classifier/common/head.safetensors")

    kind = EncoderKind(config, seed=3)
    encoder = kind.encoder(kind.settings())
    for name, parameter in encoder.model.named_parameters():
        parameter.requires_grad_(name in head)
    examples = read_examples(config, tmp_path / "work", "step")
    training, held_out = np.flatnonzero(~examples.held_out), np.flatnonzero(examples.held_out)

    def forward(rows):
        return encoder.forward_texts(list(examples.texts.select(rows)))

    def score(rows):
        return examples.texts.score(rows, encoder.score)

    best, _ = _fit(encoder, forward, score, examples, training, held_out, config)
    for name, value in head.items():
        torch.testing.assert_close(best[name], value, atol=2e-4, rtol=2e-3)


def test_shards_change_nothing_that_shows(bert, documents, tmp_path, write_corpus, run_corpus_step):
    runs = []
    for name, docs, shards in (("a", documents, 1), ("b", documents, 1), ("c", documents[::-1], 3)):
        corpus = write_corpus(tmp_path / name / "corpus", docs, shards)
        step = EncoderClassifier(EncoderClassifierConfig(encoder=bert, **QUICK))
        scored, _ = run_corpus_step(step, corpus, tmp_path / name / "work")
        head = (tmp_path / name / "work/classifier/common/head.safetensors").read_bytes()
        runs.append((head, {d.id: d.metadata["score"] for d in scored}))
    assert runs[0] == runs[1]
    # other shards, other batches: products of other shapes differ in the last digits
    assert runs[2][1] == pytest.approx(runs[0][1], abs=1e-2)


def test_groups_share_the_encoder(bert, documents, tmp_path, write_corpus, run_corpus_step):
    config = EncoderClassifierConfig(encoder=bert, by="language", **(QUICK | {"epochs": 5}))
    corpus = write_corpus(tmp_path / "corpus", documents)
    scored, tables = run_corpus_step(EncoderClassifier(config), corpus, tmp_path / "work", tmp_path / "kept")
    assert tables["classifier"] == {"a": 100, "b": 100, "common": 40}
    names = ["common", "group-000", "group-001"]
    heads = [(tmp_path / f"kept/classifier/{name}/head.safetensors").read_bytes() for name in names]
    assert len(set(heads)) == 3
    again = EncoderClassifierConfig(pretrained=str(tmp_path / "kept/classifier"), by="language", **QUICK)
    rescored, _ = run_corpus_step(EncoderClassifier(again), corpus, tmp_path / "w2")
    assert [d.metadata["score"] for d in rescored] == [d.metadata["score"] for d in scored]
    assert report_of(tmp_path / "w2")["groups"]["b"]["classifier"] == "own"

    # as an ordinary model, the classifier of a group gives that group's scores
    export(tmp_path / "kept/classifier", tmp_path / "exported", group="b")
    of_b = [d for d in scored if d.metadata["language"] == "b"]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "exported")
    found = logits(model, transformers.AutoTokenizer.from_pretrained(tmp_path / "exported"), [d.text for d in of_b])
    np.testing.assert_allclose(found, [d.metadata["score"] for d in of_b], atol=1e-4)
    with pytest.raises(InputError, match="--group x: not among a, b"):
        export(tmp_path / "kept/classifier", tmp_path / "other", group="x")
    with pytest.raises(InputError, match="exists; name a folder that does not"):
        export(tmp_path / "kept/classifier", tmp_path / "exported")


def test_the_whole_encoder_trains_where_asked(bert, documents, tmp_path, write_corpus, run_corpus_step):
    config = EncoderClassifierConfig(encoder=bert, freeze=False, **(QUICK | {"epochs": 6}))
    corpus = write_corpus(tmp_path / "corpus", documents)
    scored, _ = run_corpus_step(EncoderClassifier(config), corpus, tmp_path / "work", tmp_path / "kept")
    assert report_of(tmp_path / "work")["binary_f1"] > 0.9
    model = transformers.AutoModel.from_pretrained(tmp_path / "kept/classifier/common")
    before = transformers.AutoModel.from_pretrained(bert)
    assert not torch.equal(model.encoder.layer[0].output.dense.weight, before.encoder.layer[0].output.dense.weight)
    export(tmp_path / "kept/classifier", tmp_path / "exported")
    again = EncoderClassifierConfig(pretrained=str(tmp_path / "exported"), **QUICK)
    rescored, _ = run_corpus_step(EncoderClassifier(again), corpus, tmp_path / "w2")
    assert [d.metadata["score"] for d in rescored] == [d.metadata["score"] for d in scored]


def test_texts_of_files_are_encoded_like_labelled_documents(bert, documents, tmp_path, write_corpus, run_corpus_step):
    sides = {side: [d.text for d in documents if (int(d.id) % 6 >= 3) == (side == "good")] for side in ("good", "bad")}
    for side, texts in sides.items():
        (tmp_path / f"{side}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    files = {f"{side}_files": (str(tmp_path / f"{side}.jsonl"),) for side in sides}
    config = EncoderClassifierConfig(encoder=bert, target="good", **files, **QUICK)
    corpus = write_corpus(tmp_path / "corpus", documents[:50], shards=2)
    scored, _ = run_corpus_step(EncoderClassifier(config), corpus, tmp_path / "work")
    assert report_of(tmp_path / "work")["labelled_by"] == {"bad_files": 120, "good_files": 120}
    right = [(d.metadata["score"] >= 0.5) == (int(d.id) % 6 >= 3) for d in scored]
    assert sum(right) > 0.8 * len(right)


@pytest.fixture(scope="module")
def published(bert, tokenizer, tmp_path_factory):
    """A model such as HuggingFaceTB/finemath-classifier: BERT with one regression output."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("published")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert, num_labels=1)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_published_classifier_scores_as_its_card_says(
    published, tokenizer, documents, tmp_path, write_corpus, run_corpus_step
):
    odd = [Document(text=text, id=text[:3] or "0", metadata={}) for text in ("", "\ud800 x", "a" * 100_000, "\0")]
    config = EncoderClassifierConfig(pretrained=published, **QUICK)
    corpus = write_corpus(tmp_path / "corpus", [*documents, *odd])
    scored, _ = run_corpus_step(EncoderClassifier(config), corpus, tmp_path / "work")
    expected = logits(
        transformers.AutoModelForSequenceClassification.from_pretrained(published),
        tokenizer,
        [d.text.encode("utf-8", "replace").decode("utf-8") for d in scored],
    )
    np.testing.assert_allclose([d.metadata["score"] for d in scored], expected, atol=1e-4)
    assert [d.metadata["int_score"] for d in scored] == np.rint(np.clip(expected, 0, 5)).astype(int).tolist()
    report = report_of(tmp_path / "work")
    assert (report["scale"], sum(report["validation_labels"].values())) == (5, 200)


@pytest.mark.parametrize(
    ("model_class", "config_class", "settings"),
    [
        ("RobertaModel", "RobertaConfig", SHAPE),
        ("XLMRobertaModel", "XLMRobertaConfig", SHAPE),
        ("DebertaV2Model", "DebertaV2Config", SHAPE),
        ("ModernBertModel", "ModernBertConfig", SHAPE | {"classifier_pooling": "mean", "cls_token_id": 2}),
        ("DistilBertModel", "DistilBertConfig", {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64}),
        ("ElectraModel", "ElectraConfig", SHAPE | {"embedding_size": 32}),
    ],
)
def test_heads_of_other_encoders_stand_on_kept_vectors(
    make_encoder, documents, model_class, config_class, settings, tokenizer
):
    name = make_encoder(model_class, config_class, **settings)
    kind = EncoderKind(EncoderClassifierConfig(encoder=name, **QUICK), seed=0)
    texts = [d.text for d in documents[:20]]
    frozen = kind.encoder(kind.settings(), frozen=True)
    whole = kind.encoder(kind.settings())
    np.testing.assert_allclose(frozen.score_vectors(frozen.encode(texts)), whole.score(texts), atol=1e-4)


def test_bfloat16_moves_scores_a_little(published, documents):
    texts = [d.text for d in documents[:50]]
    scores = []
    for dtype in ("float32", "bfloat16"):
        kind = EncoderKind(EncoderClassifierConfig(pretrained=published, dtype=dtype, **QUICK), seed=0)
        scores.append(kind.open_foreign(published, None)[0].predict(texts, ["common"] * len(texts)))
    assert 0 < np.abs(scores[0] - scores[1]).max() < 0.5
    assert np.corrcoef(*scores)[0, 1] > 0.95


def test_a_head_that_reads_more_is_refused(make_encoder):
    name = make_encoder("AlbertModel", "AlbertConfig", **SHAPE, embedding_size=16)
    kind = EncoderKind(EncoderClassifierConfig(encoder=name, **QUICK), seed=0)
    with pytest.raises(InputError, match=r"AlbertForSequenceClassification.*set freeze=false"):
        kind.encoder(kind.settings(), frozen=True)
    assert np.isfinite(kind.encoder(kind.settings()).score(["a text"])).all()


def test_what_cannot_be_used_is_refused_before_any_work(bert, tmp_path):
    def bind(**settings):
        step = EncoderClassifier(EncoderClassifierConfig(**settings))
        step.bind(StepContext(label="judge", position=0, seed=0))

    with pytest.raises(InputError, match=r"data\.steps\.judge\.encoder=.*nowhere: no encoder"):
        bind(encoder=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"data\.steps\.judge\.max_tokens=512: .* reads at most 64"):
        bind(encoder=bert)
    with pytest.raises(InputError, match="has 2 outputs; a classifier here has one"):
        bind(pretrained=bert, max_tokens=64)
    bind(encoder=bert, max_tokens=64)


def test_training_that_diverges_says_so(bert, documents, tmp_path, write_corpus, run_corpus_step):
    config = EncoderClassifierConfig(encoder=bert, **(QUICK | {"epochs": 1}))
    documents = [Document(text=d.text, id=d.id, metadata=d.metadata) for d in documents]
    corpus = write_corpus(tmp_path / "corpus", documents)
    step = EncoderClassifier(config)
    step.bind(StepContext(label="step", position=0, seed=0))
    collect, encode, train = step.phases(corpus, tmp_path / "work")
    for phase in (collect, encode):
        list(phase.pipeline[0].run(None))
    vectors = np.load(tmp_path / "work/vectors/00000.npy", mmap_mode="r+")
    vectors[:] = np.nan  # as from an encoder that overflows
    vectors.flush()
    with pytest.raises(UserError, match="training diverged"):
        list(train.pipeline[0].run(None))
