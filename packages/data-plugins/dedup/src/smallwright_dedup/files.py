"""Small files of the work folder: written under a partial name, so that a killed run leaves no half of one."""

import json
from pathlib import Path
from typing import Any

import numpy as np


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
    """Write a ``.npy`` file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, np.ascontiguousarray(array))
    partial.replace(path)


def save_json(path: Path, content: Any) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(path)
