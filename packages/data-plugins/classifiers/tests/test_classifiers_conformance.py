"""The classifiers hold what every data step must, also where one follows another."""

import pytest
from smallwright_testing import StepConformance
from smallwright_testing.documents import nasty_documents, plain_documents
from smallwright_testing.runs import two_processes


class ClassifierConformance(StepConformance):
    """Documents of which half have a label, of whatever kind."""

    @classmethod
    def documents(cls):
        documents = [*plain_documents(90), *nasty_documents()]
        for place, document in enumerate(documents[:60]):
            document["metadata"]["label"] = place % 6
        return documents


class TestClassifier(ClassifierConformance):
    plugin = "classifier"
    settings = {"features": 4096, "by": "language", "min_labels": 20}


class TestFastTextClassifier(ClassifierConformance):
    plugin = "classifier_fasttext"
    settings = {"dim": 8, "buckets": 1000, "epochs": 2}


class TestEncoderClassifier(ClassifierConformance):
    plugin = "classifier_encoder"
    settings = {
        "encoder": "set/by-prepare",
        "max_tokens": 32,
        "max_chars": 500,
        "epochs": 2,
        "batch": 16,
        "device": "cpu",
    }

    @classmethod
    def prepare(cls, folder):
        """A small BERT with random weights."""
        import torch
        from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        texts = [document["text"] for document in plain_documents()]
        tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **names)
        fast.save_pretrained(folder)
        torch.manual_seed(0)
        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        BertModel(BertConfig(vocab_size=len(fast), max_position_embeddings=40, **shape)).save_pretrained(folder)
        return {"encoder": str(folder)}


class Both(TestEncoderClassifier):
    __test__ = False
    before = {"fast": {"use": "classifier_fasttext", **TestFastTextClassifier.settings}}


@pytest.mark.slow
def test_two_that_learn_in_one_recipe_give_the_same_bytes_in_one_process_and_in_two(tmp_path):
    files, prepared = Both.write_files(tmp_path / "files", 3), Both.prepare(tmp_path / "encoder")
    one = Both.run(tmp_path / "one", files, prepared)
    two = Both.run(tmp_path / "two", files, prepared, executor=two_processes(Both.plugin_files_and_reader()))
    assert one.digests() == two.digests()
    assert {"head.safetensors", "model.bin"} <= {name.rpartition("/")[2] for name in one.digests()}
    assert sum(row["score"] is not None for row in two.kept) > 60
