"""From token files that exist to the files of the artifact: checked, and with documents held out."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from core.data.by_hash import id_hash
from core.errors import InputError
from core.token_files import TokenFile

from smallwright_tokenizer import held_out
from smallwright_tokenizer.assembly import nothing_left, unigram_loss
from smallwright_tokenizer.config import HeldOutConfig
from smallwright_tokenizer.corpus import HASH_RANGE
from smallwright_tokenizer.files import load_for_texts
from smallwright_tokenizer.packing import FilesWriter, smallest_dtype
from smallwright_tokenizer.ready import ReadyFile
from smallwright_tokenizer.ready_rows import ReadyRows

Ready = ReadyFile | ReadyRows


@dataclasses.dataclass(frozen=True)
class Taken:
    """What was written."""

    files: list[TokenFile]
    validation_bytes: int
    unigram_loss: float


def take(
    config: HeldOutConfig,
    files: Sequence[Ready],
    tokenizer: Path,
    output: Path,
    *,
    vocab_size: int,
    end_of_text: int,
    progress: Callable[[int, int], None],
) -> Taken:
    """Copy all documents to the files of an artifact, those that are held out apart.

    A document has no id in such files: its file's name and its place in it stand for one.

    Raises:
        InputError: ids are not those of the tokenizer, or a document does not end with its end-of-text id.
        UserError: there is one document.
    """
    if sum(file.documents for file in files) < 2:
        raise nothing_left(0)
    total = sum(file.tokens for file in files)
    chosen = _choose(config, files, total)
    dtype = smallest_dtype(vocab_size)
    writer, counts, done = FilesWriter(output, "train", dtype), np.zeros(vocab_size, dtype=np.int64), 0
    held: dict[tuple[int, int], np.ndarray] = {}
    for number, file in enumerate(files):
        places = {place for of, place in chosen if of == number}
        for first, ids, lengths in file.chunks():
            _check(file, first, ids, lengths, vocab_size, end_of_text)
            ids = ids.astype(dtype)
            ends = np.cumsum(lengths)
            kept = np.ones(len(lengths), dtype=bool)
            for place in sorted(place for place in places if first <= place < first + len(lengths)):
                end = int(ends[place - first])
                held[number, place] = ids[end - int(lengths[place - first]) : end].copy()
                kept[place - first] = False
            train = ids[np.repeat(kept, lengths)]
            counts += np.bincount(train, minlength=vocab_size)
            writer.add(train, lengths[kept].tolist())
            done += len(ids)
            progress(done, total)
    writer.close()
    validation = FilesWriter(output, "validation", dtype)
    for key in chosen:
        validation.add(held[key], [len(held[key])])
    validation.close()
    decoder = load_for_texts(tokenizer)
    texts = decoder.decode_batch([held[key][:-1].tolist() for key in chosen], skip_special_tokens=False)
    held_counts = np.bincount(np.concatenate([*held.values()]), minlength=vocab_size)
    return Taken(
        files=[*writer.files, *validation.files],
        validation_bytes=sum(len(text.encode("utf-8", "replace")) for text in texts),
        unigram_loss=unigram_loss(counts, held_counts),
    )


def _choose(config: HeldOutConfig, files: Sequence[Ready], total: int) -> list[tuple[int, int]]:
    """Return file and place of the documents to hold out, in the order of their hashes."""
    cut = int(min(held_out.share(config, total), 2 * config.validation_tokens / total) * HASH_RANGE)
    lowest = (HASH_RANGE, 0, 0, 0)
    found: list[tuple[int, int, int, int]] = []
    for number, file in enumerate(files):
        lengths = np.diff(file.ends(), prepend=0)
        for place in range(file.documents):
            value = id_hash(f"{file.name}:{place}", "validation")
            if value < cut:
                found.append((value, number, place, int(lengths[place])))
            lowest = min(lowest, (value, number, place, int(lengths[place])))
    found = found or [lowest]
    hashes = np.array([value for value, *_ in found], dtype=np.uint64)
    order = held_out.choose(config, total, hashes, np.array([length for *_, length in found]))
    documents = sum(file.documents for file in files)
    return [found[place][1:3] for place in order][: documents - 1]


def _check(file: Ready, first: int, ids: np.ndarray, lengths: np.ndarray, vocab_size: int, end_of_text: int) -> None:
    wrong = int(ids.min()) if ids.min() < 0 else int(ids.max())
    if not 0 <= wrong < vocab_size:
        raise InputError(
            f"tokens.folder: {file.name} has the id {wrong}, and the tokenizer {vocab_size} ids: it is not the "
            "one that made them. Set tokenizer=<its folder or hub id>."
        )
    lasts = ids[np.cumsum(lengths) - 1]
    if (lasts != end_of_text).any():
        place = int(np.argmax(lasts != end_of_text))
        raise InputError(
            f"tokens.folder: document {first + place} of {file.name} ends with the id {int(lasts[place])}, and "
            f"documents must end with the tokenizer's end of text, {end_of_text}: another tokenizer made it, or "
            "DocumentTokenizer ran without eos_token."
        )
