"""Quality filters, side by side: ours, DataTrove's with the same splitter of words, DataTrove's with its own (spaCy).

One core, documents in memory. For each filter and for the chain of four the methods take turns. The last column counts
documents on which the first two differ, in the decision or in the text that is left; not for pii, where DataTrove's
replacements go on through the shard and ours start anew in each document.

    python benchmarks/quality_filters.py --texts pages.jsonl     # records with "text"; plain or gzipped
    python benchmarks/quality_filters.py                         # made-up text with the frequencies of language
"""

import argparse
import gzip
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from smallwright_quality import config
from smallwright_quality.heuristics import C4Quality, FineWebQuality, GopherQuality
from smallwright_quality.language import Language
from smallwright_quality.pii import Pii
from smallwright_quality.repetition import GopherRepetition
from smallwright_quality.words import FastWords

Outcome = list[tuple[str, str] | None]
CHAIN = ("gopher_repetition", "gopher_quality", "c4_quality", "fineweb_quality")
OURS = {
    "language": lambda: Language(config.LanguageConfig()),
    "gopher_repetition": lambda: GopherRepetition(config.GopherRepetitionConfig()),
    "gopher_quality": lambda: GopherQuality(config.GopherQualityConfig()),
    "c4_quality": lambda: C4Quality(config.C4QualityConfig()),
    "fineweb_quality": lambda: FineWebQuality(config.FineWebQualityConfig()),
    "pii": lambda: Pii(config.PiiConfig()),
}
THEIRS: dict[str, Callable] = {
    "gopher_repetition": lambda words: GopherRepetitionFilter(language=words),
    "gopher_quality": lambda words: GopherQualityFilter(language=words),
    "c4_quality": lambda words: C4QualityFilter(filter_no_terminal_punct=False, language=words),
    "fineweb_quality": lambda words: FineWebQualityFilter(language=words),
    "pii": lambda words: PIIFormatter(),
}


def load(path: str | None) -> list[str]:
    """Return texts of a JSONL file, or made-up ones of 20 to 2,000 words."""
    if path is not None:
        opener = gzip.open if path.endswith(".gz") else open
        with opener(path, "rt", encoding="utf-8") as file:
            return [json.loads(line)["text"] for line in file]
    chance = random.Random(1)
    words = ["".join(chance.choices("etaoinshrdlcumwfgypbvk", k=chance.randint(2, 9))) for _ in range(20_000)]
    words[:8] = ["the", "be", "to", "of", "and", "that", "have", "with"]
    weights = [1 / (rank + 3) for rank in range(len(words))]

    def sentence() -> str:
        return " ".join(chance.choices(words, weights, k=chance.randint(4, 25))) + chance.choice([". ", ". ", ".\n"])

    return ["".join(sentence() for _ in range(chance.randint(2, 130))) for _ in range(300)]


def run_ours(names: tuple[str, ...], texts: list[str]) -> Outcome:
    """Return the text of each document that every step keeps, or None."""
    stream: Iterator[Document] = iter([Document(text=text, id=str(place)) for place, text in enumerate(texts)])
    for name in names:
        stream = OURS[name]().run(stream)
    outcome: Outcome = [None] * len(texts)
    for document in stream:
        outcome[int(document.id)] = document.text
    return outcome


def run_theirs(names: tuple[str, ...], texts: list[str], words: object) -> Outcome:
    """The same with DataTrove's filters, through their own ``run``."""
    stream: Iterator[Document] = iter([Document(text=text, id=str(place)) for place, text in enumerate(texts)])
    for name in names:
        stream = THEIRS[name](words).run(stream)
    outcome: Outcome = [None] * len(texts)
    for document in stream:
        outcome[int(document.id)] = document.text
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", help="JSONL file with a field text")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spacy-documents", type=int, default=50, help="documents for the spaCy rows; 0: leave it out")
    arguments = parser.parse_args()
    texts = load(arguments.texts)
    print(f"{len(texts)} documents, {sum(map(len, texts)) / len(texts):.0f} characters on average")
    print("| step | ours, documents/s | DataTrove, same words | ratio | DataTrove, spaCy | ratio | other decisions |")
    print("|---|---|---|---|---|---|---|")
    rows = [("language",), *((name,) for name in CHAIN), ("pii",), CHAIN, ("language", *CHAIN, "pii")]
    for names in rows:
        theirs = tuple(name for name in names if name in THEIRS)
        methods: dict[str, Callable[[], Outcome]] = {"ours": lambda names=names: run_ours(names, texts)}
        if theirs == names:
            methods["datatrove"] = lambda names=names: run_theirs(names, texts, FastWords())
            if arguments.spacy_documents and names != ("pii",):
                few = texts[: arguments.spacy_documents]
                methods["spacy"] = lambda names=names, few=few: run_theirs(names, few, "eng")
        seconds: dict[str, list[float]] = {method: [] for method in methods}
        outcomes: dict[str, Outcome] = {}
        for turn in range(arguments.rounds):
            order = list(methods) if turn % 2 else list(reversed(methods))
            for method in order:
                if method == "spacy" and turn > 1:
                    continue  # slow; its first run loads the language
                start = time.perf_counter()
                outcomes[method] = methods[method]()
                seconds[method].append(time.perf_counter() - start)
        print(_row(names, {m: statistics.median(s[1:] or s) for m, s in seconds.items()}, outcomes, len(texts)))


def _row(names: tuple[str, ...], seconds: dict[str, float], outcomes: dict[str, Outcome], documents: int) -> str:
    ours = documents / seconds["ours"]
    cells = [" + ".join(names), f"{ours:.0f}"]
    if "datatrove" in seconds:
        differing = sum(a != b for a, b in zip(outcomes["ours"], outcomes["datatrove"], strict=True))
        cells += [f"{documents / seconds['datatrove']:.0f}", f"{ours * seconds['datatrove'] / documents:.1f}"]
        spacy = len(outcomes["spacy"]) / seconds["spacy"] if "spacy" in seconds else None
        cells += [f"{spacy:.0f}", f"{ours / spacy:.1f}"] if spacy else ["", ""]
        cells.append(str(differing) if names != ("pii",) else "")
    else:
        cells += [""] * 5
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
