"""Quality and speed of main-text extraction, side by side in one run on the same pages.

Two kinds of real pages with known truth, two sets of each:

- articles: scrapinghub/article-extraction-benchmark. Score: 4-word shingles of the extracted text against those of
  the true article, counted per page, averaged over pages.
- segments: Trafilatura's own evaluation. Score: pieces of text that must be there, and pieces that must not.

The rules of ``precise`` were developed on the whole of the first set of each kind and on three quarters of the second;
the last quarter is told from them by the hash of a page's name (:func:`was_looked_at`).

    python benchmarks/extraction_quality.py --data ../shared/data
"""

import argparse
import collections
import gzip
import hashlib
import json
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.html_names import kind_of
from smallwright_extract.page import extract_page

TRAFILATURA = {
    "default": {},
    "precision": {"favor_precision": True},
    "recall": {"favor_recall": True},
    "fast": {"fast": True},
}
OURS = {
    "fast (default)": {},
    "fast, no comments": {"comments": False},
    "precise": {"quality": "precise"},
    "precise, no comments": {"quality": "precise", "comments": False},
    "trafilatura, no comments": {"extractor": "trafilatura", "favour": "balanced", "comments": False},
}


def read_articles(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    """Yield (name, page, true text)."""
    truth = json.loads(gzip.decompress((folder / "ground-truth.json.gz").read_bytes()))
    for name in sorted(truth):
        yield name, gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()), truth[name]["articleBody"]


def read_segments(folder: Path) -> Iterator[tuple[str, bytes, dict]]:
    """Yield (name, page, {"with": [...], "without": [...]})."""
    for line in (folder / "segments.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield row["id"], gzip.decompress((folder / "html" / f"{row['id']}.html.gz").read_bytes()), row


def decoded(page: bytes) -> str:
    """Decode a page by what its bytes look like."""
    return bytes_to_str(page, detect_encoding(page))


def shingles(text: str, size: int = 4) -> collections.Counter:
    """Count the runs of ``size`` words; a shorter text is one shingle."""
    words = re.findall(r"\w+", text)
    grams = (tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1)))
    return collections.Counter(gram for gram in grams if gram)


def score_article(true: str, found: str) -> tuple[float | None, float | None]:
    """Return (precision, recall) of one page; None where it does not count (nothing found, nothing to find)."""
    true_grams, found_grams = shingles(true), shingles(found)
    hits = (true_grams & found_grams).total()
    extra, missing = found_grams.total() - hits, true_grams.total() - hits
    precision = hits / (hits + extra) if found_grams else None
    recall = hits / (hits + missing) if true_grams else None
    return precision, recall


def sum_up_articles(scores: list[tuple[float | None, float | None]]) -> dict[str, float]:
    """Mean precision and recall over pages, and F1 of the two means, as the benchmark defines it."""
    precision = statistics.mean([p for p, _ in scores if p is not None] or [0])
    recall = statistics.mean([r for _, r in scores if r is not None] or [0])
    total = precision + recall
    return {"precision": precision, "recall": recall, "F1": 2 * precision * recall / total if total else 0.0}


def score_segments(row: dict, found: str) -> tuple[int, int, int, int]:
    """Return (wanted pieces found, unwanted pieces found, wanted, unwanted) of one page."""
    text = _one_line(found)
    hits = sum(_one_line(piece) in text for piece in row["with"])
    extra = sum(_one_line(piece) in text for piece in row["without"])
    return hits, extra, len(row["with"]), len(row["without"])


def sum_up_segments(scores: list[tuple[int, int, int, int]]) -> dict[str, float]:
    """Precision, recall, F1 and accuracy over all wanted and unwanted pieces of all pages."""
    hits, extra, wanted, unwanted = (sum(column) for column in zip(*scores, strict=True))
    precision, recall = hits / max(1, hits + extra), hits / max(1, wanted)
    return {
        "precision": precision,
        "recall": recall,
        "F1": 2 * hits / max(1, hits + extra + wanted),
        "accuracy": (hits + unwanted - extra) / max(1, wanted + unwanted),
    }


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def variants() -> dict[str, Callable[[bytes], str]]:
    """Return what is compared: name to function from HTML in UTF-8 to text.

    All of them decode the page: Python keeps the UTF-8 of a string that it has once been asked for, so that one string
    for all would be cheaper for those that hand it on as it is.
    """
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text

    def run_trafilatura(options: dict) -> Callable[[bytes], str]:
        return lambda page: (
            trafilatura.extract(page.decode(), include_comments=False, include_tables=True, **options) or ""
        )

    def run_ours(settings: dict) -> Callable[[bytes], str]:
        config = ExtractTextConfig(**settings)
        return lambda page: extract_page(page, config).text

    return {
        **{f"Trafilatura {name}": run_trafilatura(options) for name, options in TRAFILATURA.items()},
        "bare Resiliparse main_content": lambda page: extract_plain_text(page.decode(), main_content=True),
        **{f"ours: {name}": run_ours(settings) for name, settings in OURS.items()},
    }


def was_looked_at(set_name: str, page: str) -> bool:
    """Whether a page was looked at when rules were developed: all of the first sets, three quarters of the second."""
    first, second = hashlib.sha256(page.encode()).digest()[:2]
    return not set_name.endswith("_2") or first % 2 == 0 or second % 2 == 0


BEST = "ours: precise, no comments"
SETS = {
    "articles": (("extract_articles", "extract_articles_2"), read_articles, score_article, sum_up_articles),
    "segments": (("extract_segments", "extract_segments_2"), read_segments, score_segments, sum_up_segments),
}
PARTS: dict[str, Callable[[str, str], bool]] = {
    "first set": lambda set_name, page: not set_name.endswith("_2"),
    "second set": lambda set_name, page: set_name.endswith("_2"),
    "not looked at": lambda set_name, page: not was_looked_at(set_name, page),
}


def report(kind: str, found: dict[str, list[tuple[str, str, Any]]], sum_up: Callable) -> None:
    """Print the scores of one kind of pages, and what is between our best variant and the others.

    Args:
        found: Name of a variant -> (set, page, score) of each page.
    """
    counts = [sum(part(*row[:2]) for row in next(iter(found.values()))) for part in PARTS.values()]
    heads = "".join(f"{f'{name} ({count})':>20}" for name, count in zip(PARTS, counts, strict=True))
    print(f"\n{kind}\n{'':34} {'F1':>7} {'precision':>9} {'recall':>7} {'accuracy':>8}{heads}")
    for name, rows in found.items():
        scores = sum_up([row[2] for row in rows])
        parts = [sum_up([row[2] for row in rows if part(*row[:2])])["F1"] for part in PARTS.values()]
        accuracy = f"{scores['accuracy']:8.4f}" if "accuracy" in scores else " " * 8
        print(
            f"{name:34} {scores['F1']:7.4f} {scores['precision']:9.4f} {scores['recall']:7.4f} {accuracy}"
            + "".join(f"{part:20.4f}" for part in parts)
        )
    if BEST not in found:
        return
    print(f"\nF1 of {BEST!r} less that of another, and the 95 % interval over pages drawn anew")
    for name in (name for name in found if name.startswith("Trafilatura")):
        told = [
            difference([row[2] for row in found[BEST] if part(*row[:2])], other, sum_up)
            for part in (lambda *_: True, PARTS["not looked at"])
            if (other := [row[2] for row in found[name] if part(*row[:2])])
        ]
        print(f"{name:34} " + "   ".join(f"{d:+.4f} ({low:+.4f} to {high:+.4f})" for d, low, high in told))


def difference(ours: list, other: list, sum_up: Callable, draws: int = 2000) -> tuple[float, float, float]:
    """Return the difference of two F1 on the same pages, and its 2.5th and 97.5th percentile by the bootstrap."""
    random = Random(0)

    def of(pages: Sequence[int]) -> float:
        return sum_up([ours[page] for page in pages])["F1"] - sum_up([other[page] for page in pages])["F1"]

    pages = range(len(ours))
    drawn = sorted(of(random.choices(pages, k=len(pages))) for _ in range(draws))
    return of(pages), drawn[round(0.025 * draws)], drawn[round(0.975 * draws) - 1]


def main() -> None:
    """Run the comparison and print the tables."""
    default = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default, help="folder with the four sets")
    parser.add_argument("--rounds", type=int, default=3, help="times each page is extracted; the fastest counts")
    parser.add_argument("--only", default="", help="regular expression on the names of the variants")
    arguments = parser.parse_args()
    compared = {name: run for name, run in variants().items() if re.search(arguments.only, name)}
    seconds: dict[str, float] = collections.defaultdict(float)
    pages_seen = 0
    for kind, (folders, read, score, sum_up) in SETS.items():
        found: dict[str, list] = {name: [] for name in compared}
        for folder in folders:
            for page_name, page, truth in read(arguments.data / folder):
                pages_seen += 1
                html = decoded(page).encode()
                best = dict.fromkeys(compared, float("inf"))
                for number in range(arguments.rounds):  # interleaved, so that a busy moment hits all alike
                    for name, run in compared.items():
                        kind_of.cache_clear()  # a crawl meets names of classes again, but not as often as rounds do
                        begin = time.process_time()
                        text = run(html)
                        best[name] = min(best[name], time.process_time() - begin)
                        if number == 0:
                            found[name].append((folder, page_name, score(truth, text)))
                for name in compared:
                    seconds[name] += best[name]
        report(kind, found, sum_up)
    print(f"\nprocessor time, all pages, fastest of {arguments.rounds} interleaved rounds")
    slowest = max(seconds.values())
    for name, total in seconds.items():
        print(f"{name:34} {pages_seen / total:8.1f} pages/s {slowest / total:7.1f} times the slowest")


if __name__ == "__main__":
    main()
