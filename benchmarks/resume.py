"""Kill a training at random moments and start it again, and compare it with one that nothing interrupted.

Every life ends with SIGKILL: some while the ranks start, most behind a random step and a random delay, so that saves,
measurements and the export are hit too; half of the time the stage alone is killed, else it and all of its ranks. The
curves, the checkpoints that stay and the exported weights must have the same bytes as without kills.

    OMP_NUM_THREADS=1 python benchmarks/resume.py
    OMP_NUM_THREADS=1 python benchmarks/resume.py --kills 10 --ranks 2 --seed 1
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

VOCAB, STEPS = 64, 60
SHAPE = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 1, "vocab_size": VOCAB}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "steps": STEPS, "seq_len": 32, "global_batch_size": 4, "learning_rate": 1e-2, "checkpoint_interval": 3,
    "validation_interval": 7, "keep_every": 20, "device": "cpu", "verify_vllm": False,
    "spikes": {"action": "skip", "window": 8, "sigmas": 2.0},
}  # fmt: skip


def train(folder: Path, ranks: int) -> None:
    """Do the whole stage in this process; what an earlier life left is gone on from."""
    from core import discovery
    from core.interfaces import Job
    from core.typed import build
    from smallwright_pretrain.config import TorchTitanConfig
    from smallwright_pretrain.stage import TorchTitanPretrain

    entry = next(e for e in discovery.load().entries() if e.kind == "architectures" and e.name == "gqa")
    architecture = entry.load()(build(entry.load_config(), SHAPE, "arch"))
    settings = build(TorchTitanConfig, {**SETTINGS, "nproc": ranks}, "pretrain")
    output = folder / "made"
    output.mkdir(exist_ok=True)
    job = Job(name="x", output=output, inputs={"tokens": folder.parent / "tokens"}, seed=7, architecture=architecture)
    TorchTitanPretrain(settings).run(job)


def start(folder: Path, ranks: int) -> subprocess.Popen:
    """Start a life, in a group of processes of its own."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--train", str(folder), "--ranks", str(ranks)]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def steps_done(folder: Path) -> int:
    """Return how many lines of losses there are."""
    path = folder / "made" / "metrics.jsonl"
    return path.read_text().count('"loss"') if path.exists() else 0


def end(process: subprocess.Popen, choose: random.Random) -> None:
    """Kill the stage, whose ranks then end by themselves, or all of them at once."""
    if choose.random() < 0.5:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while subprocess.run(["pgrep", "-g", str(process.pid)], stdout=subprocess.DEVNULL, check=False).returncode == 0:
        time.sleep(0.02)


def interrupted(folder: Path, ranks: int, kills: int, choose: random.Random) -> list[str]:
    """Train with that many kills, then to the end; return where the kills were."""
    said = []
    for number in range(kills):
        process = start(folder, ranks)
        if choose.random() < 0.2:
            wait, until, delay = choose.uniform(0.5, 6.0), 0, 0.0
            time.sleep(wait)
            said.append(f"{wait:.1f} s after its start")
        else:
            # A life can begin with fewer steps than the one before had done: only new lines count.
            until = min(steps_done(folder) + choose.randrange(1, 1 + STEPS // kills), STEPS)
            delay = choose.uniform(0, 0.3)
            while process.poll() is None and steps_done(folder) < until:
                time.sleep(0.005)
            time.sleep(delay)
            said.append(f"{delay * 1000:.0f} ms behind step {until}")
        assert process.poll() is None, f"life {number} ended by itself, see {folder / 'log'}"
        end(process, choose)
    assert start(folder, ranks).wait() == 0, f"see {folder / 'log'}"
    return said


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of the artifact; the unfinished work is none of it."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and "work" not in path.relative_to(folder).parts
    )
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        return train(arguments.train, arguments.ranks)

    from smallwright_testing.tokens import write_tokens

    with tempfile.TemporaryDirectory() as place:
        root, generator = Path(place), np.random.default_rng(0)
        documents = [[*generator.integers(1, VOCAB, generator.integers(5, 60)).tolist(), 0] for _ in range(80)]
        (root / "tokens").mkdir()
        write_tokens(root / "tokens", documents[:70], documents[70:], vocab_size=VOCAB, unigram_loss=4.0)
        started = time.monotonic()
        assert start(root / "whole", arguments.ranks).wait() == 0, (root / "whole" / "log").read_text()[-3000:]
        whole = time.monotonic() - started
        said = interrupted(root / "killed", arguments.ranks, arguments.kills, random.Random(arguments.seed))
        expected, found = digests(root / "whole" / "made"), digests(root / "killed" / "made")
        spikes = (root / "whole" / "made" / "spikes.jsonl").read_text().count("\n")
        print(f"uninterrupted: {whole:.0f} s, {len(expected)} files, {spikes} steps skipped by the rule about spikes")
        print(f"killed {len(said)} times: {'; '.join(said)}")
        different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        print(f"files that differ: {', '.join(different) or 'none'}")
        sys.exit(bool(different))


if __name__ == "__main__":
    main()
