"""Token files: a writer that goes on where it was killed, the choice of held-out documents, the unigram loss."""

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from core.data.by_hash import id_hash
from core.errors import UserError
from core.writing import sync, write_json

from smallwright_tokenizer.corpus import HASH_RANGE, read_ids

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
    complete: bool = False
    """All documents are written: what is left is to move the files to the artifact."""

    @classmethod
    def load(cls, path: Path) -> "Journal":
        """Read a journal; a missing one means that nothing is done."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def save(self, path: Path) -> None:
        """Write the journal, whole or not at all."""
        write_json(path, dataclasses.asdict(self))


def smallest_dtype(vocab_size: int) -> np.dtype:
    """Return the smallest unsigned type, little-endian, that holds every id."""
    return np.dtype("<u2" if vocab_size <= UINT16_IDS else "<u4")


class Writer:
    """Appends ids to files in the work folder; what a killed run wrote after its last journal is cut off.

    Args:
        work: Folder that a killed run leaves as it is.
        dtype: Type of the ids in ``train.bin`` and ``validation.bin``.
        end_of_text: Id that ends every document.
    """

    def __init__(self, work: Path, dtype: np.dtype, end_of_text: int) -> None:
        self.end_of_text = end_of_text
        self._work, self._dtype = work, dtype
        self._journal_path = work / "journal.json"
        self.journal = Journal.load(self._journal_path)
        self._ids: dict[str, BinaryIO] = {}
        self._starts: dict[str, BinaryIO] = {}
        for side in SIDES if not self.journal.complete else ():
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
        """Note in the journal that the corpus file just read is done."""
        for file in (*self._ids.values(), *self._starts.values()):
            file.flush()
            os.fsync(file.fileno())  # the journal must not say more than is on the disk
        self.journal.files += 1
        self.journal.save(self._journal_path)

    def finish(self, output: Path) -> Journal:
        """Move the files to the artifact and return the totals."""
        for side in self._ids:
            self._ids[side].close()
            self._starts[side].close()
            starts = np.fromfile(self._work / f"{side}.offsets", dtype="<i8")
            offsets = np.append(starts, np.int64(self.journal.tokens[side])).astype("<i8")
            np.save(self._work / f"{side}.offsets.npy", offsets)
            sync(self._work / f"{side}.offsets.npy")
        # A run that is killed between the moves below has its files in two places, and moves the others.
        self.journal.complete = True
        self.journal.save(self._journal_path)
        for name in (f"{side}.{ending}" for side in SIDES for ending in ("bin", "offsets.npy")):
            if (self._work / name).exists():
                (self._work / name).replace(output / name)
        return self.journal


def _open_at(path: Path, size: int) -> BinaryIO:
    """Open a file for appending behind its first ``size`` bytes; anything later is from a killed run."""
    file = open(path, "ab")  # noqa: SIM115 - closed by the writer
    file.truncate(size)
    return file


def validation_cut(files: list[Path], fraction: float) -> int:
    """Return the id hash below which a document is held out, so that each side gets at least one document."""
    lowest, highest = HASH_RANGE, -1
    for path in files:
        for name in read_ids(path):
            value = id_hash(name, "validation")
            lowest, highest = min(lowest, value), max(highest, value)
    if lowest == highest:
        raise UserError(nothing_left("the corpus has one document id"))
    return min(max(int(fraction * HASH_RANGE), lowest + 1), highest)


def nothing_left(reason: str) -> str:
    """Return the message for documents that cannot be divided in two."""
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
