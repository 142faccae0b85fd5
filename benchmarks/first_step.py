"""Seconds from the command to the first step of a training, and to the end of its run; the corpus is made before.

python benchmarks/first_step.py --rounds 3
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = ["+arch=gqa", "+data=demo_pages", "~eval", "pretrain.steps=30", "pretrain.log_interval=1"]
"""A model of 1M parameters, which is exported and loaded again in Transformers."""
MORE = ["pretrain.verify_vllm=false"]


def command(rate: float) -> list[str]:
    """Return the command of a training that no other round has done."""
    return [sys.executable, "-m", "core.run", *RUN, *MORE, f"pretrain.learning_rate={rate}"]


def timed(folder: Path, rate: float) -> tuple[float, float]:
    """Return the seconds to the first logged step, and to the end."""
    before = set(folder.glob("store/pretrain/*/metrics.jsonl"))
    began = time.perf_counter()
    first = float("nan")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command(rate), cwd=folder, env={**os.environ, "HF_HUB_OFFLINE": "1"}, **quiet)
    while process.poll() is None:
        logged = set(folder.glob("store/pretrain/*/metrics.jsonl")) - before
        if first != first and any(file.stat().st_size for file in logged):
            first = time.perf_counter() - began
        time.sleep(0.02)
    if process.returncode:
        sys.exit(f"the run failed with exit code {process.returncode}: {' '.join(command(rate))}")
    return first, time.perf_counter() - began


def main() -> None:
    """Make the corpus, run the rounds, print their times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        timed(Path(folder), 1e-3)
        print(f"{'first step, s':>14} {'whole run, s':>14}")
        for number in range(arguments.rounds):
            first, whole = timed(Path(folder), 2e-3 + number * 1e-4)
            print(f"{first:14.1f} {whole:14.1f}")


if __name__ == "__main__":
    main()
