"""Good and bad texts from files instead of labels, as DCLM trains its filter (arXiv 2406.11794 §4.4).

DCLM's good texts do not come from the crawl; its bad ones are random pages of it. Both are written where the labelled
documents of a corpus would be, and in the same form: what comes after does not know the difference.
"""

import json
import lzma
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from core.data.by_hash import Smallest, id_hash
from core.data.steps import CorpusPass, Phase
from core.errors import InputError
from core.storage import open_file
from core.writing import replacing, write_json

from smallwright_classifiers.config import CommonConfig
from smallwright_classifiers.examples import LABELLED_FOLDER, SCHEMA, CollectLabelled, place_in_order

SAMPLE_FILE = "bad_sample.json"
PURPOSE = "bad"
LONGEST_LINE = 1 << 26
ROWS_AT_ONCE = 100
ROWS_PER_PART, CHARACTERS_PER_PART = 5_000, 1 << 25
"""Largest part of a file: it is held in memory, and one task encodes it."""


def collecting(config: CommonConfig, corpus: Path, work: Path, step: str) -> list[Phase]:
    """Return the passes that leave the examples to learn from in ``<work>/labelled``. ``step`` is for messages."""
    if config.good_files is None:
        return [Phase(name="collect", pipeline=[CollectLabelled(config, corpus, work)])]
    phases = [Phase(name="files", pipeline=[ReadExampleFiles(config, corpus, work, step)], tasks=1)]
    if config.bad_files is None:
        phases.append(Phase(name="collect", pipeline=[CollectRandom(config, corpus, work)]))
    return phases


class ReadExampleFiles(CorpusPass):
    """Copy the texts of the files in parts; without bad ones, choose as many documents of the corpus by hash."""

    type = "classifier"

    def __init__(self, config: CommonConfig, corpus: Path, work: Path, step: str) -> None:
        super().__init__()
        self.config, self.corpus, self.work, self.step = config, corpus, work, step

    def run_rank(self, rank: int, world_size: int) -> None:
        assert self.config.good_files is not None
        good = self._copy("good_files", self.config.good_files, 1)
        if self.config.bad_files is not None:
            self._copy("bad_files", self.config.bad_files, 0)
            return
        smallest = Smallest(good)
        for path in self.corpus.glob("*.parquet"):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=10_000, columns=["id"]):
                    for name in batch.column("id").to_pylist():
                        smallest.add(id_hash(name, PURPOSE))
        threshold = smallest.threshold(min(good, smallest.seen))
        write_json(self.work / SAMPLE_FILE, {"threshold": threshold})

    def _copy(self, setting: str, paths: Iterable[str], label: int) -> int:
        """Write the texts of files as examples; return how many there are."""
        place = f"data.steps.{self.step}.{setting}"
        found = parts = characters = 0
        rows: list[dict[str, Any]] = []
        for path in paths:
            before = found
            for text in read_texts(path, place):
                cut = (text or "")[: self.config.max_chars]
                usable = label if cut.strip() else None
                order = place_in_order(cut, cut)
                rows.append({"order": order, "label": usable, "scale": "1", "scorer": setting, "text": cut})
                found += usable is not None
                characters += len(cut)
                if len(rows) == ROWS_PER_PART or characters >= CHARACTERS_PER_PART:
                    self._write(setting, parts, rows)
                    parts, characters, rows = parts + 1, 0, []
            if found == before:
                raise InputError(f"{place}: {path} has no record with a text in the field text.")
        self._write(setting, parts, rows)
        return found

    def _write(self, setting: str, part: int, rows: list[dict[str, Any]]) -> None:
        target = self.work / LABELLED_FOLDER / f"{setting}-{part:05d}.parquet"
        with replacing(target) as partial:
            pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), partial, compression="zstd")
        self.stat_update("examples", value=len(rows))


class CollectRandom(CollectLabelled):
    """Write the documents of each shard that the hash sample holds, as bad examples."""

    def run_rank(self, rank: int, world_size: int) -> None:
        self._threshold = json.loads((self.work / SAMPLE_FILE).read_text(encoding="utf-8"))["threshold"]
        super().run_rank(rank, world_size)

    def _rows(self, file: pq.ParquetFile, group: int) -> list[dict[str, Any]]:
        names = file.read_row_group(group, columns=["id"]).column("id").to_pylist()
        chosen = [row for row, name in enumerate(names) if id_hash(name, PURPOSE) <= self._threshold]
        if not chosen:
            return []
        rows = []
        for row in file.read_row_group(group, columns=["id", "text"]).take(pa.array(chosen)).to_pylist():
            text = row["text"][: self.config.max_chars]
            order = place_in_order(row["id"], text)
            rows.append({"order": order, "label": 0, "scale": "1", "scorer": "corpus, by hash", "text": text})
        return rows


def read_texts(path: str, setting: str) -> Iterator[str | None]:
    """Yield the field ``text`` of each record of a JSONL or Parquet file; None where there is no such text.

    Args:
        path: fsspec path. What does not end in ``.parquet`` is JSONL; ``.gz``, ``.bz2`` and ``.xz`` are unpacked.
        setting: Place of the setting in the configuration, for messages.

    Raises:
        InputError: the file cannot be read to its end.
    """
    try:
        if path.endswith(".parquet"):
            yield from _parquet_texts(path)
        else:
            yield from _jsonl_texts(path)
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        ImportError,
        zlib.error,
        lzma.LZMAError,
        pa.ArrowException,
    ) as error:
        raise InputError(
            f"{setting}: {path} is not readable as JSONL or Parquet with a field text "
            f"({type(error).__name__}: {error})."
        ) from error


def _parquet_texts(path: str) -> Iterator[str | None]:
    with open_file(path, "rb") as raw, pq.ParquetFile(raw) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=["text"]):
            yield from (text if isinstance(text, str) else None for text in batch.column("text").to_pylist())


def _jsonl_texts(path: str) -> Iterator[str | None]:
    with open_file(path, "rb", compression="infer") as file:
        while line := file.readline(LONGEST_LINE):
            whole = len(line) < LONGEST_LINE or line.endswith(b"\n")
            while not whole:
                rest = file.readline(LONGEST_LINE)
                whole = len(rest) < LONGEST_LINE or rest.endswith(b"\n")
                line = b""
            if line.strip() or not line:
                yield _text_of(line)


def _text_of(line: bytes) -> str | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    text = record.get("text") if isinstance(record, dict) else None
    # JSON can spell lone surrogates, which Parquet cannot hold
    return text.encode("utf-8", "replace").decode("utf-8") if isinstance(text, str) else None
