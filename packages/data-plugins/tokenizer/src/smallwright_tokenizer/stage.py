"""The two stages of this package: ``bpe`` makes a tokenizer, ``packed`` makes token files with it.

The work is done in :mod:`smallwright_tokenizer.bpe` and :mod:`smallwright_tokenizer.packing`.
"""

import dataclasses
from pathlib import Path
from typing import Any

from core import interfaces
from core.data.by_hash import id_hash
from core.engines import tokenizers_environment
from core.errors import UserError
from core.interfaces import Job, Stage, TokensMeta
from core.writing import write_json

from smallwright_tokenizer import bpe, packing
from smallwright_tokenizer.config import BpeConfig, PackedConfig
from smallwright_tokenizer.corpus import corpus_files, read_batches, row_count
from smallwright_tokenizer.files import CHAT_TEMPLATE, chat_template, end_of_text_id, vocabulary_size


class Bpe(interfaces.Tokenizer):
    """Makes the ``tokenizer`` artifact: a directory that ``AutoTokenizer.from_pretrained`` loads."""

    config: BpeConfig

    def environment(self) -> dict[str, str]:
        """Return the setting that lets the tokenizers library use every core."""
        return tokenizers_environment()

    def vocab_size(self) -> int:
        """Return the number of ids, specials included.

        Raises:
            InputError: ``path`` names no tokenizer.
        """
        if self.config.path is None:
            return self.config.vocab_size
        return vocabulary_size(bpe.existing(self.config.path, self.config.revision))

    def chat_template(self) -> str:
        """Return the template that :mod:`smallwright_tokenizer.files` gives or finds.

        Raises:
            InputError: ``path`` names no tokenizer.
        """
        if self.config.path is None:
            return CHAT_TEMPLATE
        return chat_template(bpe.existing(self.config.path, self.config.revision))[0]

    def run(self, job: Job) -> dict[str, Any]:
        """Train or copy the tokenizer; return its size and its fertility on the corpus.

        Raises:
            UserError: the corpus is too small for ``vocab_size``.
            InputError: no documents, or ``path`` names no tokenizer.
        """
        corpora = corpus_files(job.corpora())
        if self.config.path is None:
            summary = bpe.train(self.config, job, corpora)
        else:
            summary = bpe.copy(self.config.path, self.config.revision, job.output)
        return {**summary, **bpe.measure_fertility(job.output, [path for files in corpora.values() for path in files])}


class Packed(Stage):
    """Makes the ``tokens`` artifact: held-out documents apart from the others. A killed run goes on where it was."""

    config: PackedConfig

    def environment(self) -> dict[str, str]:
        """Return the setting that lets the tokenizers library use every core."""
        return tokenizers_environment()

    def run(self, job: Job) -> dict[str, Any]:
        """Tokenize every document and write the files named in :mod:`core.interfaces`.

        Returns:
            The fields of TokensMeta, ``empty_documents`` left out, ``tokens_by_corpus``, and ``bytes_per_token`` of the
            validation side.

        Raises:
            InputError: the corpus has no documents, or the tokenizer no end-of-text token.
            UserError: the documents cannot be divided in two.
        """
        corpora = corpus_files(job.corpora())
        tokenizer_folder = job.inputs["tokenizer"]
        vocab_size = vocabulary_size(tokenizer_folder)
        dtype = packing.smallest_dtype(vocab_size)
        writer = packing.Writer(job.scratch("packed"), dtype, end_of_text_id(tokenizer_folder))
        self._pack(job, corpora, tokenizer_folder, writer)
        journal = writer.finish(job.output)
        if not all(journal.documents.values()):
            raise UserError(packing.nothing_left(f"{journal.empty_documents} of the documents have no text"))
        meta = TokensMeta(
            dtype=dtype.name,
            vocab_size=vocab_size,
            eos_token_id=writer.end_of_text,
            train_tokens=journal.tokens["train"],
            validation_tokens=journal.tokens["validation"],
            train_documents=journal.documents["train"],
            validation_documents=journal.documents["validation"],
            validation_bytes=journal.validation_bytes,
            unigram_loss=packing.unigram_loss(job.output, dtype, vocab_size),
        )
        write_json(job.output / "meta.json", dataclasses.asdict(meta))
        return {
            **dataclasses.asdict(meta),
            "empty_documents": journal.empty_documents,
            "tokens_by_corpus": journal.corpus_tokens,
            "bytes_per_token": round(journal.validation_bytes / journal.tokens["validation"], 4),
        }

    def _pack(self, job: Job, corpora: dict[str, list[Path]], tokenizer_folder: Path, writer: packing.Writer) -> None:
        """Give the writer all documents, but for those of the corpus files that its journal has already."""
        from tokenizers import Tokenizer

        files = [(name, path) for name, corpus in corpora.items() for path in corpus]
        tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
        # A web page that spells <|endoftext|> must not be able to end a document.
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        cut = packing.validation_cut([path for _, path in files], self.config.validation_fraction)
        journal = writer.journal
        total = sum(row_count(path) for _, path in files)
        done = sum(row_count(path) for _, path in files[: journal.files])
        for corpus, path in files[journal.files :]:
            before = sum(journal.tokens.values())
            for ids, texts in read_batches(path, self.config.batch_documents):
                encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
                for name, text, encoding in zip(ids, texts, encodings, strict=True):
                    side = "validation" if id_hash(name, "validation") < cut else "train"
                    writer.add(side, encoding.ids, text)
                done += len(texts)
                job.progress(done, total, unit="documents", note=f"{sum(journal.tokens.values()):,} tokens")
            tokens = sum(journal.tokens.values()) - before
            journal.corpus_tokens[corpus] = journal.corpus_tokens.get(corpus, 0) + tokens
            writer.commit()
