"""MinHash deduplication, side by side: our step (Parquet in and out, through its real phases), DataTrove's own pipeline
(words by str.split, and by its default English splitter), and bare rensa in memory.

The corpus is planted: 75 % originals (windows of real text with a quarter of the words replaced), 10 % exact copies,
10 % near copies (0.5 to 3 % of the words replaced), 5 % decoys (30 % replaced). All use 14 bands of 8 hashes of word
5-grams, one worker, one thread. Every run is a fresh process; the methods take turns. Times leave out start and
imports; the CPU ratio is that of processor time, which other work on the machine hardly moves. Recall and precision are
those of removed documents: of each original and its copies, all but one must go. Agreement: removed by both, of those
removed by one.

    python benchmarks/dedup.py --texts articles.jsonl            # records with "text"; without it, made-up text
    python benchmarks/dedup.py --memory 5000                     # peak memory at 5,000 and at 50,000 documents
"""

import argparse
import collections
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METHODS = ("smallwright", "datatrove", "datatrove_default", "rensa")
BANDS, ROWS, NGRAM = 14, 8, 5
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "ARROW_NUM_THREADS")
FILES = 4


def source_texts(path: str | None) -> list[list[str]]:
    """Return the words of texts to plant a corpus in: of a JSONL file, or made up with the frequencies of language."""
    if path is not None:
        with open(path, encoding="utf-8") as file:
            texts = [json.loads(line)["text"].split() for line in file]
        return [words for words in texts if len(words) >= 150]
    chance = random.Random(1)
    words = ["".join(chance.choices("etaoinshrdlcumwfgypbvk", k=chance.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    return [chance.choices(words, weights, k=500) for _ in range(1000)]


def plant(sources: list[list[str]], count: int) -> tuple[list[str], list[int]]:
    """Return texts in random order and, for each, the place of what it is a copy of, or -1."""
    chance = random.Random(0)
    vocabulary = [word for words in sources[:500] for word in words[:50]]
    originals = int(count * 0.75)
    made: list[tuple[list[str], int]] = []

    def changed(words: list[str], share: float) -> list[str]:
        return [chance.choice(vocabulary) if chance.random() < share else word for word in words]

    for _ in range(originals):
        words = chance.choice(sources)
        length = chance.randint(120, 400)
        start = chance.randrange(max(1, len(words) - length))
        made.append((changed(words[start : start + length], 0.25), -1))
    for _ in range(int(count * 0.1)):
        place = chance.randrange(originals)
        made.append((made[place][0], place))
    for _ in range(int(count * 0.1)):
        place = chance.randrange(originals)
        made.append((changed(made[place][0], chance.choice((0.005, 0.01, 0.02, 0.03))), place))
    while len(made) < count:
        made.append((changed(made[chance.randrange(originals)][0], 0.3), -1))
    order = list(range(count))
    chance.shuffle(order)
    new = {old: place for place, old in enumerate(order)}
    texts = [" ".join(made[old][0]) for old in order]
    return texts, [new[made[old][1]] if made[old][1] >= 0 else -1 for old in order]


def write(folder: Path, texts: list[str], copies: list[int]) -> None:
    """Write one corpus as JSONL and as Parquet, four files each, and the truth."""
    from core.data.documents import ParquetSink
    from datatrove.data import Document

    (folder / "jsonl").mkdir(parents=True)
    share = -(-len(texts) // FILES)
    for file in range(FILES):
        sink = ParquetSink(folder / "parquet" / f"{file:05d}.parquet")
        with (folder / "jsonl" / f"{file:05d}.jsonl").open("w") as lines:
            for number in range(file * share, min(len(texts), (file + 1) * share)):
                sink.write(Document(text=texts[number], id=str(number)))
                lines.write(json.dumps({"id": str(number), "text": texts[number]}) + "\n")
        sink.close()
    (folder / "truth.json").write_text(json.dumps(copies))


def kept_smallwright(corpus: Path, work: Path) -> list[int]:
    """Run our step as the recipe runner does."""
    from core.data.documents import ReadDocuments, WriteDocuments, read_documents
    from core.data.executor import LocalExecutor
    from core.data.recipe import LocalExecutorConfig
    from core.data.steps import StepContext
    from smallwright_dedup.config import MinHashConfig
    from smallwright_dedup.minhash import MinHash

    step = MinHash(MinHashConfig(bands=BANDS, rows=ROWS, ngram=NGRAM))
    step.bind(
        StepContext(label="minhash", position=0, seed=0, rejected=work / "rejected", ledgers=work, reports=work / "r")
    )
    source = corpus / "parquet"
    with clock(), LocalExecutor(LocalExecutorConfig(workers=1)) as executor:
        for phase in step.phases(source, work / "work"):
            executor.run(phase.pipeline, phase.tasks or FILES, work / "logs" / phase.name, lambda done: None)
        applied = step.pass_step(work / "work")
        applied.bind(step.context)
        pipeline = [ReadDocuments(source), applied, WriteDocuments(work / "out")]
        executor.run(pipeline, FILES, work / "logs" / "pass", lambda done: None)
    return [
        int(d.id) for path in sorted((work / "out").glob("*.parquet")) for d in read_documents(path, ["id", "text"])
    ]


def kept_datatrove(corpus: Path, work: Path, default_splitter: bool = False) -> list[int]:
    """Run DataTrove's four stages, JSONL in and out."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.word_tokenizers import WordTokenizer, load_word_tokenizer

    class Split(WordTokenizer):
        def word_tokenize(self, text):
            return text.split()

        def sent_tokenize(self, text):
            return [text]

        def span_tokenize(self, text):
            return [(0, len(text))]

    language = "en" if default_splitter else Split()
    load_word_tokenizer(language).word_tokenize("The model is loaded before the clock starts.")
    config = MinhashConfig(
        n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS, hash_config=HashConfig(precision=64)
    )
    read = JsonlReader(str(corpus / "jsonl"))
    signatures, buckets, removed = (str(work / name) for name in ("signatures", "buckets", "removed"))
    written = JsonlWriter(str(work / "out"), compression=None)
    with clock():
        for name, pipeline, tasks in (
            ("1", [read, MinhashDedupSignature(signatures, config=config, language=language)], FILES),
            ("2", [MinhashDedupBuckets(input_folder=signatures, output_folder=buckets, config=config)], BANDS),
            ("3", [MinhashDedupCluster(input_folder=buckets, output_folder=removed, config=config)], 1),
            ("4", [read, MinhashDedupFilter(input_folder=removed), written], FILES),
        ):
            LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(work / "logs" / name)).run()
    return [int(json.loads(line)["id"]) for path in (work / "out").iterdir() for line in path.open()]


def kept_rensa(corpus: Path, work: Path) -> list[int]:
    """Run rensa's own index over texts in memory: no files, no accounts."""
    import rensa

    texts = [json.loads(line)["text"] for path in sorted((corpus / "jsonl").iterdir()) for line in path.open()]
    with clock():
        index = rensa.RMinHashLSH(threshold=0.75, num_perm=BANDS * ROWS, num_bands=BANDS)
        parent = list(range(len(texts)))

        def find(place: int) -> int:
            while parent[place] != place:
                parent[place] = parent[parent[place]]
                place = parent[place]
            return place

        for place, text in enumerate(texts):
            words = text.split()
            minhash = rensa.RMinHash(num_perm=BANDS * ROWS, seed=42)
            minhash.update([" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))])
            for other in index.query(minhash):
                a, b = find(place), find(other)
                parent[max(a, b)] = min(a, b)
            index.insert(place, minhash)
        kept = [place for place in range(len(texts)) if find(place) == place]
    return kept


@contextlib.contextmanager
def clock():
    """Measure wall and processor time of the work, for :func:`child`."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    MEASURED.update(seconds=time.perf_counter() - wall, cpu_seconds=time.process_time() - cpu)


MEASURED: dict[str, float] = {}


def child(method: str, corpus: Path) -> None:
    """Run one method and print what came of it as JSON."""
    import loguru

    loguru.logger.remove()
    loguru.logger.add = lambda *a, **k: 0  # DataTrove adds one for each task
    with tempfile.TemporaryDirectory(dir=corpus.parent) as work:
        run = {
            "smallwright": kept_smallwright,
            "datatrove": kept_datatrove,
            "datatrove_default": lambda corpus, work: kept_datatrove(corpus, work, default_splitter=True),
            "rensa": kept_rensa,
        }[method]
        kept = run(corpus, Path(work))
    copies = json.loads((corpus / "truth.json").read_text())
    removed = sorted(set(range(len(copies))) - set(kept))
    # Not ru_maxrss, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    memory = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print("RESULT" + json.dumps({**MEASURED, "memory": memory, "removed": removed}))


def quality(removed: list[int], copies: list[int]) -> tuple[float, float]:
    """Return recall and precision of removals."""
    gone = set(removed)
    groups = collections.defaultdict(list)
    for place, original in enumerate(copies):
        groups[place if original < 0 else original].append(place)
    expected = sum(len(group) - 1 for group in groups.values())
    good = sum(min(len(group) - 1, len(gone.intersection(group))) for group in groups.values())
    return good / expected, good / max(1, len(gone))


def measure(method: str, corpus: Path) -> dict:
    """Run one method in a process of its own."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [sys.executable, __file__, "--child", method, str(corpus)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise SystemExit(f"{method} failed:\n{done.stderr[-2000:]}")
    return json.loads(lines[-1].removeprefix("RESULT"))


def compare(corpus: Path, methods: list[str], rounds: int) -> None:
    """Print a table of methods, which take turns."""
    copies = json.loads((corpus / "truth.json").read_text())
    runs: dict[str, list[dict]] = {method: [] for method in methods}
    for _ in range(rounds):
        for method in methods:
            runs[method].append(measure(method, corpus))
    speed = {m: statistics.median(len(copies) / run["seconds"] for run in runs[m]) for m in methods}
    base = methods[1] if len(methods) > 1 else methods[0]
    theirs = set(runs[base][0]["removed"])
    print(f"\n{len(copies):,} documents, {rounds} rounds (ratio: median of the ratios within a round)")
    heads = [
        ("docs/s", 9),
        ("ratio", 8),
        ("CPU ratio", 11),
        ("recall", 9),
        ("precision", 11),
        ("agreement", 11),
        ("peak MB", 9),
    ]
    print(f"{'method':<19}" + "".join(f"{head:>{width}}" for head, width in heads))
    for method in methods:
        recall, precision = quality(runs[method][0]["removed"], copies)
        pairs = list(zip(runs[base], runs[method], strict=True))
        ratio = statistics.median(other["seconds"] / own["seconds"] for other, own in pairs)
        cpu_ratio = statistics.median(other["cpu_seconds"] / own["cpu_seconds"] for other, own in pairs)
        ours = set(runs[method][0]["removed"])
        agreement = len(ours & theirs) / max(1, len(ours | theirs))
        memory = max(run["memory"] for run in runs[method])
        print(
            f"{method:<19}{speed[method]:>9,.0f}{ratio:>8.2f}{cpu_ratio:>11.2f}{recall:>9.4f}{precision:>11.4f}"
            f"{agreement:>11.4f}{memory:>9.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", help='JSONL with "text", to plant the corpus in')
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--default-documents", type=int, default=2000, help="with DataTrove's default splitter; 0: not")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, metavar="N", help="measure peak memory at N and 10 N documents instead")
    parser.add_argument("--child", nargs=2, metavar=("METHOD", "CORPUS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], Path(arguments.child[1]))
        return
    sources = source_texts(arguments.texts)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.memory:
            print(f"{'documents':>10}{'method':>14}{'peak MB':>9}")
            for count in (100, arguments.memory, 10 * arguments.memory):
                write(Path(folder) / str(count), *plant(sources, count))
                for method in ("smallwright", "datatrove", "rensa"):
                    memory = measure(method, Path(folder) / str(count))["memory"]
                    print(f"{count:>10,}{method:>14}{memory:>9.0f}", flush=True)
            return
        write(Path(folder) / "large", *plant(sources, arguments.documents))
        compare(Path(folder) / "large", ["smallwright", "datatrove", "rensa"], arguments.rounds)
        if arguments.default_documents:
            write(Path(folder) / "small", *plant(sources, arguments.default_documents))
            compare(Path(folder) / "small", ["smallwright", "datatrove_default", "datatrove"], 1)


if __name__ == "__main__":
    main()
