"""A tokens artifact of documents that are given as lists of ids: what readers of tokens are tested with."""

import dataclasses
import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.interfaces import TokensMeta
from core.token_files import TokenFile, TokenIndex
from core.writing import write_json

Documents = Sequence[Sequence[int]]


def write_tokens(
    folder: Path,
    train: Documents = (),
    validation: Documents = (),
    *,
    vocab_size: int = 1000,
    tokens_a_file: int = 1 << 30,
    tokenizer: str = "",
    **meta: Any,
) -> Path:
    """Write a tokens artifact, without a manifest.

    Args:
        train: Documents as lists of ids, each with the end-of-text id at its end.
        validation: The same, held out.
        tokens_a_file: A new file begins with the document that would pass it.
        tokenizer: Digest of the tokenizer that made the ids.
        meta: Fields of ``meta.json`` other than those that follow from the documents: ``eos_token_id`` (0), ``dtype``
            (``uint16``), ``unigram_loss`` (3.0), ``validation_bytes`` (3 a token).
    """
    folder.mkdir(parents=True, exist_ok=True)
    dtype = meta.pop("dtype", "uint16")
    files: list[TokenFile] = []
    for split, documents in (("train", train), ("validation", validation)):
        for number, part in enumerate(_parts(documents, tokens_a_file)):
            files.append(_write_file(folder, f"{split}-{number:05d}.bin", split, dtype, part))
    TokenIndex(tokenizer=tokenizer, dtype=dtype, files=tuple(files)).save(folder)
    validation_tokens = sum(map(len, validation))
    content = {
        "dtype": dtype,
        "vocab_size": vocab_size,
        "eos_token_id": 0,
        "train_tokens": sum(map(len, train)),
        "validation_tokens": validation_tokens,
        "train_documents": len(train),
        "validation_documents": len(validation),
        "validation_bytes": 3 * validation_tokens,
        "unigram_loss": 3.0,
        **meta,
    }
    write_json(folder / "meta.json", dataclasses.asdict(TokensMeta(**content)))
    return folder


def _parts(documents: Documents, tokens_a_file: int) -> list[list[Sequence[int]]]:
    parts: list[list[Sequence[int]]] = []
    size = tokens_a_file + 1
    for document in documents:
        if size + len(document) > tokens_a_file:
            parts.append([])
            size = 0
        parts[-1].append(document)
        size += len(document)
    return parts


def _write_file(folder: Path, name: str, split: str, dtype: str, documents: Documents) -> TokenFile:
    import numpy as np

    lengths = [len(document) for document in documents]
    file = TokenFile(name=name, split=split, tokens=sum(lengths), documents=len(lengths), sha256="", starts_sha256="")
    ids = np.fromiter(itertools.chain.from_iterable(documents), np.dtype(dtype).newbyteorder("<"), file.tokens)
    ids.tofile(folder / name)
    np.save(folder / file.starts_name, np.cumsum([0, *lengths])[:-1].astype("<u4"))
    digests = [hashlib.sha256((folder / part).read_bytes()).hexdigest() for part in (name, file.starts_name)]
    return dataclasses.replace(file, sha256=digests[0], starts_sha256=digests[1])
