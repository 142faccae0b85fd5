"""One piece of a corpus as token files: the work of one worker, in a folder that is whole or not there.

The bytes depend on the piece alone, not on who works beside it.
"""

import dataclasses
import hashlib
import itertools
import json
import os
import socket
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from core import token_files
from core.data.by_hash import id_hash
from core.engines import tokenizers_environment
from core.process import cores
from core.token_files import TokenFile
from core.writing import replacing, write_json
from datatrove.pipeline.base import PipelineStep

from smallwright_tokenizer.config import PackedConfig
from smallwright_tokenizer.corpus import HASH_RANGE, Piece, read_piece
from smallwright_tokenizer.files import load_for_texts

UINT16_IDS = 65536
RECORD = "piece.json"
ASIDE = np.dtype([("hash", "<u8"), ("tokens", "<u4"), ("bytes", "<u4")])
"""What is kept of a document that is set aside: the hash of its id, its length, and its text's UTF-8 bytes."""


SAMPLED = 2000
"""Documents whose words are counted."""
AHEAD = 2
"""Batches of documents that are tokenized while the one before them is written."""


@dataclasses.dataclass(kw_only=True)
class PieceRecord:
    """Content of ``piece.json``."""

    files: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Fields of a :class:`core.token_files.TokenFile` each."""
    documents: int = 0
    """In the files: those that were not set aside."""
    empty_documents: int = 0
    lowest_hash: int = HASH_RANGE
    """Of the ids of the documents in the files: where no document of the corpus is below the cut, one is held out."""
    lowest_document: int = -1
    """Its place among them."""
    lowest_bytes: int = 0
    """UTF-8 bytes of its text."""
    sampled_tokens: int = 0
    sampled_words: int = 0
    """Of the first documents of the first piece: how many tokens the tokenizer makes of a word."""

    @classmethod
    def load(cls, folder: Path) -> "PieceRecord":
        """Read the record of a finished piece."""
        return cls(**json.loads((folder / RECORD).read_text()))


def piece_folder(folder: Path, number: int) -> Path:
    """Return where a piece's files are."""
    return folder / f"{number:05d}"


def smallest_dtype(vocab_size: int) -> np.dtype:
    """Return the smallest unsigned type, little-endian, that holds every id."""
    return np.dtype("<u2" if vocab_size <= UINT16_IDS else "<u4")


class FilesWriter:
    """Writes documents to numbered token files of one split, a new one where the next document would not fit.

    Args:
        folder: Exists.
        split: Begins the names, such as ``train`` of ``train-00000.bin``.
        dtype: Of the ids.
    """

    def __init__(self, folder: Path, split: str, dtype: np.dtype) -> None:
        self.files: list[TokenFile] = []
        self._folder, self._split, self._dtype = folder, split, dtype
        self._starts = array("I")
        self._size = 0
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()

    def add(self, ids: np.ndarray, lengths: Sequence[int]) -> None:
        """Append documents that lie one after another in ``ids``."""
        if len(lengths) > 1 and self._size + len(ids) > token_files.TOKENS_A_FILE:
            for document, length in zip(np.split(ids, np.cumsum(lengths)[:-1]), lengths, strict=True):
                self.add(document, [length])
            return
        if not lengths:
            return
        if self._file is not None and self._size + len(ids) > token_files.TOKENS_A_FILE:
            self.close()
        if self._file is None:
            self._file = open(self._folder / self._name(), "wb")  # noqa: SIM115 - closed by close()
        content = np.ascontiguousarray(ids, dtype=self._dtype)
        self._file.write(content.data)
        self._hash.update(content.data)
        self._starts.extend(itertools.accumulate(lengths[:-1], initial=self._size))
        self._size += len(ids)

    def close(self) -> None:
        """End the file that is being written; the next document begins another."""
        if self._file is None:
            return
        self._file.close()
        file = TokenFile(
            name=self._name(),
            split=self._split,
            tokens=self._size,
            documents=len(self._starts),
            sha256=self._hash.hexdigest(),
            starts_sha256="",
        )
        starts = self._folder / file.starts_name
        np.save(starts, np.array(self._starts, dtype="<u4"))
        digest = hashlib.sha256(starts.read_bytes()).hexdigest()
        self.files.append(dataclasses.replace(file, starts_sha256=digest))
        self._starts, self._size, self._file, self._hash = array("I"), 0, None, hashlib.sha256()

    def _name(self) -> str:
        return f"{self._split}-{len(self.files):05d}.bin"


class PackPieces(PipelineStep):
    """Tokenizes piece ``rank`` into a folder of its own below ``folder``, unless it is there.

    The folder has the files of what is trained on in any case, ``aside.bin`` and ``aside.npy`` with the candidates for
    validation, ``counts.npy`` with how often each id is in them, shape (2, V), and ``piece.json``.

    Args:
        pieces: Of the whole corpus.
        folder: Of the pieces' folders.
        tokenizer: Folder of ``tokenizer.json``.
        cut: Hash of an id below which a document is set aside.
        vocab_size: V.
        end_of_text: Id that ends every document.
    """

    name = "Pack"
    type = "TOKENS"

    def __init__(
        self,
        config: PackedConfig,
        *,
        pieces: Sequence[Piece],
        folder: Path,
        tokenizer: Path,
        cut: int,
        vocab_size: int,
        end_of_text: int,
    ) -> None:
        super().__init__()
        self.config, self.pieces, self.folder, self.tokenizer = config, pieces, folder, tokenizer
        self.cut, self.vocab_size, self.end_of_text = cut, vocab_size, end_of_text
        self.home = (socket.gethostname(), os.getpid())

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        """Do the work of one rank; ``data`` is passed on."""
        if not (target := piece_folder(self.folder, rank)).is_dir():
            if self.home != (socket.gethostname(), os.getpid()):
                _share_cores(world_size)
            with replacing(target) as partial:
                partial.mkdir()
                self._pack(self.pieces[rank], partial)
        return data

    def _pack(self, piece: Piece, folder: Path) -> None:
        dtype = smallest_dtype(self.vocab_size)
        writer = FilesWriter(folder, "train", dtype)
        counts = np.zeros((2, self.vocab_size), dtype=np.int64)
        aside: list[tuple[int, int, int]] = []
        record = PieceRecord()
        with open(folder / "aside.bin", "wb") as aside_file:
            for names, texts, rows in self._tokenized(piece):
                train_rows: list[list[int]] = []
                aside_rows: list[list[int]] = []
                if piece is self.pieces[0] and record.documents < SAMPLED:
                    record.sampled_tokens += sum(map(len, rows))
                    record.sampled_words += sum(len(text.split()) for text in texts)
                for name, text, row in zip(names, texts, rows, strict=True):
                    if not row:
                        record.empty_documents += 1
                        continue
                    if row[-1] != self.end_of_text:  # a template may have put it there
                        row.append(self.end_of_text)
                    value = id_hash(name, "validation")
                    if value < self.cut:
                        aside.append((value, len(row), len(text.encode("utf-8"))))
                        aside_rows.append(row)
                        continue
                    if value < record.lowest_hash:
                        record.lowest_hash, record.lowest_bytes = value, len(text.encode("utf-8"))
                        record.lowest_document = record.documents
                    train_rows.append(row)
                    record.documents += 1
                for place, some in enumerate((train_rows, aside_rows)):
                    lengths = [len(row) for row in some]
                    ids = np.fromiter(itertools.chain.from_iterable(some), dtype, sum(lengths))
                    counts[place] += np.bincount(ids, minlength=self.vocab_size)
                    if place:
                        aside_file.write(ids.data)
                    else:
                        writer.add(ids, lengths)
        writer.close()
        record.files = [dataclasses.asdict(file) for file in writer.files]
        np.save(folder / "aside.npy", np.array(aside, dtype=ASIDE))
        np.save(folder / "counts.npy", counts)
        write_json(folder / RECORD, dataclasses.asdict(record))

    def _tokenized(self, piece: Piece) -> Iterator[tuple[list[str], list[str], list[list[int]]]]:
        """Yield ids and texts of documents with their tokens, none where a document has only what a template adds.

        The next documents are tokenized while the caller works on those before.
        """
        tokenizer = load_for_texts(self.tokenizer)
        with_template = self.config.add_special_tokens

        def encode(texts: list[str]) -> list[Any]:
            return tokenizer.encode_batch_fast(texts, add_special_tokens=with_template)

        waiting: deque[tuple[list[str], list[str], Future[list[Any]]]] = deque()
        with ThreadPoolExecutor(1) as thread:
            for names, texts in read_piece(piece, self.config.batch_documents):
                waiting.append((names, texts, thread.submit(encode, texts)))
                if len(waiting) > AHEAD:
                    yield _rows(*waiting.popleft(), with_template)
            while waiting:
                yield _rows(*waiting.popleft(), with_template)


def _rows(
    names: list[str], texts: list[str], encodings: "Future[list[Any]]", with_template: bool
) -> tuple[list[str], list[str], list[list[int]]]:
    rows = [
        encoding.ids if not with_template or 0 in encoding.special_tokens_mask else []
        for encoding in encodings.result()
    ]
    return names, texts, rows


def _share_cores(workers: int) -> None:
    """Take a part of the cores, in a process beside others of its kind: the tokenizers library would take all."""
    threads = max(1, cores() // workers)
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ |= tokenizers_environment(parallel=threads > 1)
