"""A byte-level BPE tokenizer: trained on the corpus, or copied from an existing one; and its fertility.

Training follows SmolLM2's tokenizer (§4.1): digits one by one, then GPT-2's byte-level splitting, no normalisation, so
that decoding gives back every byte.
"""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from core import hub
from core.data.by_hash import id_hash
from core.errors import InputError, UserError
from core.interfaces import Job
from core.token_files import tokenizer_digest
from core.writing import write_json

from smallwright_tokenizer.config import BYTES, TOKENIZER_FILES, BpeConfig
from smallwright_tokenizer.corpus import HASH_RANGE, read_batches, row_count, text_bytes
from smallwright_tokenizer.files import (
    complete_chat_template,
    end_of_text_id,
    load_for_texts,
    vocabulary_size,
    write_config,
)

FERTILITY_DOCUMENTS = 2000
LONGEST_WORD = 1000
"""Bytes of a word that training sees in one piece. Its time grows with the square of a word's length, and no token is
that long: of a sequence of genes, or a picture in base64, pieces do as well."""
VOCABULARY_STEP = 64


def train(config: BpeConfig, job: Job, corpora: dict[str, list[Path]]) -> dict[str, Any]:
    """Train a tokenizer, write it to ``job.output``, and return what the summary says of it.

    Raises:
        UserError: the corpus is too small for ``vocab_size``.
        InputError: the weights name other recipes than the run has.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    digits = [pre_tokenizers.Digits(individual_digits=True)] if config.split_digits else []
    bytes_of_words = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    tokenizer = Tokenizer(models.BPE())
    pieces = pre_tokenizers.FixedLength(length=LONGEST_WORD)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, bytes_of_words, pieces])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in config.special_tokens],
        # The trainer numbers the alphabet by code point, so a byte has the same id in every tokenizer.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    seen = {"documents": 0, "bytes": 0}
    shares = _sampled_shares(corpora, config)
    tokenizer.train_from_iterator(_texts(corpora, shares, job, seen), trainer=trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, bytes_of_words])
    trained = tokenizer.get_vocab_size()
    if trained < config.vocab_size:
        raise UserError(_too_small(config, trained, seen))
    job.output.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(job.output / "tokenizer.json"))
    write_config(job.output, config.special_tokens)
    return {
        "trained": True,
        "vocab_size": trained,
        "merges": trained - BYTES - len(config.special_tokens),
        "training_documents": seen["documents"],
        "training_bytes": seen["bytes"],
        "sampled_shares": {name: round(share, 6) for name, share in shares.items()},
    }


def copy(name: str, revision: str | None, output: Path) -> dict[str, Any]:
    """Copy the files of an existing tokenizer, and return what the summary says of it.

    Raises:
        InputError: ``name`` is no tokenizer.
    """
    source = existing(name, revision)
    output.mkdir(parents=True, exist_ok=True)
    for file in TOKENIZER_FILES:
        if (source / file).exists():
            shutil.copyfile(source / file, output / file)
    return {
        "trained": False,
        "origin": name,
        # A hub cache keeps each commit in a folder of its name.
        "revision": source.name if source.parent.name == "snapshots" else revision,
        "vocab_size": vocabulary_size(output),
        "end_of_text_id": end_of_text_id(output),
        "content": tokenizer_digest(output)[:12],
        "chat_template": complete_chat_template(output),
    }


def existing(name: str, revision: str | None) -> Path:
    """Return the directory of the tokenizer that ``tokenizer.path`` names.

    Args:
        name: A directory, or a hub id.
        revision: Commit, tag or branch of a hub tokenizer.

    Raises:
        InputError: it names no tokenizer.
    """
    directory = Path(name)
    if not directory.is_dir():
        directory = hub.snapshot(name, revision, TOKENIZER_FILES, "tokenizer.path")
    for needed in ("tokenizer.json", "tokenizer_config.json"):
        if not (directory / needed).exists():
            raise InputError(
                f"tokenizer.path={name}: {needed} is missing there. Load the tokenizer with transformers "
                "and save it with save_pretrained, which writes that file."
            )
    return directory


def check_weights(config: BpeConfig, names: Collection[str]) -> None:
    """Refuse weights of other recipes than the run has.

    Args:
        names: The recipes; of a single one, ``corpus``.

    Raises:
        InputError: the names differ.
    """
    if config.weights is None or set(config.weights) == set(names):
        return
    given, has = ", ".join(sorted(config.weights)), ", ".join(sorted(names))
    if len(names) == 1:
        raise InputError(
            f"tokenizer.weights names {given}: it shares out the text of several recipes, and this run has one. Leave "
            "it out, or give several: +data=[<recipe>,<recipe>]."
        )
    raise InputError(f"tokenizer.weights names {given}; the recipes of this run are {has}. Name each once.")


def _sampled_shares(corpora: dict[str, list[Path]], config: BpeConfig) -> dict[str, float]:
    """Return the share of each corpus's documents to train on, so that the weights and the limit hold.

    Raises:
        InputError: the weights name other recipes than the run has.
    """
    shares = dict.fromkeys(corpora, 1.0)
    check_weights(config, corpora)
    if config.weights is not None:
        sizes = {name: sum(map(text_bytes, files)) for name, files in corpora.items()}
        # The largest mix with these proportions takes all of the corpus that is scarcest for its weight.
        scarcest = min(sizes[name] / weight for name, weight in config.weights.items())
        shares = {name: weight * scarcest / sizes[name] for name, weight in config.weights.items()}
    if config.training_documents is not None:
        documents = sum(shares[name] * sum(map(row_count, files)) for name, files in corpora.items())
        limit = min(1.0, config.training_documents / documents)
        shares = {name: share * limit for name, share in shares.items()}
    return shares


def _texts(
    corpora: dict[str, list[Path]], shares: dict[str, float], job: Job, seen: dict[str, int]
) -> Iterator[list[str]]:
    """Yield the texts to train on, in corpus order. Which ones they are depends on the ids of documents alone."""
    total = sum(row_count(path) for files in corpora.values() for path in files)
    passed = 0
    for corpus, files in corpora.items():
        cut = round(HASH_RANGE * shares[corpus])
        for path in files:
            for ids, texts in read_batches(path, 1000):
                chosen = [text for name, text in zip(ids, texts, strict=True) if id_hash(name, "tokenizer") < cut]
                passed += len(texts)
                seen["documents"] += len(chosen)
                seen["bytes"] += sum(len(text.encode("utf-8")) for text in chosen)
                job.progress(passed, total, unit="documents", note="merging" if passed == total else "counting words")
                yield chosen


def _too_small(config: BpeConfig, trained: int, seen: dict[str, int]) -> str:
    fixed = BYTES + len(config.special_tokens)
    fitting = max(fixed, trained - trained % VOCABULARY_STEP)
    return (
        f"tokenizer.vocab_size={config.vocab_size}: {seen['documents']} documents ({seen['bytes']} bytes) give only "
        f"{trained - fixed} merges, {trained} ids in all. Set tokenizer.vocab_size={fitting}, or give a larger corpus."
    )


def measure_fertility(tokenizer_folder: Path, files: list[Path]) -> dict[str, Any]:
    """Return tokens per word and bytes per token on the first documents of the corpus, and write ``fertility.json``."""
    tokenizer = load_for_texts(tokenizer_folder)
    documents = tokens = words = size = 0
    for path in files:
        for _, texts in read_batches(path, 256):
            tokens += sum(len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False))
            words += sum(len(text.split()) for text in texts)
            size += sum(len(text.encode("utf-8")) for text in texts)
            documents += len(texts)
            if documents >= FERTILITY_DOCUMENTS:
                break
        if documents >= FERTILITY_DOCUMENTS:
            break
    report = {"tokens_per_word": round(tokens / max(1, words), 4), "bytes_per_token": round(size / max(1, tokens), 4)}
    write_json(tokenizer_folder / "fertility.json", {"documents": documents, **report})
    return report
