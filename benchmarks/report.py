"""How long and with how much memory the report and page of a large run are made: many set-aside documents, long curves.

    python benchmarks/report.py
    python benchmarks/report.py --documents 100000 --steps 10000

Writes the artifacts of such a run to a temporary folder, then measures, in a process of its own, the collecting of
report.json and the making of report.html.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from core import store

STEPS = ("read", "url_filter", "language", "gopher_quality", "minhash")
REASONS = 6
SHARDS = 16
LONGEST = 5
"""Seconds."""
MOST_MEMORY = 500
"""MB."""


def main() -> int:
    """Print a line for each part, and whether the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000, help="set aside (1000000)")
    parser.add_argument("--steps", type=int, default=100_000, help="of training (100000)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        return 0 if measure(options.measure) else 1
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_data(root / "store" / "data" / "web-000000000000", options.documents)
        make_training(root / "store" / "pretrain" / "gqa-000000000001", options.steps)
        command = [sys.executable, __file__, "--measure", str(root)]
        print(f"{options.documents:,} documents set aside, {options.steps:,} steps")
        return subprocess.run(command, check=False).returncode


def make_data(artifact: Path, documents: int) -> None:
    """Write a data artifact as the recipe does: documents by shard, what was set aside by step and shard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = "The number of books in the village shop is the sum of what came and what was there before. " * 10

    def write(path: Path, number: int, **more: list[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {
            "id": [f"{path.stem}-{i}" for i in range(number)],
            "text": [f"{i} {text}" for i in range(number)],
            "url": [f"https://{i % 99}.example/{i}" for i in range(number)],
            "score": [i % 50 / 10 for i in range(number)],
            "metadata": ["{}"] * number,
            **more,
        }
        pq.write_table(pa.table(columns), path, row_group_size=1000, compression="zstd")

    for shard in range(SHARDS):
        write(artifact / "documents" / f"{shard:05d}.parquet", 1000)
    each = documents // (len(STEPS) * SHARDS)
    funnel, left = [], each * len(STEPS) * SHARDS + 1000 * SHARDS
    for position, step in enumerate(STEPS):
        for shard in range(SHARDS):
            reasons = [f"reason {i % REASONS}" for i in range(each)]
            path = artifact / "rejected" / f"{position:02d}-{step}-{shard:05d}.parquet"
            write(path, each, step=[step] * each, outcome=["rejected"] * each, reason=reasons)
        rejected = {f"reason {i}": each * SHARDS // REASONS for i in range(REASONS)}
        kept = left - sum(rejected.values())
        funnel.append({"step": step, "in": left, "kept": kept, "rejected": rejected, "failed": {}})
        left = kept
    summary = {"documents": 1000 * SHARDS, "characters": 16_000_000, "funnel": funnel}
    store.finish(artifact, record("data", "data", {}, summary))


def make_training(artifact: Path, steps: int) -> None:
    """Write the metrics of a training, a line a step."""
    artifact.mkdir(parents=True)
    with open(artifact / "metrics.jsonl", "w", encoding="utf-8") as file:
        for step in range(1, steps + 1):
            line = {"step": step, "loss": 2 + 6 / step + step % 7 / 50, "lr": 1e-3, "grad_norm": 1.0, "tokens": step}
            file.write(json.dumps(line) + "\n")
    summary = {
        "stored_parameters": 1_000_000,
        "executed_parameters": 1_000_000,
        "tokens": steps * 1000,
        "tokens_per_second": 5000.0,
        "validation_loss": 2.0,
        "unigram_loss": 6.0,
        "engine": {"name": "torchtitan", "version": "0"},
        "device": "cpu",
        "throughput_curve": [[step, 5000.0 + step % 9] for step in range(1, steps + 1, max(1, steps // 1000))],
    }
    store.finish(artifact, record("pretrain", "pretrain", {}, summary))


def record(stage: str, folder: str, inputs: dict, summary: dict) -> dict:
    """Return what a manifest needs."""
    identity = {"plugin": "benchmark"}
    return {
        "stage": stage,
        "folder": folder,
        "identity": identity,
        "inputs": inputs,
        "external_files": [],
        "summary": summary,
    }


def measure(root: Path) -> bool:
    """Make report and page of the artifacts below ``root``, print what it took, and return whether the bounds hold."""
    from core import report
    from smallwright_report import run_page

    stages = []
    for artifact in sorted(root.glob("store/*/*")):
        folder = artifact.parent.name
        spec = SimpleNamespace(name=folder, folder=folder, label="web", seed=0, architecture=None, inputs={})
        spec.directory = lambda _, artifact=artifact: artifact
        stages.append(spec)
    started, busy = time.perf_counter(), time.process_time()
    _, written = report.write("large", root, stages, [], {"seed": 0}, root / "store", 1.0)
    collected = time.perf_counter()
    page = run_page.of_folder(root)
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert page is not None
    print(f"report.json {collected - started:6.2f} s  {written.stat().st_size / 1e6:.2f} MB")
    print(f"report.html {ended - collected:6.2f} s  {page.stat().st_size / 1e6:.2f} MB")
    own = time.process_time() - busy
    print(f"together    {ended - started:6.2f} s, of a processor {own:.2f} s; peak memory {peak:.0f} MB")
    held = ended - started <= LONGEST and peak <= MOST_MEMORY
    print(f"the bound of {LONGEST} s and {MOST_MEMORY} MB {'holds' if held else 'does not hold'}")
    return held


if __name__ == "__main__":
    sys.exit(main())
