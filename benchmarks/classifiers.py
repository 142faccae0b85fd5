"""Classifiers side by side: agreement with held-out labels, and speed on one core.

Real texts are labelled by the rules of score_rules (mathematics, 0 to 5), which stand in for a language model: the
figures say how well each classifier learns that judgement, not how good the judgement is. Each classifier goes through
its real step, training included; then the trained ones score the same documents in turns, one thread each.

The encoders have random weights, because nothing is downloaded here: "tiny" shows what a head learns even from that,
"e5-small size" has the shape of multilingual-e5-small (12 layers, width 384, 512 tokens), whose
speed hangs on the shape alone; its quality is left out. --encoder names a real one.

    python benchmarks/classifiers.py                              # texts of $SMALLWRIGHT_SHARED/data
    python benchmarks/classifiers.py --texts a.jsonl.gz b.jsonl   # records with "text"
"""

import argparse
import gzip
import json
import os
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("RAYON_NUM_THREADS", "1")

from core.data.documents import ParquetSink
from core.data.steps import StepContext
from datatrove.data import Document
from smallwright_classifiers.config import (
    ClassifierConfig,
    EncoderClassifierConfig,
    FastTextClassifierConfig,
)
from smallwright_classifiers.model import COMMON, Trained
from smallwright_classifiers.steps import (
    Classifier,
    ClassifierStep,
    EncoderClassifier,
    FastTextClassifier,
)
from smallwright_labels.rules import score_text

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
DEFAULT = [
    f"data/{name}"
    for name in (
        *("math_text/d2l_en.jsonl.gz", "math_text/openlogic.jsonl.gz", "web_text/c4_demo.jsonl.gz"),
        *("web_text/wiki_demo.txt.gz", "wikitext2/wiki.valid.txt.gz", "gutenberg/botchan.txt.gz"),
        "math/math_test_dev.jsonl.gz",
    )
]
PIECE = 2500
"""Characters of a document: books and encyclopedia are cut at paragraphs."""
ENCODERS = {"tiny": (128, 2, 2), "e5-small size": (384, 12, 12)}
"""Width, layers, heads."""


def read(path: Path) -> Iterator[str]:
    """Yield the texts of a JSONL file, or the text of any other; .gz is decompressed."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        if ".jsonl" not in path.name:
            yield file.read()
            return
        for line in file:
            record = json.loads(line)
            yield record.get("text") or "\n".join(
                str(record[key]) for key in ("problem", "question", "solution", "answer") if key in record
            )


def pieces(text: str) -> Iterator[str]:
    """Cut a text at paragraphs, into pieces of about :data:`PIECE` characters."""
    piece = ""
    for paragraph in text.split("\n\n" if "\n\n" in text else "\n"):
        piece += paragraph + "\n\n"
        if len(piece) >= PIECE:
            yield piece
            piece = ""
    if len(piece) >= 200:
        yield piece


def labelled(paths: list[Path], most: int) -> list[Document]:
    """Return at most ``most`` labelled documents in random order."""
    texts = [piece for path in paths for text in read(path) for piece in pieces(text)]
    random.Random(0).shuffle(texts)
    return [
        Document(text=text, id=f"piece-{number}", metadata={"label": score_text(text), "label_scorer": "rules"})
        for number, text in enumerate(texts[:most])
    ]


def random_encoder(folder: Path, shape: tuple[int, int, int], texts: list[str]) -> str:
    """Save a BERT of random weights with a WordPiece tokenizer trained on the texts."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    inner = BertWordPieceTokenizer()
    inner.train_from_iterator(texts, vocab_size=8000, show_progress=False)
    folder.mkdir(parents=True)
    inner.save_model(str(folder))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=512)
    torch.manual_seed(0)
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    sizes = dict(zip(names, (*shape, 4 * shape[0]), strict=True))
    # at BERT's 0.02 the first token of a small random encoder hardly sees the others
    config = BertConfig(vocab_size=len(tokenizer), initializer_range=0.1, **sizes)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def train(step: ClassifierStep, corpus: Path, work: Path) -> tuple[float, dict[str, Any], Trained]:
    """Run the phases of a step; return their seconds, the report, and the classifier."""
    step.bind(StepContext(label="classifier", position=0, seed=1))
    started = time.perf_counter()
    for phase in step.phases(corpus, work):
        for part in phase.pipeline:
            list(part.run(None))
    seconds = time.perf_counter() - started
    report = json.loads((work / "classifier.report.json").read_text())
    return seconds, report, Trained(step.kind(), str(work / "classifier"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs="+", type=Path, default=[SHARED / name for name in DEFAULT])
    parser.add_argument("--documents", type=int, default=4000, help="labelled documents at most")
    parser.add_argument("--scored", type=int, default=512, help="documents scored in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoder", help="hub id or directory of a real encoder, beside the random ones")
    arguments = parser.parse_args()
    missing = [str(path) for path in arguments.texts if not path.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}; give --texts")

    documents = labelled(arguments.texts, arguments.documents)
    texts = [document.text for document in documents]
    counts = Counter(document.metadata["label"] for document in documents)
    print(
        f"{len(documents)} documents, {sum(map(len, texts)) / len(texts):.0f} characters on average, labels by rules:"
    )
    print("  " + ", ".join(f"{label}: {count}" for label, count in sorted(counts.items())))
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(documents, Path(folder), arguments)
    base = rows["linear"]["speed"]
    print(f"\n{'':34}{'macro F1':>9}{'F1 at 3':>9}{'training s':>12}{'documents/s':>13}{'to linear':>11}")
    for name, row in rows.items():
        quality = f"{row['macro']:9.3f}{row['binary']:9.3f}{row['seconds']:12.1f}" if "macro" in row else f"{'':30}"
        print(f"{name:34}{quality}{row['speed']:13.1f}{row['speed'] / base:11.4f}")


def compare(documents: list[Document], folder: Path, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Train every classifier, then let them score in turns."""
    texts = [document.text for document in documents]
    sink = ParquetSink(folder / "corpus" / "00000.parquet")
    for document in documents:
        sink.write(document)
    sink.close()
    tiny = random_encoder(folder / "tiny", ENCODERS["tiny"], texts)
    large = random_encoder(folder / "large", ENCODERS["e5-small size"], texts)
    encoder = {"device": "cpu", "batch": 64, "max_tokens": 512, "scoring_batch": 16}
    steps: dict[str, ClassifierStep] = {
        "linear": Classifier(ClassifierConfig()),
        "fastText": FastTextClassifier(FastTextClassifierConfig()),
        "fastText as it comes (5 x 0.1)": FastTextClassifier(FastTextClassifierConfig(epochs=5, learning_rate=0.1)),
        "encoder tiny, random, frozen": EncoderClassifier(
            EncoderClassifierConfig(encoder=tiny, learning_rate=3e-3, **encoder)
        ),
    }
    if arguments.encoder:
        config = EncoderClassifierConfig(encoder=arguments.encoder, **encoder)
        steps[f"encoder {arguments.encoder}"[:33]] = EncoderClassifier(config)
    rows: dict[str, dict[str, float]] = {}
    scorers = {}
    for number, (name, step) in enumerate(steps.items()):
        seconds, report, trained = train(step, folder / "corpus", folder / f"work-{number}")
        rows[name] = {"macro": report["macro_f1"], "binary": report["binary_f1"] or 0.0, "seconds": seconds}
        scorers[name] = (trained, arguments.scored)
        print(f"trained: {name}", flush=True)
    step = EncoderClassifier(EncoderClassifierConfig(encoder=large, **encoder))
    name = "encoder e5-small size, speed only"
    rows[name] = {}
    scorers[name] = (_Encoding(step), max(8, arguments.scored // 32))
    for trained, _ in scorers.values():
        trained.scorer.predict(texts[:1], [COMMON])  # models are loaded when first wanted
    speeds: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(arguments.rounds):
        for name, (trained, count) in scorers.items():
            batch = texts[:count]
            started = time.perf_counter()
            trained.scorer.predict(batch, [COMMON] * len(batch))
            speeds[name].append(len(batch) / (time.perf_counter() - started))
    for name, found in speeds.items():
        rows[name]["speed"] = statistics.median(found)
    return rows


class _Encoding:
    """Scores with a frozen encoder and its untrained head: the work of scoring, without the training."""

    def __init__(self, step: EncoderClassifier) -> None:
        kind = step.kind()
        self._encoder = kind.encoder(kind.settings(), frozen=True)  # type: ignore[attr-defined]
        self.scorer = self

    def predict(self, texts: list[str], models: list[str]) -> Any:
        return self._encoder.score_vectors(self._encoder.encode(texts))


if __name__ == "__main__":
    main()
