"""The stages of this package: ``bpe`` makes a tokenizer, ``packed`` token files with it; ``ready`` and ``datatrove``
take others'.

The work is done in :mod:`smallwright_tokenizer.bpe`, :mod:`smallwright_tokenizer.packing` (pieces of a corpus) and
:mod:`smallwright_tokenizer.assembly` (of them, the artifact).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import hub, interfaces, store
from core.engines import tokenizers_environment
from core.interfaces import Job, Stage, TokensMeta
from core.token_files import SPLITS, TokenFile, TokenIndex, tokenizer_digest
from core.writing import write_json

from smallwright_tokenizer import bpe, held_out, ready
from smallwright_tokenizer.config import BpeConfig, DataTroveConfig, PackedConfig, ReadyConfig
from smallwright_tokenizer.corpus import corpus_files, document_files, pieces
from smallwright_tokenizer.files import (
    CHAT_TEMPLATE,
    chat_template,
    end_of_text_id,
    vocabulary_size,
)
from smallwright_tokenizer.ready_rows import ReadyRows


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

    def reads_corpora(self) -> bool:
        """Return whether a tokenizer is trained: one that exists is the same for all corpora."""
        return self.config.path is None

    def check_corpora(self, names: Sequence[str]) -> None:
        """Refuse weights of recipes that the run does not have."""
        bpe.check_weights(self.config, names)

    def chat_template(self) -> str:
        """Return the template that :mod:`smallwright_tokenizer.files` gives or finds.

        Raises:
            InputError: ``path`` names no tokenizer.
        """
        if self.config.path is None:
            return CHAT_TEMPLATE
        return chat_template(bpe.existing(self.config.path, self.config.revision))[0]

    def run(self, job: Job) -> dict[str, Any]:
        """Train or copy the tokenizer; return its size, and of one that is trained its fertility on the corpus.

        Raises:
            UserError: the corpus is too small for ``vocab_size``.
            InputError: no documents, or ``path`` names no tokenizer.
        """
        if self.config.path is not None:
            return bpe.copy(self.config.path, self.config.revision, job.output)
        corpora = corpus_files(job.corpora())
        summary = bpe.train(self.config, job, corpora)
        return {**summary, **bpe.measure_fertility(job.output, [path for files in corpora.values() for path in files])}


class Packed(Stage):
    """Makes the ``tokens`` artifact of a corpus: held-out documents apart from the others.

    The executor of the run spreads pieces of the corpus over processes or machines. A killed run goes on with the
    pieces that are not finished.
    """

    config: PackedConfig

    def environment(self) -> dict[str, str]:
        """Return the setting that lets the tokenizers library use every core."""
        return tokenizers_environment()

    def run(self, job: Job) -> dict[str, Any]:
        """Tokenize every document and write the files named in :mod:`core.interfaces`.

        Returns:
            The fields of TokensMeta, ``empty_documents`` left out, ``files`` and ``pieces``, their numbers,
            ``bytes_per_token`` of the validation side, and ``tokens_per_word`` of the first documents.

        Raises:
            InputError: the corpus has no documents, or the tokenizer no end-of-text token.
            UserError: the documents cannot be divided in two.
        """
        from core.data.executor import LocalExecutor

        from smallwright_tokenizer import assembly, packing

        files = document_files(job.inputs["corpus"])
        folder = job.inputs["tokenizer"]
        vocab_size, end_of_text = vocabulary_size(folder), end_of_text_id(folder)
        parts, text_bytes = pieces(files)
        work = job.scratch("pieces")
        if not (work / assembly.PLAN).exists():
            step = packing.PackPieces(
                self.config,
                pieces=parts,
                folder=work,
                tokenizer=folder,
                cut=held_out.candidates_cut(self.config, text_bytes),
                vocab_size=vocab_size,
                end_of_text=end_of_text,
            )
            logs = job.scratch("logs/tokens")
            for mark in (logs / "completions").glob("*"):
                if not packing.piece_folder(work, int(mark.name)).is_dir():
                    mark.unlink()
            with job.executor or LocalExecutor(plugin_files=job.plugin_files) as executor:
                executor.run([step], len(parts), logs, lambda done: job.progress(done, len(parts), unit="pieces"))
        dtype = packing.smallest_dtype(vocab_size)
        made = assembly.assemble(self.config, work, len(parts), dtype, job.output)
        meta = _describe(
            job,
            files=made.files,
            dtype=dtype.name,
            vocab_size=vocab_size,
            eos_token_id=end_of_text,
            validation_bytes=made.validation_bytes,
            unigram_loss=made.unigram_loss,
        )
        return {
            **dataclasses.asdict(meta),
            "empty_documents": made.empty_documents,
            "files": len(made.files),
            "pieces": len(parts),
            "bytes_per_token": round(made.validation_bytes / meta.validation_tokens, 4),
            "tokens_per_word": round(made.sampled_tokens / max(1, made.sampled_words), 4),
        }


class DataTroveTokens(Stage):
    """Takes tokens that DataTrove's ``DocumentTokenizer`` wrote as the ``tokens`` artifact."""

    reads_corpus = False
    config: DataTroveConfig | ReadyConfig

    def run(self, job: Job) -> dict[str, Any]:
        """Copy and check all ids, and write the files named in :mod:`core.interfaces`.

        Returns:
            The fields of TokensMeta; ``files``, their number; ``origin``, ``revision``, and ``content``, a digest.

        Raises:
            InputError: the files are damaged, or the ids are not those of the tokenizer.
        """
        from smallwright_tokenizer import packing, taking

        folder = job.inputs["tokenizer"]
        vocab_size, end_of_text = vocabulary_size(folder), end_of_text_id(folder)
        made = taking.take(
            self.config,
            self._files(job, end_of_text),
            folder,
            job.output,
            vocab_size=vocab_size,
            end_of_text=end_of_text,
            progress=lambda done, total: job.progress(done, total, unit="tokens"),
        )
        meta = _describe(
            job,
            files=made.files,
            dtype=packing.smallest_dtype(vocab_size).name,
            vocab_size=vocab_size,
            eos_token_id=end_of_text,
            validation_bytes=made.validation_bytes,
            unigram_loss=made.unigram_loss,
        )
        return {
            **dataclasses.asdict(meta),
            "files": len(made.files),
            "origin": self.config.folder,
            "revision": getattr(self.config, "revision", None),
            "content": store.digest({file.name: file.sha256 for file in made.files}),
        }

    def _files(self, job: Job, end_of_text: int) -> Sequence[ready.ReadyFile | ReadyRows]:
        return ready.files_of(Path(self.config.folder), f"tokens.folder={self.config.folder}")


class ReadyTokens(DataTroveTokens):
    """Takes tokens that exist, of a folder or of a dataset on the hub, as the ``tokens`` artifact."""

    def _files(self, job: Job, end_of_text: int) -> Sequence[ready.ReadyFile | ReadyRows]:
        assert isinstance(self.config, ReadyConfig)
        config, folder = self.config, Path(self.config.folder)
        if config.revision is not None:
            job.progress(0, None, "tokens", f"downloading {config.folder}")
            patterns = ("*.ds", "*.ds.index", "*.parquet")
            folder = hub.snapshot(config.folder, config.revision, patterns, "tokens.folder", "dataset")
        return ready.files_below(folder, f"tokens.folder={config.folder}", end_of_text, config.rows)


def _describe(job: Job, files: Sequence[TokenFile], **told: Any) -> TokensMeta:
    """Write ``index.json`` and ``meta.json``, and return the second."""
    digest = tokenizer_digest(job.inputs["tokenizer"])
    TokenIndex(tokenizer=digest, dtype=told["dtype"], files=tuple(files)).save(job.output)
    counts = {
        f"{split}_{unit}": sum(getattr(file, unit) for file in files if file.split == split)
        for split in SPLITS
        for unit in ("tokens", "documents")
    }
    meta = TokensMeta(**told, **counts)
    write_json(job.output / "meta.json", dataclasses.asdict(meta))
    return meta
