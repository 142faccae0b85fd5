"""The stop tokens of an exported model: what ended its documents, whatever its tokenizer names."""

from types import SimpleNamespace

import pytest
from core.interfaces import TokensMeta
from smallwright_pretrain.cpu import use_device

use_device("cpu")

from smallwright_pretrain.export import _set_special_tokens  # noqa: E402
from smallwright_pretrain.verify import fixed_prompts  # noqa: E402
from smallwright_testing.tokens import write_tokens  # noqa: E402

META = TokensMeta(
    dtype="uint16", vocab_size=260, eos_token_id=0, train_tokens=1, validation_tokens=1, train_documents=1,
    validation_documents=1, validation_bytes=1, unigram_loss=1.0,
)  # fmt: skip


def write_tokenizer(folder, **named):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<|pad|>": 3, "a": 4}
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    PreTrainedTokenizerFast(tokenizer_object=bpe, **named).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("named", "stops", "padding"),
    [
        ({"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"}, 0, 3),
        ({"eos_token": "<|im_end|>", "pad_token": "<|pad|>"}, [0, 2], 3),
        ({"eos_token": "<|im_end|>"}, [0, 2], 0),
        ({}, 0, 0),
    ],
)
def test_generation_stops_at_the_end_of_a_document_and_of_a_turn(tmp_path, named, stops, padding):
    model = SimpleNamespace(config=SimpleNamespace(), generation_config=SimpleNamespace())
    _set_special_tokens(model, write_tokenizer(tmp_path, **named), META)
    assert model.generation_config.eos_token_id == stops
    assert model.config.eos_token_id == 0
    assert model.generation_config.pad_token_id == padding


def test_without_a_tokenizer_it_is_the_end_of_documents():
    model = SimpleNamespace(config=SimpleNamespace(), generation_config=SimpleNamespace())
    _set_special_tokens(model, None, META)
    assert model.generation_config.eos_token_id == model.config.eos_token_id == 0


def test_prompts_are_taken_from_each_corpus_in_turn(tmp_path):
    one = write_tokens(tmp_path / "one", [[9, 9, 0]], [[0], [1, 2, 3, 0], [4, 5, 0], [6, 0], [7, 0]])
    other = write_tokens(tmp_path / "other", [[9, 9, 0]], [[11, 12, 0]])
    assert fixed_prompts([one], longest=3) == [[1, 2, 3], [4, 5, 0], [6, 0], [7, 0]]
    assert fixed_prompts([one, other]) == [[11, 12, 0], [1, 2, 3, 0], [4, 5, 0], [6, 0]]
    few = write_tokens(tmp_path / "few", [[9, 9, 0], [8, 8, 0]], [[1, 0]])
    assert fixed_prompts([few]) == [[1, 0], [9, 9, 0], [8, 8, 0]]
