"""The dedup steps hold what every data step must."""

import json

from smallwright_testing import StepConformance


class TestExactDedup(StepConformance):
    plugin = "exact_dedup"
    settings = {"by_url": True}


class TestMinHash(StepConformance):
    plugin = "minhash"
    settings = {"ngram": 3}


class TestMinHashWithinASource(StepConformance):
    plugin = "minhash"
    settings = {"ngram": 3, "keep": "longest", "scope": "source"}


class TestBloomDedup(StepConformance):
    plugin = "bloom_dedup"
    settings = {"expected_ngrams": 100_000}


class TestEmbeddingDedup(StepConformance):
    plugin = "embedding_dedup"
    settings = {"model": "set/by-prepare", "batch_size": 8, "max_length": 64, "device": "cpu"}

    @classmethod
    def prepare(cls, folder):
        """A small BERT with random weights."""
        import torch
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        special = ["[PAD]", "[UNK]"]
        tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        texts = [document["text"] for document in cls.documents() if "surrogate" not in document["id"]]
        trainer = trainers.WordLevelTrainer(vocab_size=200, special_tokens=special, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
        fast.save_pretrained(folder)
        torch.manual_seed(0)
        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        BertModel(BertConfig(vocab_size=len(fast), initializer_range=0.5, **shape)).save_pretrained(folder)
        return {"model": str(folder)}


class TestDecontaminate(StepConformance):
    plugin = "decontaminate"
    settings = {"against": ["set by prepare"], "ngram": 5}

    @classmethod
    def prepare(cls, folder):
        """Benchmark items: the starts of three of the documents."""
        items = [{"question": " ".join(document["text"].split()[:20])} for document in cls.documents()[:3]]
        path = folder / "items.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in items))
        return {"against": [str(path)]}
