"""How the steps of this plugin are run in tests: phase by phase and shard by shard, as the runner does."""

from collections import Counter

import pytest
from core.data.documents import ParquetSink, ReadDocuments
from core.data.steps import StepContext


def _write_corpus(folder, documents, shards=1):
    for shard in range(shards):
        sink = ParquetSink(folder / f"{shard:05d}.parquet")
        for document in documents[shard::shards]:
            sink.write(document)
        sink.close()
    return folder


def _run_corpus_step(step, corpus, work, reports=None):
    """Run a corpus step's phases, then its pass over the corpus; return the documents and the pass's tables."""
    shards = len(list(corpus.glob("*.parquet")))
    step.bind(StepContext(label="step", position=0, seed=3, reports=reports))
    for phase in step.phases(corpus, work):
        tasks = phase.tasks or shards
        for rank in range(tasks):
            for part in phase.pipeline:
                list(part.run(rank=rank, world_size=tasks))
    last = step.pass_step(work)
    found, tables = [], {}
    for rank in range(shards):
        found += last.run(ReadDocuments(corpus).run(rank=rank, world_size=shards), rank, shards)
        for table, counts in last._ledger.tables.items():
            tables.setdefault(table, Counter()).update(counts)
    return found, tables


@pytest.fixture(scope="session")
def write_corpus():
    return _write_corpus


@pytest.fixture(scope="session")
def run_corpus_step():
    return _run_corpus_step


def _tiny_model(folder, chat):
    """Save a Llama of random weights with a small byte-level tokenizer."""
    import torch
    from smallwright_scorers.prompting import Prompts
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([prompt.text for prompt in Prompts("maths", None).variants()], trainer=trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    if chat:
        fast.chat_template = (
            "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
            "{% endfor %}<|im_start|>assistant\n"
        )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model():
    return _tiny_model
