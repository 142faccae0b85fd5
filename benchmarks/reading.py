"""Rows to documents: our readers beside DataTrove's on the same files, in turns, in one process.

    python benchmarks/reading.py --rows 20000 --rounds 5

Makes rows of text, url and a few other fields, writes them as JSONL (plain and gzip) and Parquet, checks that both
readers give the same texts, and prints documents a second, the median of the rounds.
"""

import argparse
import gzip
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from core.data.steps import StepContext
from datatrove.pipeline.readers import JsonlReader, ParquetReader
from loguru import logger
from smallwright_files.config import ReadJsonlConfig, ReadParquetConfig
from smallwright_files.read import ReadJsonl, ReadParquet


def make_rows(count: int, characters: int) -> list[dict]:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(5000)]
    return [
        {
            "id": f"row-{number}",
            "text": " ".join(rng.choices(words, k=characters // 7)),
            "url": f"http://host{number % 97}.example/{number}",
            "language": "en",
            "score": rng.random() * 5,
            "dump": "CC-MAIN-2024-10",
        }
        for number in range(count)
    ]


def ours(step: ReadJsonl | ReadParquet, file: Path) -> Callable[[], list[str]]:
    step.bind(StepContext(label="read", position=0, seed=0, files=(str(file),)))
    return lambda: [document.text for document in step.run(None)]


def theirs(reader: JsonlReader | ParquetReader) -> Callable[[], list[str]]:
    return lambda: [document.text for document in reader.run()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--characters", type=int, default=2500, help="of a text, about")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    logger.remove()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make_rows(options.rows, options.characters)
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / "plain.jsonl").write_bytes(data)
        (folder / "gzip.jsonl.gz").write_bytes(gzip.compress(data, 6))
        pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet", compression="zstd")
        readers = {
            "JSONL": (
                ours(ReadJsonl(ReadJsonlConfig()), folder / "plain.jsonl"),
                theirs(JsonlReader(str(folder), glob_pattern="plain.jsonl", doc_progress=False)),
            ),
            "JSONL, gzip": (
                ours(ReadJsonl(ReadJsonlConfig()), folder / "gzip.jsonl.gz"),
                theirs(JsonlReader(str(folder), glob_pattern="gzip.jsonl.gz", doc_progress=False)),
            ),
            "Parquet, zstd": (
                ours(ReadParquet(ReadParquetConfig()), folder / "rows.parquet"),
                theirs(ParquetReader(str(folder), glob_pattern="rows.parquet", doc_progress=False)),
            ),
        }
        print(f"{options.rows} rows, {len(data) / 1e6:.0f} MB of JSONL\n")
        print("| file | ours | DataTrove | ratio |\n|---|---|---|---|")
        for label, pair in readers.items():
            seconds: tuple[list[float], list[float]] = ([], [])
            for _ in range(options.rounds):
                texts = []
                for run, times in zip(pair, seconds, strict=True):
                    started = time.perf_counter()
                    texts.append(run())
                    times.append(time.perf_counter() - started)
                assert texts[0] == texts[1] == [row["text"] for row in rows], f"{label}: the readers differ"
            speeds = [options.rows / statistics.median(times) for times in seconds]
            ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
            print(f"| {label} | {speeds[0]:.0f} | {speeds[1]:.0f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
