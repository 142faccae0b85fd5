"""Reading training data: our feed, what a step needs, and the way of one permutation a pass, in one process.

Seven corpora in the shares of SmolLM2's last stage. ``permutation`` draws the windows of all corpora from
``numpy.random.permutation``, held in memory, and reads them from one array a corpus without documents. The tokens of
the large index are sparse files: they are opened and located, not read.

    python benchmarks/feed.py
    python benchmarks/feed.py --seq-len 2048 --batch 16
"""

import argparse
import itertools
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from core.interfaces import TokensMeta
from core.token_files import NPY_HEADER, TOKENS_A_FILE, TokenFile, TokenIndex
from core.writing import write_json
from smallwright_pretrain.cpu import use_device

STAGE_4 = {
    "web": {"share": 0.58, "of": {"fineweb_edu": 0.4, "dclm": 0.6}},
    "stack_edu": 0.24,
    "math": {"share": 0.14, "of": {"finemath": "139/140", "owm": "8/1400", "auggsm8k": "2/1400"}},
    "cosmopedia": 0.04,
}
"""arXiv 2502.02737, section 4.4."""
CORPORA = {
    "fineweb_edu": 24,
    "dclm": 70,
    "stack_edu": 3,
    "finemath": 1,
    "owm": 0.5,
    "auggsm8k": 0.01,
    "cosmopedia": 1.49,
}
"""Per cent of the tokens."""
DOCUMENT = 700
"""Tokens of each document."""


def write_corpus(folder: Path, tokens: int, document: int, *, sparse: bool) -> None:
    """Write a tokens artifact of documents of one length, with random ids or with none on the disk.

    Args:
        sparse: Leave the ids out; the starts of documents are written where they are few.
    """
    folder.mkdir()
    files, random = [], np.random.default_rng(0)
    for number, first in enumerate(range(0, tokens, TOKENS_A_FILE)):
        count = min(TOKENS_A_FILE, tokens - first)
        documents = -(-count // document)
        file = TokenFile(
            name=f"train-{number:05d}.bin",
            split="train",
            tokens=count,
            documents=documents,
            sha256="",
            starts_sha256="",
        )
        files.append(file)
        if sparse:
            with open(folder / file.name, "wb") as ids:
                ids.truncate(2 * count)
        else:
            random.integers(1, 8000, count, dtype=np.uint16).tofile(folder / file.name)
        np.save(folder / file.starts_name, np.arange(0, count, document, dtype="<u4"))
        assert (folder / file.starts_name).stat().st_size == NPY_HEADER + 4 * documents
    TokenIndex(tokenizer="", dtype="uint16", files=tuple(files)).save(folder)
    meta = TokensMeta(
        dtype="uint16",
        vocab_size=8192,
        eos_token_id=0,
        train_tokens=tokens,
        train_documents=sum(file.documents for file in files),
        validation_tokens=0,
        validation_documents=0,
        validation_bytes=0,
        unigram_loss=9.0,
    )
    write_json(folder / "meta.json", {key: getattr(meta, key) for key in meta.__dataclass_fields__})


def write_corpora(folder: Path, tokens: int, *, sparse: bool = False) -> dict[str, str]:
    """Write the seven corpora; return their folders."""
    for name, percent in CORPORA.items():
        write_corpus(folder / name, max(100_000, int(tokens * percent / 100)), DOCUMENT, sparse=sparse)
    return {name: str(folder / name) for name in CORPORA}


def loader(tokens: dict[str, str], arguments: argparse.Namespace, ranks: int = 1) -> Any:
    """Return the loader as the trainer builds it."""
    from smallwright_pretrain.data import StageRows, TokenDataLoader

    stage = StageRows(name="all", mixture=STAGE_4, seq_len=arguments.seq_len, sequences=10**9)
    config = TokenDataLoader.Config(tokens=tokens, stages=[stage], global_batch_size=arguments.batch * ranks)
    return config.build(dp_world_size=ranks, dp_rank=0, seq_len=arguments.seq_len, local_batch_size=arguments.batch)


def permuted(tokens: dict[str, str], arguments: argparse.Namespace) -> Iterator[Any]:
    """Yield batches of windows drawn from one permutation of all, without documents."""
    import torch

    length = arguments.seq_len
    ids = [np.memmap(Path(folder) / "train-00000.bin", "<u2", "r") for folder in tokens.values()]
    ends = np.cumsum([(len(own) - 1) // length for own in ids])
    order = np.random.default_rng(0).permutation(ends[-1])
    for first in itertools.cycle(range(0, len(order), arguments.batch)):
        rows = []
        for window in order[first : first + arguments.batch]:
            source = int(np.searchsorted(ends, window, side="right"))
            start = int(window - (ends[source - 1] if source else 0)) * length
            rows.append(ids[source][start : start + length + 1].astype(np.int64))
        batch_BL = torch.from_numpy(np.stack(rows))
        yield batch_BL[:, :-1], batch_BL[:, 1:]


def rate(batches: Iterator[Any], tokens: int, seconds: float = 1.0) -> float:
    """Return tokens a second of reading batches."""
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        next(batches)
        count += tokens
    return count / (time.perf_counter() - begin)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return seconds, growth of the peak memory in MB, and the result."""
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begin
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, result


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200_000_000, help="of the corpora that are read")
    parser.add_argument("--index", type=int, default=100_000_000_000, help="tokens of the large index")
    parser.add_argument("--step", type=float, default=4000.0, help="tokens a second that a training step needs")
    arguments = parser.parse_args()
    use_device("cpu")
    from smallwright_pretrain import data  # noqa: F401  imports torch, which is not timed
    from smallwright_pretrain.windows import LongWindows

    print(json.dumps(vars(arguments)))
    with tempfile.TemporaryDirectory() as folder:
        (large := Path(folder, "large")).mkdir()
        tokens = write_corpora(large, arguments.index, sparse=True)
        seconds, memory, opened = timed(lambda: loader(tokens, arguments, ranks=64))
        first, more, _ = timed(lambda: opened._look_ahead())
        print(f"open {arguments.index:,} tokens: {seconds:.3f} s, {memory:.1f} MB")
        print(f"look ahead: {first:.3f} s, {more:.1f} MB")
        for size in (1, 32, 1024):
            positions = np.arange(size) + 10**9
            once = min(timed(lambda rows=positions: opened.feed.locate(0, rows))[0] for _ in range(50))
            print(f"locate {size:5} positions: {1e6 * once / size:7.2f} us each")
        places = [Path(place) for place in tokens.values()]
        for length in (8192, 512):  # longer than all documents, and shorter
            row = places if length > DOCUMENT else places[2:3]
            seconds, memory, found = timed(lambda row=row, n=length: [LongWindows(place, "train", n) for place in row])
            size, count = (sum(getattr(one.shards, what) for one in found) for what in ("tokens", "documents"))
            print(f"view long, {length}: {size:,} tokens in {count:,} documents: {seconds:.3f} s, {memory:.1f} MB")
            del found
        windows = arguments.index // arguments.seq_len
        seconds, memory, _ = timed(lambda: np.random.default_rng(0).permutation(windows))
        print(f"a permutation of their windows: {seconds:.3f} s, {memory:.1f} MB")
    with tempfile.TemporaryDirectory() as folder:
        tokens = write_corpora(Path(folder), arguments.tokens)
        ways = {"feed": iter(loader(tokens, arguments)), "permutation": permuted(tokens, arguments)}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, batches in ways.items():
                rates[name].append(rate(batches, arguments.batch * arguments.seq_len))
    print(f"{'':12} {'tokens/s':>12} {'to the step':>12} {'to permutation':>15}")
    for name, values in rates.items():
        median = statistics.median(values)
        other = statistics.median(a / b for a, b in zip(values, rates["permutation"], strict=True))
        print(f"{name:12} {median:12,.0f} {median / arguments.step:12.0f} {other:15.2f}")


if __name__ == "__main__":
    main()
