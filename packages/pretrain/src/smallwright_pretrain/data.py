"""Packed token files as batches: a window of the file is a training sequence.

Row r of global batch i depends on the seed, i and r only: any number of ranks sees the same global batches, and a
resumed run goes on exactly.

Letters of tensor names: docs/architectures.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core.errors import InputError
from core.interfaces import TokensMeta
from torchtitan.components.dataloader import BaseDataLoader

IGNORED = -100
"""Label of tokens without loss; cross-entropy's default."""


class TokenFile:
    """One token file with its document starts, read through the page cache, never as a whole.

    Args:
        folder: A tokens artifact.
        split: ``train`` or ``validation``.
        seq_len: Length of a window in tokens.

    Raises:
        core.errors.InputError: a file is missing, or its size is not what ``meta.json`` says.
    """

    def __init__(self, folder: Path, split: str, seq_len: int) -> None:
        meta = TokensMeta.load(folder)
        path = folder / f"{split}.bin"
        offsets_path = folder / f"{split}.offsets.npy"
        for file in (path, offsets_path):
            if not file.is_file():
                raise InputError(f"{file}: missing. Delete this tokens artifact to make it anew.")
        expected = meta.train_tokens if split == "train" else meta.validation_tokens
        dtype = np.dtype(meta.dtype).newbyteorder("<")
        if path.stat().st_size != expected * dtype.itemsize:
            raise InputError(
                f"{path}: {path.stat().st_size} bytes, but meta.json says {expected} tokens of {meta.dtype}. "
                "Delete this tokens artifact to make it anew."
            )
        self.tokens = np.memmap(path, dtype=dtype, mode="r") if expected else np.zeros(0, dtype)
        self.offsets = np.load(offsets_path, mmap_mode="r")
        self.seq_len = seq_len

    @property
    def full_windows(self) -> int:
        """Windows with a label for every token."""
        return max(0, (len(self.tokens) - 1) // self.seq_len)

    @property
    def windows(self) -> int:
        """Windows, the last possibly shorter."""
        return -(-max(0, len(self.tokens) - 1) // self.seq_len)

    def window(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return input ids, positions and labels of window ``index``, each of shape (L,).

        Positions restart at each document; a document cut by the window's edge goes on from 0. A short last window
        is filled up with one-token documents without labels.
        """
        start = index * self.seq_len
        ids = np.asarray(self.tokens[start : start + self.seq_len + 1], dtype=np.int64)
        length = len(ids) - 1
        inputs_L = np.zeros(self.seq_len, dtype=np.int64)
        labels_L = np.full(self.seq_len, IGNORED, dtype=np.int64)
        positions_L = np.zeros(self.seq_len, dtype=np.int64)
        inputs_L[:length], labels_L[:length] = ids[:-1], ids[1:]
        first, last = np.searchsorted(self.offsets, [start, start + length])
        starts = np.concatenate([[0], np.asarray(self.offsets[first:last]) - start])
        place_L = np.arange(length)
        positions_L[:length] = place_L - starts[np.searchsorted(starts, place_L, side="right") - 1]
        return inputs_L, positions_L, labels_L

    def empty(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a window without labels, of one-token documents."""
        zeros_L = np.zeros(self.seq_len, dtype=np.int64)
        return zeros_L, zeros_L, np.full(self.seq_len, IGNORED, dtype=np.int64)


def batch(windows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Stack windows into TorchTitan's form: ({"input", "positions"}, labels), each of shape (B, L)."""
    inputs_BL, positions_BL, labels_BL = (torch.from_numpy(np.stack(part)) for part in zip(*windows, strict=True))
    return {"input": inputs_BL, "positions": positions_BL}, labels_BL


class WindowOrder:
    """Which window row r of global batch i is: every epoch visits all windows once, in an order of its own."""

    def __init__(self, windows: int, seed: int, global_batch_size: int) -> None:
        self._windows, self._seed, self._rows = windows, seed, global_batch_size
        self._epoch = -1
        self._order: np.ndarray = np.zeros(0, dtype=np.int64)

    def __call__(self, global_batch: int, row: int) -> int:
        """Return the index of a window."""
        epoch, place = divmod(global_batch * self._rows + row, self._windows)
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.PCG64([self._seed, epoch]))
            self._epoch, self._order = epoch, generator.permutation(self._windows)
        return int(self._order[place])


class TokenDataLoader(BaseDataLoader):
    """Endless micro-batches of one rank, with exact resume."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseDataLoader.Config):
        folder: str = ""
        """The tokens artifact."""
        seed: int = 0
        global_batch_size: int = 1
        padded_batch_size: int | None = None
        """Rows that all ranks compute in a step; those behind the global batch are empty. None: there are none."""

    def __init__(
        self,
        config: Config,
        *,
        dp_world_size: int,
        dp_rank: int,
        seq_len: int,
        local_batch_size: int,
        **_: Any,
    ) -> None:
        self._file = TokenFile(Path(config.folder), "train", seq_len)
        if self._file.full_windows == 0:
            raise InputError(
                f"pretrain.seq_len={seq_len}: the training file has only {len(self._file.tokens)} tokens, and a "
                f"sequence takes {seq_len + 1}. Use a shorter seq_len or more data."
            )
        self._order = WindowOrder(self._file.full_windows, config.seed, config.global_batch_size)
        rows = config.padded_batch_size or config.global_batch_size
        self._accumulation = rows // (dp_world_size * local_batch_size)
        self._global_batch_size = config.global_batch_size
        self._ranks, self._rank, self._rows = dp_world_size, dp_rank, local_batch_size
        self._global_batch = 0

    def __iter__(self) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
        while True:
            global_batch = self._global_batch
            # Before the yield: a checkpoint is saved when the batch has been consumed.
            self._global_batch += 1
            for part in range(self._accumulation):
                first = (part * self._ranks + self._rank) * self._rows
                rows = range(first, first + self._rows)
                yield batch([self._row(global_batch, row) for row in rows])

    def _row(self, global_batch: int, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if row < self._global_batch_size:
            return self._file.window(self._order(global_batch, row))
        return self._file.empty()

    def state_dict(self) -> dict[str, Any]:
        """Return the number of global batches consumed: valid for any number of ranks."""
        return {"global_batch": self._global_batch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after ``state_dict``'s global batches."""
        self._global_batch = state_dict["global_batch"]
