"""A random Llama with a tokenizer and a chat template, and validation tokens: inputs of stages under test."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from smallwright_testing.documents import plain_documents
from smallwright_testing.tokens import write_tokens

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{% else %}"
    "{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML, with the marks by which TRL finds the assistant's tokens."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: tensors this small only lose time to threads that wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def tiny_model(folder: Path) -> Path:
    """Write a model artifact: the same bytes in every call."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator((document["text"] for document in plain_documents()), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=SPECIAL[0], pad_token=SPECIAL[3], additional_special_tokens=list(SPECIAL[1:3])
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder / "hf")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=0,
            pad_token_id=3,
        )
        LlamaForCausalLM(config).save_pretrained(folder / "hf")
    return folder


def tiny_tokens(folder: Path, model: Path) -> Path:
    """Write a tokens artifact with twelve validation documents, and none to train on."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model / "hf")
    texts = [document["text"] for document in plain_documents(12)]
    documents = [[*tokenizer(text)["input_ids"], 0] for text in texts]
    size = sum(len(text.encode()) for text in texts)
    return write_tokens(folder, [], documents, vocab_size=len(tokenizer), validation_bytes=size)
