"""From the folders of all pieces to the files of the artifact: what is held out, the numbers of the files, the index.

The files of pieces are moved, not copied. ``assembly.json`` says what is moved where before the first move, so that a
run which is killed between two of them goes on with the others.
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from core.errors import UserError
from core.token_files import SPLITS, TokenFile
from core.writing import remove, sync, write_json

from smallwright_tokenizer import held_out
from smallwright_tokenizer.config import PackedConfig
from smallwright_tokenizer.packing import FilesWriter, PieceRecord, piece_folder

PLAN = "assembly.json"
REST = "rest"
"""Folder of the files that the assembly itself writes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assembly:
    """What the artifact has, and from where: content of ``assembly.json``."""

    files: list[TokenFile]
    """In the order of the index, with the names that they have there."""
    sources: list[str]
    """Path of each below the work folder, without its ending."""
    validation_bytes: int
    empty_documents: int
    sampled_tokens: int
    """Of the first documents, without what ends them; see :data:`smallwright_tokenizer.packing.SAMPLED`."""
    sampled_words: int
    unigram_loss: float
    """In nats per token, see :class:`core.tokens_meta.TokensMeta`."""

    @classmethod
    def load(cls, path: Path) -> "Assembly":
        """Read ``assembly.json``."""
        content = json.loads(path.read_text())
        return cls(**{**content, "files": [TokenFile(**file) for file in content["files"]]})


def assemble(config: PackedConfig, work: Path, pieces: int, dtype: np.dtype, output: Path) -> Assembly:
    """Give the files of all pieces to the artifact; what a killed run has done is not done again.

    Args:
        work: Folder of the pieces' folders.
        pieces: Their number.
        dtype: Of the ids.

    Raises:
        UserError: the documents cannot be divided in two.
    """
    plan = work / PLAN
    if not plan.exists():
        assembly = _Assembler(config, work, pieces, dtype).assemble()
        write_json(plan, dataclasses.asdict(assembly))
    assembly = Assembly.load(plan)
    for source, file in zip(assembly.sources, assembly.files, strict=True):
        for ending, name in ((".bin", file.name), (".starts.npy", file.starts_name)):
            if (found := work / f"{source}{ending}").exists():
                found.replace(output / name)
    return assembly


class _Assembler:
    """Divides the documents in two, and names the files."""

    def __init__(self, config: PackedConfig, work: Path, pieces: int, dtype: np.dtype) -> None:
        self.config, self.work, self.dtype = config, work, dtype
        self.folders = [piece_folder(work, number) for number in range(pieces)]
        self.records = [PieceRecord.load(folder) for folder in self.folders]
        self.counts = sum(np.load(folder / "counts.npy") for folder in self.folders)
        """How often each id is in the files of pieces, and in the candidates: shape (2, V)."""
        self.asides = [np.load(folder / "aside.npy") for folder in self.folders]
        self.written: dict[str, FilesWriter] = {}

    def assemble(self) -> Assembly:
        candidates = np.concatenate(self.asides)
        empty = sum(record.empty_documents for record in self.records)
        if len(candidates) + sum(record.documents for record in self.records) < 2:
            raise nothing_left(empty)
        remove(rest := self.work / REST)
        rest.mkdir()
        self.written = {split: FilesWriter(rest, split, self.dtype) for split in SPLITS}
        train = [
            (f"{folder.name}/{file.name.removesuffix('.bin')}", file)
            for folder, record in zip(self.folders, self.records, strict=True)
            for file in (TokenFile(**fields) for fields in record.files)
        ]
        if len(candidates):
            validation_bytes = self._divide(candidates, others=bool(train))
        else:
            validation_bytes = self._hold_out_lowest(train)
        for writer in self.written.values():
            writer.close()
        sync(rest)
        train += [(f"{REST}/{file.name.removesuffix('.bin')}", file) for file in self.written["train"].files]
        validation = [(f"{REST}/{file.name.removesuffix('.bin')}", file) for file in self.written["validation"].files]
        named = [
            dataclasses.replace(file, name=f"{file.split}-{number:05d}.bin")
            for files in (train, validation)
            for number, (_, file) in enumerate(files)
        ]
        return Assembly(
            files=named,
            sources=[source for source, _ in (*train, *validation)],
            validation_bytes=validation_bytes,
            empty_documents=empty,
            sampled_tokens=self.records[0].sampled_tokens,
            sampled_words=self.records[0].sampled_words,
            unigram_loss=unigram_loss(self.counts.sum(axis=0) - (held := self._held(validation)), held),
        )

    def _divide(self, candidates: np.ndarray, *, others: bool) -> int:
        """Write the candidates to both sides, and return the UTF-8 bytes of those that are held out.

        Args:
            others: Whether documents that are no candidates are trained on.
        """
        chosen = held_out.choose(self.config, int(self.counts.sum()), candidates["hash"], candidates["tokens"])
        if len(chosen) == len(candidates) and not others:
            chosen = chosen[:-1]
        self._write("validation", chosen)
        others_too = np.ones(len(candidates), dtype=bool)
        others_too[chosen] = False
        self._write("train", np.flatnonzero(others_too).tolist())
        return int(candidates["bytes"][chosen].sum(dtype=np.int64))

    def _write(self, split: str, chosen: Sequence[int]) -> None:
        ends = [np.cumsum(aside["tokens"], dtype=np.int64) for aside in self.asides]
        firsts = np.cumsum([0, *map(len, self.asides)])
        ids = [
            np.memmap(folder / "aside.bin", dtype=self.dtype, mode="r") if len(aside) else np.zeros(0, self.dtype)
            for folder, aside in zip(self.folders, self.asides, strict=True)
        ]
        for document in chosen:
            piece = int(np.searchsorted(firsts, document, side="right")) - 1
            end = int(ends[piece][place := document - firsts[piece]])
            length = int(self.asides[piece]["tokens"][place])
            self.written[split].add(ids[piece][end - length : end], [length])

    def _hold_out_lowest(self, train: list[tuple[str, TokenFile]]) -> int:
        """Hold out the document whose hash is lowest, where no document is a candidate; return its UTF-8 bytes."""
        record = min(self.records, key=lambda record: record.lowest_hash)
        folder = self.folders[self.records.index(record)].name
        document = record.lowest_document
        place = next(number for number, (source, _) in enumerate(train) if source.startswith(f"{folder}/"))
        while document >= train[place][1].documents:
            document -= train[place][1].documents
            place += 1
        source = train[place][0]
        ids = np.fromfile(self.work / f"{source}.bin", dtype=self.dtype)
        starts = np.load(self.work / f"{source}.starts.npy")
        lengths = np.diff(starts, append=np.uint32(len(ids))).tolist()
        start, end = int(starts[document]), int(starts[document]) + lengths[document]
        self.written["validation"].add(ids[start:end], [lengths.pop(document)])
        self.written["train"].add(np.concatenate([ids[:start], ids[end:]]), lengths)
        del train[place]
        return record.lowest_bytes

    def _held(self, validation: list[tuple[str, TokenFile]]) -> np.ndarray:
        """Return how often each id is held out."""
        held = np.zeros(self.counts.shape[1], dtype=np.int64)
        for source, _ in validation:
            ids = np.memmap(self.work / f"{source}.bin", dtype=self.dtype, mode="r")
            for part in _chunks(ids):
                held += np.bincount(part, minlength=len(held))
        return held


def unigram_loss(train: np.ndarray, held: np.ndarray) -> float:
    """Return the cross-entropy of the held-out ids under add-one smoothed frequencies of the others, in nats per token.

    The loss of a model that knows only how common each token is: what a trained model must beat.

    Args:
        train: How often each id is trained on, shape (V,).
        held: How often it is held out, shape (V,).
    """
    log_probability = np.log(train + 1.0) - math.log(train.sum() + len(train))
    return float(-(held * log_probability).sum() / held.sum())


def _chunks(ids: np.ndarray, size: int = 1 << 24) -> Iterator[np.ndarray]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def nothing_left(empty: int) -> UserError:
    """Return the error for documents that cannot be divided in two.

    Args:
        empty: Documents without text.
    """
    without = f", and {empty} have no text" if empty else ""
    return UserError(
        f"tokens: nothing left to train on or to validate on: each side needs at least one document{without}. "
        "Give more input (data.paths) or loosen the step that drops most in the corpus's funnel.json."
    )
