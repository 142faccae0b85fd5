"""Tokenizing and packing a corpus beside the tokenizers library alone, and opening the index of 100 billion tokens.

The library encodes the same texts, which are in memory already, with ``encode_batch_fast`` on all cores; the packer
reads them from Parquet, encodes, packs, counts, hashes and writes them. Variants take turns, each in a process of its
own; of each the seconds are those of the fastest round, by the clock and of all cores.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

VARIANTS = ("encode_batch_fast", "packed")
BATCH = 256


def texts_of(corpus: Path) -> list[str]:
    """Return all texts of a corpus artifact."""
    import pyarrow.parquet as pq

    files = sorted((corpus / "documents").glob("*.parquet"))
    return [text for file in files for text in pq.read_table(file, columns=["text"]).column("text").to_pylist()]


def repeated(corpus: Path, folder: Path, megabytes: int) -> Path:
    """Write the documents of a corpus again and again, under other ids, until it has so much text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "documents").mkdir(parents=True)
    texts = texts_of(corpus)
    size = sum(len(text.encode()) for text in texts)
    for number in range(-(-megabytes * 2**20 // size)):
        table = pa.table({"id": [f"{number}-{place}" for place in range(len(texts))], "text": texts})
        pq.write_table(table, folder / "documents" / f"{number:05d}.parquet", compression="zstd")
    return folder


def encode(corpus: Path, tokenizer: Path) -> dict[str, Any]:
    """Encode all texts by the library alone, in batches as the packer has them."""
    from smallwright_tokenizer.files import load_for_texts

    loaded, texts = load_for_texts(tokenizer), texts_of(corpus)
    started, cpu = time.perf_counter(), time.process_time()
    tokens = 0
    for start in range(0, len(texts), BATCH):
        encodings = loaded.encode_batch_fast(texts[start : start + BATCH], add_special_tokens=False)
        tokens += sum(map(len, encodings))
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu, "tokens": tokens}


def pack(corpus: Path, tokenizer: Path, output: Path) -> dict[str, Any]:
    """Run the stage ``tokens``, with as many workers as there are cores."""
    from core.interfaces import Job
    from smallwright_tokenizer.config import PackedConfig
    from smallwright_tokenizer.stage import Packed

    job = Job(name="tokens", output=output, inputs={"corpus": corpus, "tokenizer": tokenizer}, seed=0)
    started, cpu = time.perf_counter(), _cpu()
    made = Packed(PackedConfig()).run(job)
    tokens = made["train_tokens"] + made["validation_tokens"]
    return {"seconds": time.perf_counter() - started, "cpu": _cpu() - cpu, "tokens": tokens}


def _cpu() -> float:
    """Return the seconds of all cores of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def open_index(files: int, tokens: int) -> dict[str, Any]:
    """Open an artifact of sparse files, read a window and its documents, and return seconds and bytes of memory."""
    from core.token_files import NPY_HEADER, TokenFile, TokenIndex, TokenShards

    with tempfile.TemporaryDirectory() as name:
        folder, documents = Path(name), tokens // 1000
        rows = []
        for number in range(files):
            row = TokenFile(
                name=f"train-{number:05d}.bin", split="train", tokens=tokens, documents=documents, sha256="",
                starts_sha256="",
            )  # fmt: skip
            for part, size in ((row.name, 2 * tokens), (row.starts_name, NPY_HEADER + 4 * documents)):
                with open(folder / part, "wb") as file:
                    file.truncate(size)
            rows.append(row)
        TokenIndex(tokenizer="", dtype="uint16", files=tuple(rows)).save(folder)
        meta = {"dtype": "uint16", "vocab_size": 49152, "eos_token_id": 0, "train_tokens": files * tokens}
        meta |= {"train_documents": files * documents, "validation_tokens": 0, "validation_documents": 0}
        (folder / "meta.json").write_text(json.dumps({**meta, "validation_bytes": 0, "unigram_loss": 9.0}))
        import numpy as np  # its own memory is no part of the index

        np.searchsorted(np.zeros(1), 0)
        before, started = _peak(), time.perf_counter()
        shards = TokenShards(folder, "train")
        opened, memory = time.perf_counter() - started, _peak() - before
        for place in np.random.default_rng(0).integers(0, shards.tokens - 2049, 1000).tolist():
            shards.read(place, place + 2049)
            shards.starts(place, place + 2049)
        window = (time.perf_counter() - started - opened) / 1000
        return {"seconds": opened, "bytes": memory, "bytes_later": _peak() - before, "seconds_a_window": window}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="artifact of a corpus, such as store/data/finemath-...")
    parser.add_argument("--tokenizer", type=Path, help="folder of a tokenizer, such as store/tokenizer/bpe-...")
    parser.add_argument("--megabytes", type=int, default=128, help="of text; the corpus is repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", choices=[*VARIANTS, "index"], help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.variant is not None:
        answer = {
            "encode_batch_fast": lambda: encode(given.corpus, given.tokenizer),
            "packed": lambda: pack(given.corpus, given.tokenizer, given.output),
            "index": lambda: open_index(100, 10**9),
        }[given.variant]()
        print(json.dumps(answer))
        return
    index = _run("index")
    print(
        f"index of 100 files of 1e9 tokens: opened in {index['seconds'] * 1000:.1f} ms with "
        f"{index['bytes'] / 2**20:.1f} MiB; then 1000 windows of 2049 tokens with their documents, "
        f"{index['seconds_a_window'] * 1e6:.0f} us each, {index['bytes_later'] / 2**20:.1f} MiB"
    )
    if given.corpus is None or given.tokenizer is None:
        return
    with tempfile.TemporaryDirectory() as name:
        corpus = repeated(given.corpus, Path(name) / "corpus", given.megabytes)
        found: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
        for number in range(given.rounds):
            for variant in VARIANTS:
                output = Path(name) / f"{variant}-{number}"
                found[variant].append(_run(variant, corpus=corpus, tokenizer=given.tokenizer, output=output))
        best = {variant: {key: min(row[key] for row in rows) for key in rows[0]} for variant, rows in found.items()}
        for variant, row in best.items():
            print(
                f"{variant:18} {row['tokens']:>12,} tokens {row['seconds']:8.1f} s {row['cpu']:8.1f} s of all cores "
                f"{row['tokens'] / row['seconds']:>12,.0f} tokens/s"
            )
        ratios = {key: best["encode_batch_fast"][key] / best["packed"][key] for key in ("seconds", "cpu")}
        print(f"ratio: {ratios['seconds']:.2f} by the clock, {ratios['cpu']:.2f} of all cores' seconds")


def _run(variant: str, **options: Path) -> dict[str, Any]:
    arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    command = [sys.executable, __file__, "--variant", variant, *arguments]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
