"""Peak memory of a training process on a CPU against what the plan said of it, a process for each case.

python benchmarks/memory.py                     # all cases
python benchmarks/memory.py nano 135m --compile no
python benchmarks/memory.py 15m --teacher       # each learns from a teacher of its own size
python benchmarks/memory.py 15m --stored        # each learns from what such a teacher said before
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SHAPES: dict[str, dict[str, Any]] = {
    "nano": {"size": "nano", "vocab_size": 2048},
    "15m": {
        "hidden_size": 384,
        "intermediate_size": 1024,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "vocab_size": 8192,
    },
    "135m": {"size": "smollm2-135m"},
}
BATCHES = {"nano": ((256, 4), (256, 32)), "15m": ((512, 4), (512, 16)), "135m": ((512, 2),)}
"""Sequence length in tokens, and sequences in a forward pass."""


def documents(vocab: int, tokens: int) -> list[list[int]]:
    """Return documents of 300 random ids."""
    generator = np.random.Generator(np.random.PCG64(0))
    return [[*generator.integers(1, vocab, 299).tolist(), 0] for _ in range(tokens // 300)]


def measure(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train two steps as the stage does, and return planned and used bytes."""
    from core import discovery
    from core.interfaces import Job
    from core.typed import build
    from smallwright_pretrain.config import TorchTitanConfig
    from smallwright_pretrain.distill_config import DistillConfig
    from smallwright_pretrain.stage import TorchTitanPretrain
    from smallwright_testing.tokens import write_tokens

    entry = next(e for e in discovery.load().entries() if e.kind == "architectures" and e.name == "gqa")
    architecture = entry.load()(build(entry.load_config(), SHAPES[case["shape"]], "arch"))
    inputs, distill = {"tokens": folder / "tokens"}, None
    if case["teacher"]:
        architecture.hf_model_class()(architecture.hf_config()).save_pretrained(folder / "teacher" / "hf")
        distill = DistillConfig(teacher=str(folder / "teacher"), logits=case["teacher"])
    settings = TorchTitanConfig(
        distill=distill,
        steps=2,
        seq_len=case["seq_len"],
        global_batch_size=case["rows"] * case["ranks"],
        nproc=case["ranks"],
        precision=case["precision"],
        compile=case["compile"],
        validation_sequences=case["rows"],
        device="cpu",
        verify_vllm=False,
    )
    vocab = architecture.vocab_rows()
    write_tokens(folder / "tokens", documents(vocab, 100_000), documents(vocab, 5_000), vocab_size=vocab)
    stage = TorchTitanPretrain(settings)
    if case["teacher"] == "live":
        inputs["teacher"] = folder / "teacher"
    for work in stage.stored_logits(["corpus"]):
        heard = {"teacher": folder / "teacher", "tokens": folder / "tokens"}
        asked = Job(name=work.role, output=folder / work.role, inputs=heard, seed=0, stage=work.stage)
        work.stage.run(asked)
        inputs[work.role] = asked.output
    output = folder / "output"
    output.mkdir()
    job = Job(name="pretrain", output=output, inputs=inputs, seed=0, architecture=architecture)
    os.environ.update({name: value for name, value in stage.environment().items() if name not in os.environ})
    planned = stage.plan(architecture)
    summary = stage.run(dataclasses.replace(job, stage=stage))
    return {
        **case,
        "planned": planned["memory_bytes"],
        "parts": planned["memory"],
        "used": summary["peak_memory_bytes"],
    }


def main() -> None:
    """Run the cases and print a table of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", default=[], help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], action="append")
    parser.add_argument("--compile", choices=["no", "yes"], action="append")
    parser.add_argument("--teacher", action="store_true", help="learn from a teacher of the same size")
    parser.add_argument("--stored", action="store_true", help="learn from what a teacher of the same size said before")
    parser.add_argument("--ranks", type=int, default=1, help="on this machine; the memory is that of one")
    parser.add_argument("--json", type=Path, help="append each case to this file")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(json.loads(options.case), Path(folder))))
        return
    cases = [
        {
            "shape": shape,
            "seq_len": seq_len,
            "rows": rows,
            "ranks": options.ranks,
            "precision": precision,
            "compile": compiled == "yes",
            "teacher": "stored" if options.stored else "live" if options.teacher else None,
        }
        for shape in options.shapes or SHAPES
        for seq_len, rows in BATCHES[shape]
        for compiled in options.compile or ("no", "yes")
        for precision in options.precision or ("float32", "bfloat16")
    ]
    print(f"torch {importlib.metadata.version('torch')}, Python {platform.python_version()}")
    print(
        f"{'shape':6} {'seq_len':>7} {'rows':>5} {'precision':10} {'compile':8} {'planned':>9} {'used MiB':>9}  ratio"
    )
    for case in cases:
        done = subprocess.run(
            [sys.executable, __file__, "--case", json.dumps(case)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            print(case, done.stderr[-2000:])
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        if options.json is not None:
            with options.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
        print(
            f"{case['shape']:6} {case['seq_len']:7} {case['rows']:5} {case['precision']:10} {case['compile']!s:8} "
            f"{found['planned'] / 2**20:9,.0f} {found['used'] / 2**20:9,.0f} {found['planned'] / found['used']:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
