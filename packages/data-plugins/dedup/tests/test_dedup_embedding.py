"""Embedding dedup with a small, randomly initialised encoder. About 10 seconds, most of it importing transformers."""

import json
import random

import numpy as np
import pytest
from core.data.steps import StepContext
from core.errors import InputError
from smallwright_dedup import embeddings
from smallwright_dedup.config import EmbeddingDedupConfig
from smallwright_dedup.embeddings import EmbeddingDedup

WORDS = [f"word{i}" for i in range(200)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


def corpus():
    """40 random instructions, 12 that repeat one of them but for case of the rest, 2 without text."""
    chance = random.Random(1)
    texts = [" ".join(chance.choices(WORDS, k=12)) for _ in range(40)]
    source = [None] * 40
    for i in range(12):
        texts.append(texts[i % 4] + "  ")
        source.append(i % 4)
    return [*texts, "", " "], [*source, None, None]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_removes_what_an_encoder_takes_for_the_same(tmp_path, write, run, encoder, monkeypatch, pooling):
    texts, source = corpus()
    write(tmp_path / "in", texts, files=3)
    config = EmbeddingDedupConfig(model=encoder, threshold=0.999, neighbours=2, batch_size=8, pooling=pooling)
    kept, rejected = run(EmbeddingDedup(config), tmp_path / "in", tmp_path / "a")
    assert rejected == {f"d{i}": f"d{j}" for i, j in enumerate(source) if j is not None}
    assert {"d52", "d53"} <= set(kept)
    assert json.loads((tmp_path / "a/work/clusters.report.json").read_text())["without_text"] == 2
    stored = np.load(tmp_path / "a/work/embeddings/000000.npy")
    assert np.allclose(np.linalg.norm(stored, axis=1), 1, atol=1e-5)
    monkeypatch.setattr(embeddings, "BLOCK", 7)
    assert run(EmbeddingDedup(config), tmp_path / "in", tmp_path / "b") == (kept, rejected)


def test_a_text_from_metadata_and_a_low_threshold(tmp_path, write, run, encoder):
    texts, source = corpus()
    metadata = [{"instruction": text} for text in texts]
    write(tmp_path / "in", [f"document {i}" for i in range(len(texts))], files=2, metadata=metadata)
    config = EmbeddingDedupConfig(model=encoder, text_key="instruction", threshold=0.999)
    rejected = run(EmbeddingDedup(config), tmp_path / "in", tmp_path / "a")[1]
    assert rejected == {f"d{i}": f"d{j}" for i, j in enumerate(source) if j is not None}
    other = EmbeddingDedupConfig(model=encoder, text_key="nothing")
    assert run(EmbeddingDedup(other), tmp_path / "in", tmp_path / "b")[1] == {}
    # Nearly everything is as near as this: what is kept is not near to an earlier kept one.
    low = EmbeddingDedupConfig(model=encoder, text_key="instruction", threshold=0.01, neighbours=60)
    kept, rejected = run(EmbeddingDedup(low), tmp_path / "in", tmp_path / "c")
    stored = np.concatenate([np.load(path) for path in sorted((tmp_path / "c/work/embeddings").glob("*.npy"))])
    cosine = stored @ stored.T
    expected = []
    for i in range(len(texts)):
        if not any(cosine[i, j] >= 0.01 for j in expected):
            expected.append(i)
    assert list(kept) == [f"d{i}" for i in expected]
    assert rejected


@pytest.mark.slow
def test_a_missing_model_is_named_before_any_work(tmp_path):
    step = EmbeddingDedup(EmbeddingDedupConfig(model=str(tmp_path / "none")))
    with pytest.raises(InputError, match=r"data.steps.near.model="):
        step.bind(StepContext(label="near", position=0, seed=0))
