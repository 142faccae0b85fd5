"""Keep the best share of the corpus by a number in the metadata (DCLM, arXiv 2406.11794, section 4.4)."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from core.data.steps import CorpusPass, CorpusStep, DocumentStep, Phase, Rejection, Step
from core.writing import replacing, write_json
from datatrove.data import Document

from smallwright_quality.config import TopFractionConfig
from smallwright_quality.threshold import NoNumberToCompare, number_of


class TopFraction(CorpusStep):
    """Keep the best share of the corpus by a number in the metadata.

    Memory does not grow with the corpus: the numbers go to files, 8 bytes a document, and the one at the wanted rank
    is found by counting through them, 16 bits at a time. Reason: ``below the best share``. The report has the number
    from which documents are kept: the step ``threshold`` can use it as ``minimum`` on other documents.
    """

    config: TopFractionConfig

    def phases(self, corpus: Path, work: Path) -> list[Phase]:
        assert self.context is not None
        report = work / f"{self.context.label}.report.json"
        return [
            Phase(name="numbers", pipeline=[_WriteNumbers(self.config, corpus, work)]),
            Phase(name="rank", pipeline=[_FindThreshold(self.config, work, report)], tasks=1),
        ]

    def pass_step(self, work: Path) -> Step:
        return _KeepBest(self.config, work)


class _WriteNumbers(CorpusPass):
    """Write ``numbers/<file>.f8``: the numbers of the documents of a file, little-endian float64."""

    def __init__(self, config: TopFractionConfig, corpus: Path, work: Path) -> None:
        super().__init__()
        self.config, self.corpus, self.work = config, corpus, work

    def run_rank(self, rank: int, world_size: int) -> None:
        for path in sorted(self.corpus.glob("*.parquet"))[rank::world_size]:
            array = np.fromiter(self._numbers(path), dtype="<f8")
            target = self.work / "numbers" / f"{path.stem}.f8"
            with replacing(target) as partial:
                partial.write_bytes(array[~np.isnan(array)].tobytes())

    def _numbers(self, path: Path) -> Iterator[float]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000, columns=["metadata"]):
                for metadata in batch.column("metadata").to_pylist():
                    # A document without a number fails in the pass that follows.
                    with contextlib.suppress(NoNumberToCompare):
                        yield number_of(json.loads(metadata), self.config.key)


class _FindThreshold(CorpusPass):
    """Write the report, with the number of the last document that is kept."""

    CHUNK = 1 << 20

    def __init__(self, config: TopFractionConfig, work: Path, report: Path) -> None:
        super().__init__()
        self.config, self.work, self.report = config, work, report

    def run_rank(self, rank: int, world_size: int) -> None:
        documents = sum(path.stat().st_size for path in (self.work / "numbers").glob("*.f8")) // 8
        found: dict[str, Any] = {"key": self.config.key, "fraction": self.config.fraction, "documents": documents}
        if documents:
            wanted = max(1, math.ceil(round(documents * self.config.fraction, 6)))
            threshold = self._number_at(wanted)
            kept = sum(int(np.count_nonzero(np.ascontiguousarray(chunk) >= threshold)) for chunk in self._chunks())
            found |= {"threshold": threshold, "kept": kept, "kept_share": kept / documents}
        write_json(self.report, found)

    def _number_at(self, rank: int) -> float:
        """Return the ``rank``-th largest number (from 1), 16 bits of its order at a time."""
        prefix = 0
        for shift in (48, 32, 16, 0):
            counts = np.zeros(1 << 16, dtype=np.int64)
            for chunk in self._chunks():
                order = _order(chunk)
                if shift < 48:
                    order = order[order >> np.uint64(shift + 16) == np.uint64(prefix)]
                digits = (order >> np.uint64(shift)) & np.uint64(0xFFFF)
                counts += np.bincount(digits.astype(np.int64), minlength=1 << 16)
            from_above = np.cumsum(counts[::-1])
            place = int(np.searchsorted(from_above, rank))
            rank -= int(from_above[place - 1]) if place else 0
            prefix = prefix << 16 | (0xFFFF - place)
        bits = prefix ^ (1 << 63) if prefix >> 63 else prefix ^ ((1 << 64) - 1)
        return float(np.array([bits], dtype=np.uint64).view(np.float64)[0])

    def _chunks(self) -> Iterator[np.ndarray]:
        for path in sorted((self.work / "numbers").glob("*.f8")):
            with open(path, "rb") as file:
                while data := file.read(8 * self.CHUNK):
                    yield np.frombuffer(data, dtype="<f8")


def _order(numbers: np.ndarray) -> np.ndarray:
    """Return uint64 that sort as the float64 numbers do: their bits, inverted where negative, else with a leading 1."""
    bits = (numbers + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    negative = bits >> np.uint64(63) == 1
    return np.where(negative, ~bits, bits | np.uint64(1 << 63))


class _KeepBest(DocumentStep):
    """Applies the threshold that was found."""

    def __init__(self, config: TopFractionConfig, work: Path) -> None:
        super().__init__(config)
        self.work = work
        self.threshold: float | None = None

    def process(self, documents: Iterator[Document], rank: int, world_size: int) -> Iterator[Document]:
        report = json.loads((self.work / f"{self.context.label}.report.json").read_text())
        self.threshold = report.get("threshold")
        return super().process(documents, rank, world_size)

    def process_document(self, document: Document) -> Document:
        value = number_of(document.metadata, self.config.key)
        if self.threshold is None or not value >= self.threshold:
            raise Rejection("below the best share")
        return document
