"""The files of stored distributions, and how a training reads them beside its windows. No torch.

They are those of a :class:`smallwright_pretrain.window_pass.WindowPass` over all windows of a corpus, with an index.

Letters of array names: docs/architectures.md; K is the stored ids of a token, B its K + 1 buckets.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from core import store
from core.errors import InputError
from core.token_files import TokenIndex
from core.writing import replacing, write_json

from smallwright_pretrain import mixture as mixtures
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.sources import Sources
from smallwright_pretrain.stored import StoredConfig, bytes_per_token, of_training
from smallwright_pretrain.window_pass import WindowPass

INDEX, LIST = "index.json", "windows.npy"
FORMAT = 1
SHARD_BYTES = 1 << 28
"""Of one file, about; a process holds one while it writes it."""
IDS, LOGS = "ids", "logs"
"""Arrays of a shard, of shapes (windows, L, K) and (windows, L, B)."""
STORED_IDS, STORED_LOGS = "teacher_ids", "teacher_logs"
"""Keys of a batch beside its input ids, of shapes (B, L, K) and (B, L, K + 1)."""
AGAIN = "Delete this artifact to make it anew."


class Stored:
    """The finished distributions of a corpus, read by memory map.

    Args:
        folder: Their artifact.
        expected: What must be as it is in the identity of the files, by name; see :func:`identity_of`.

    Raises:
        core.errors.InputError: they are of another teacher, tokenizer, corpus or cut, or the index is damaged.
    """

    def __init__(self, folder: Path, expected: Mapping[str, Any]) -> None:
        self.folder = folder
        path = folder / INDEX
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            if index["format"] > FORMAT:
                raise InputError(f"{path}: format {index['format']}, and this version reads {FORMAT}. Update it.")
            identity = dict(index["identity"])
            self.files = WindowPass(
                folder=folder, windows=int(index["windows"]), shard=int(index["shard"]), identity=identity
            )
            self._listed_N = None if identity["listed"] is None else np.load(folder / LIST, mmap_mode="r")
            different = [key for key, value in expected.items() if identity[key] != value]
        except FileNotFoundError:
            raise InputError(f"{path}: missing. {AGAIN}") from None
        except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: damaged ({error}). {AGAIN}") from error
        if different:
            key = different[0]
            raise InputError(
                f"{folder}: made with {key}={identity[key]}, and the training has {key}={expected[key]}. {AGAIN}"
            )
        self._opened: dict[int, tuple[Any, Any]] = {}

    def window(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ids, as they are stored, of shape (L, K), and log-probabilities, float16 of shape (L, B), of a window.

        Args:
            index: Number of the window in its corpus.

        Raises:
            core.errors.InputError: it is not stored, or its file is missing, damaged or of another pass.
        """
        place = index if self._listed_N is None else int(np.searchsorted(self._listed_N, index))
        known = 0 <= place < self.files.windows
        if not known or (self._listed_N is not None and self._listed_N[place] != index):
            raise InputError(f"{self.folder}: has {self.files.windows:,} windows, and none number {index:,}. {AGAIN}")
        number, place = divmod(place, self.files.shard)
        if number not in self._opened:
            self._opened[number] = self._open(number)
        ids, logs = self._opened[number]
        return ids[place], logs[place]

    def _open(self, number: int) -> tuple[Any, Any]:
        from safetensors import SafetensorError, safe_open

        path, (first, last) = self.files.path(number), self.files.bounds(number)
        try:
            file = safe_open(path, framework="np")  # mapped: only what is asked for is read
            arrays = file.get_slice(IDS), file.get_slice(LOGS)
            fits = self.files.wrote(file.metadata()) and all(one.get_shape()[0] == last - first for one in arrays)
        except FileNotFoundError:
            raise InputError(f"{path}: missing. {AGAIN}") from None
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({error}). {AGAIN}") from error
        if not fits:
            raise InputError(f"{path}: is of another teacher, tokenizer or corpus than {INDEX} says. {AGAIN}")
        return arrays


def files_of(folder: Path, windows: int, ids: int, identity: Mapping[str, Any]) -> WindowPass:
    """Return the files for the distributions of so many windows.

    Args:
        ids: Of the tokenizer.
        identity: See :func:`identity_of`.
    """
    window = identity["seq_len"] * bytes_per_token(identity["top_k"], ids)
    return WindowPass(folder=folder, windows=windows, shard=max(1, SHARD_BYTES // window), identity=identity)


def save(files: WindowPass, listed_N: np.ndarray | None = None) -> None:
    """Write the index of distributions whose shards are all there.

    Args:
        listed_N: Numbers of the windows, where they are not all of the corpus, in ascending order.
    """
    if listed_N is not None:
        with replacing(files.folder / LIST) as partial, partial.open("wb") as file:
            np.save(file, listed_N)
    content = {"format": FORMAT, "windows": files.windows, "shard": files.shard, "identity": dict(files.identity)}
    write_json(files.folder / INDEX, content)


def read_by(config: StoredConfig, tokens: Mapping[str, Path], seed: int) -> np.ndarray | None:
    """Return the windows that a training reads, in ascending order; None: all of the corpus are stored.

    Args:
        tokens: Tokens artifacts of the training by the label of their corpus.
        seed: Of the training.
    """
    if config.stages is None or config.read_as is None:
        return None
    row = list(config.stages.values())
    feed = Sources(tokens, row).feed(seed, [(pair[0], pair[1]) for pair in config.skipped])
    same = [number for number, stage in enumerate(row) if stage.seq_len == config.seq_len]
    listed, source = feed.trained_windows(same), mixtures.source_name(config.read_as, config.view)
    return listed.window_N[listed.source_N == feed.names.index(source)]


def identity_of(config: StoredConfig, tokens: Path, teacher: str, listed_N: np.ndarray | None = None) -> dict[str, Any]:
    """Return what distributions depend on.

    Args:
        tokens: The artifact that they are of.
        teacher: Digest of the model.
        listed_N: Windows that are stored; None: all.
    """
    index = TokenIndex.load(tokens)
    content = hashlib.sha256(",".join(file.sha256 for file in index.of("train")).encode()).hexdigest()
    return {
        "teacher": teacher,
        "tokenizer": index.tokenizer,
        "tokens": content,
        "view": config.view,
        "seq_len": config.seq_len,
        "top_k": config.top_k,
        "temperature": config.temperature,
        "precision": config.precision,
        "listed": None if listed_N is None else hashlib.sha256(listed_N.astype("<i8").tobytes()).hexdigest(),
    }


def rows(config: TorchTitanConfig, tokens: Mapping[str, Path], inputs: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Return what the loader must know to read the distributions beside the windows of ``config.seq_len``: by source
    the ``folder`` of the artifact, and what is ``expected`` of it.

    Args:
        tokens: Tokens artifacts by the label of their corpus.
        inputs: Of the training, by role.
    """
    found = {}
    for part in of_training(config, list(tokens)):
        if part.seq_len == config.seq_len:
            folder = inputs[part.role]
            made = (store.load_manifest(folder) or {}).get("identity") or {}
            expected = identity_of(part, tokens[part.corpus], (made.get("inputs") or {}).get("teacher", ""))
            if part.stages is not None:  # which windows they are has been counted by the stage that wrote them
                del expected["listed"]
            found[mixtures.source_name(part.corpus, part.view)] = {"folder": str(folder), "expected": expected}
    return found
