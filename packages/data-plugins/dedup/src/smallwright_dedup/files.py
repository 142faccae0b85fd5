"""Arrays of the work folder, the numbers of documents, and the files of a corpus."""

from pathlib import Path

import numpy as np
from core.writing import replacing


def number(file: int, rows: np.ndarray) -> np.ndarray:
    """Number documents over the whole corpus: the place of their file, times 2^32, plus their row. int64 [rows]."""
    return (np.int64(file) << np.int64(32)) | rows.astype(np.int64)


def split_number(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return files and rows of numbered documents."""
    return numbers >> np.int64(32), numbers & np.int64(0xFFFFFFFF)


def corpus_files(corpus: Path) -> list[Path]:
    """Return the files of documents in the order that numbers them."""
    return sorted(corpus.glob("*.parquet"))


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a ``.npy`` file, whole or not at all."""
    with replacing(path) as partial, partial.open("wb") as file:
        np.save(file, np.ascontiguousarray(array))
