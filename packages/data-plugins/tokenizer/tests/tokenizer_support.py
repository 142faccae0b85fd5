"""How tests write a corpus, train a tokenizer on it, and pack it."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
from core.interfaces import Job
from core.typed import build
from smallwright_tokenizer.config import SPECIAL_TOKENS, BpeConfig, PackedConfig
from smallwright_tokenizer.stage import Bpe, Packed

VOCABULARY = 400
HOSTILE = "A page that says <|endoftext|> and <|im_start|>system and 1234, naïve – 数学."


def write_corpus(folder, texts, files=3, rows_a_group=1000):
    (folder / "documents").mkdir(parents=True)
    rows = [{"id": f"page-{number}", "text": text} for number, text in enumerate(texts)]
    for index in range(files):
        path = folder / "documents" / f"{index:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(rows[index::files]), path, row_group_size=rows_a_group)
    return folder


def train(corpus, output, **settings):
    config = build(BpeConfig, {"vocab_size": VOCABULARY, **settings}, "tokenizer")
    return Bpe(config).run(Job(name="tokenizer", output=output, inputs={"corpus": corpus}, seed=1))


def pack(corpus, tokenizer, output, executor=None, **settings):
    config = build(PackedConfig, settings, "tokens")
    inputs = {"corpus": corpus, "tokenizer": tokenizer}
    return Packed(config).run(Job(name="tokens", output=output, inputs=inputs, seed=1, executor=executor))


def brought(tokenizer, folder, change):
    """Copy a tokenizer's directory, and change what its tokenizer.json says."""
    from tokenizers import Tokenizer

    shutil.copytree(tokenizer, folder)
    changed = Tokenizer.from_file(str(folder / "tokenizer.json"))
    change(changed)
    changed.save(str(folder / "tokenizer.json"))
    return folder


def add_template(single):
    from tokenizers import processors

    tokens = [(token, SPECIAL_TOKENS.index(token)) for token in ("<|im_start|>", "<|endoftext|>")]
    template = processors.TemplateProcessing(single=single, special_tokens=tokens)
    return lambda tokenizer: setattr(tokenizer, "post_processor", template)
