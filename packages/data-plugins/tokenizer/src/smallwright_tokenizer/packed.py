"""The packer ``packed``: a corpus to token files, held-out documents apart; it goes on where it was killed."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from core.errors import UserError
from core.interfaces import Job, Stage, TokensMeta

from smallwright_tokenizer.config import PackedConfig
from smallwright_tokenizer.corpus import HASH_RANGE, corpus_files, id_hash, read_batches, read_ids, row_count
from smallwright_tokenizer.files import end_of_text_id, vocabulary_size

SIDES = ("train", "validation")
UINT16_IDS = 65536
COUNTING_CHUNK = 1 << 24


@dataclasses.dataclass
class Journal:
    """How far packing is: written after each corpus file, so that a killed run goes on behind that file."""

    files: int = 0
    tokens: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    documents: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    validation_bytes: int = 0
    empty_documents: int = 0
    corpus_tokens: dict[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Journal":
        """Read a journal; a missing one means that nothing is done."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def save(self, path: Path) -> None:
        """Write the journal in one move."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(dataclasses.asdict(self)))
        partial.replace(path)


class Packed(Stage):
    """Builds the ``tokens`` artifact."""

    config: PackedConfig

    def environment(self) -> dict[str, str]:
        """Let the Rust side use every core."""
        return {"TOKENIZERS_PARALLELISM": "true"}

    def run(self, job: Job) -> dict[str, Any]:
        """Tokenize every document and write the files named in :mod:`core.interfaces`.

        Returns:
            The fields of TokensMeta, ``empty_documents`` left out, and ``bytes_per_token`` of the validation side.

        Raises:
            InputError: the corpus has no documents, or the tokenizer no end-of-text token.
            UserError: the documents cannot be divided in two.
        """
        from tokenizers import Tokenizer

        corpora = corpus_files(job.corpora())
        files = [path for corpus in corpora.values() for path in corpus]
        corpus_of = [name for name, corpus in corpora.items() for _ in corpus]
        tokenizer_folder = job.inputs["tokenizer"]
        vocab_size = vocabulary_size(tokenizer_folder)
        dtype = np.dtype("<u2" if vocab_size <= UINT16_IDS else "<u4")
        tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
        # A web page that spells <|endoftext|> must not be able to end a document.
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        writer = _Writer(job.scratch("packed"), dtype, end_of_text_id(tokenizer_folder))
        cut = _validation_cut(files, self.config.validation_fraction)

        total = sum(row_count(path) for path in files)
        done = sum(row_count(path) for path in files[: writer.journal.files])
        first = writer.journal.files
        for corpus, path in zip(corpus_of[first:], files[first:], strict=True):
            before = sum(writer.journal.tokens.values())
            for ids, texts in read_batches(path, self.config.batch_documents):
                encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
                for name, text, encoding in zip(ids, texts, encodings, strict=True):
                    side = "validation" if id_hash(name, "validation") < cut else "train"
                    writer.add(side, encoding.ids, text)
                done += len(texts)
                job.progress(done, total, unit="documents", note=f"{sum(writer.journal.tokens.values()):,} tokens")
            tokens = sum(writer.journal.tokens.values()) - before
            writer.journal.corpus_tokens[corpus] = writer.journal.corpus_tokens.get(corpus, 0) + tokens
            writer.commit()
        journal = writer.finish(job.output)
        if not all(journal.documents.values()):
            raise UserError(_nothing_left(f"{journal.empty_documents} of the documents have no text"))

        meta = TokensMeta(
            dtype=dtype.name,
            vocab_size=vocab_size,
            eos_token_id=writer.end_of_text,
            train_tokens=journal.tokens["train"],
            validation_tokens=journal.tokens["validation"],
            train_documents=journal.documents["train"],
            validation_documents=journal.documents["validation"],
            validation_bytes=journal.validation_bytes,
            unigram_loss=unigram_loss(job.output, dtype, vocab_size),
        )
        (job.output / "meta.json").write_text(json.dumps(dataclasses.asdict(meta), indent=2) + "\n")
        return {
            **dataclasses.asdict(meta),
            "empty_documents": journal.empty_documents,
            "tokens_by_corpus": journal.corpus_tokens,
            "bytes_per_token": round(journal.validation_bytes / journal.tokens["validation"], 4),
        }


class _Writer:
    """Appends to partial files in the work folder, cut back to the journal when work is taken up again."""

    def __init__(self, work: Path, dtype: np.dtype, end_of_text: int) -> None:
        self.end_of_text = end_of_text
        self._work, self._dtype = work, dtype
        self._journal_path = work / "journal.json"
        self.journal = Journal.load(self._journal_path)
        self._ids: dict[str, BinaryIO] = {}
        self._starts: dict[str, BinaryIO] = {}
        for side in SIDES:
            self._ids[side] = _open_at(work / f"{side}.bin", self.journal.tokens[side] * dtype.itemsize)
            self._starts[side] = _open_at(work / f"{side}.offsets", self.journal.documents[side] * 8)

    def add(self, side: str, ids: list[int], text: str) -> None:
        """Append one document to a side; a document without tokens is only counted."""
        if not ids:
            self.journal.empty_documents += 1
            return
        self._starts[side].write(np.int64(self.journal.tokens[side]).astype("<i8").tobytes())
        self._ids[side].write(np.asarray([*ids, self.end_of_text], dtype=self._dtype).tobytes())
        self.journal.tokens[side] += len(ids) + 1
        self.journal.documents[side] += 1
        if side == "validation":
            self.journal.validation_bytes += len(text.encode("utf-8"))

    def commit(self) -> None:
        """Make the corpus file that was just read count as done."""
        for file in (*self._ids.values(), *self._starts.values()):
            file.flush()
        self.journal.files += 1
        self.journal.save(self._journal_path)

    def finish(self, output: Path) -> Journal:
        """Give the files their final names and return the totals."""
        # Without a journal, a run killed between the moves below starts again instead of trusting moved files.
        self._journal_path.unlink(missing_ok=True)
        for side in SIDES:
            self._ids[side].close()
            self._starts[side].close()
            starts = np.fromfile(self._work / f"{side}.offsets", dtype="<i8")
            offsets = np.append(starts, np.int64(self.journal.tokens[side])).astype("<i8")
            np.save(self._work / f"{side}.offsets.npy", offsets)
            (self._work / f"{side}.bin").replace(output / f"{side}.bin")
            (self._work / f"{side}.offsets.npy").replace(output / f"{side}.offsets.npy")
        return self.journal


def _open_at(path: Path, size: int) -> BinaryIO:
    """Open a file for appending behind its first ``size`` bytes; anything later is from a killed run."""
    file = open(path, "ab")  # noqa: SIM115 - closed by the writer
    file.truncate(size)
    return file


def _validation_cut(files: list[Path], fraction: float) -> int:
    """Return the id hash below which a document is held out, so that each side gets at least one document."""
    lowest, highest = HASH_RANGE, -1
    for path in files:
        for name in read_ids(path):
            value = id_hash(name, "validation")
            lowest, highest = min(lowest, value), max(highest, value)
    if lowest == highest:
        raise UserError(_nothing_left("the corpus has one document id"))
    return min(max(int(fraction * HASH_RANGE), lowest + 1), highest)


def _nothing_left(reason: str) -> str:
    return (
        f"tokens: nothing left to train on or to validate on: {reason}, and each side needs at least one document. "
        "Give more input (data.paths) or loosen the step that drops most in the corpus's funnel.json."
    )


def unigram_loss(tokens: Path, dtype: np.dtype, vocab_size: int) -> float:
    """Return the cross-entropy in nats per token of the validation ids under add-one smoothed training frequencies.

    The loss of a model that knows only how common each token is: what a trained model must beat.
    """
    counts = {side: np.zeros(vocab_size, dtype=np.int64) for side in SIDES}
    for side in SIDES:
        ids = np.memmap(tokens / f"{side}.bin", dtype=dtype, mode="r")
        for start in range(0, len(ids), COUNTING_CHUNK):
            counts[side] += np.bincount(ids[start : start + COUNTING_CHUNK], minlength=vocab_size)
    log_probability = np.log(counts["train"] + 1.0) - math.log(counts["train"].sum() + vocab_size)
    return float(-(counts["validation"] * log_probability).sum() / counts["validation"].sum())
