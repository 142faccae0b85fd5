"""Quality and speed of main-text extraction, side by side in one run on the same pages.

Two sets of real pages with known truth:

- articles: scrapinghub/article-extraction-benchmark. Score: 4-word shingles of the extracted text against those of
  the true article, counted per page, averaged over pages.
- segments: Trafilatura's own evaluation. Score: pieces of text that must be there, and pieces that must not.

Pages are also split in two halves by the hash of their name: rules were developed on the first, ``held`` is the other.

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
from collections.abc import Callable, Iterator
from pathlib import Path

from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from smallwright_extract.config import ExtractTextConfig
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


def sum_up_articles(pairs: list[tuple[str, str]]) -> dict[str, float]:
    """Mean precision and recall over pages, and F1 of the two means, as the benchmark defines it."""
    scores = [score_article(true, found) for true, found in pairs]
    precision = statistics.mean([p for p, _ in scores if p is not None] or [0])
    recall = statistics.mean([r for _, r in scores if r is not None] or [0])
    total = precision + recall
    return {"precision": precision, "recall": recall, "F1": 2 * precision * recall / total if total else 0.0}


def sum_up_segments(pairs: list[tuple[dict, str]]) -> dict[str, float]:
    """Precision, recall, F1 and accuracy over all wanted and unwanted pieces of all pages."""
    hits = extra = wanted = unwanted = 0
    for row, found in pairs:
        text = _one_line(found)
        hits += sum(_one_line(piece) in text for piece in row["with"])
        extra += sum(_one_line(piece) in text for piece in row["without"])
        wanted += len(row["with"])
        unwanted += len(row["without"])
    precision, recall = hits / max(1, hits + extra), hits / max(1, wanted)
    return {
        "precision": precision,
        "recall": recall,
        "F1": 2 * hits / max(1, hits + extra + wanted),
        "accuracy": (hits + unwanted - extra) / max(1, wanted + unwanted),
    }


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def variants() -> dict[str, Callable[[str], str]]:
    """Return what is compared: name to function from HTML to text."""
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text

    def run_trafilatura(options: dict) -> Callable[[str], str]:
        return lambda html: trafilatura.extract(html, include_comments=False, include_tables=True, **options) or ""

    def run_ours(settings: dict) -> Callable[[str], str]:
        config = ExtractTextConfig(**settings)
        return lambda html: extract_page(html.encode(), config).text

    return {
        **{f"Trafilatura {name}": run_trafilatura(options) for name, options in TRAFILATURA.items()},
        "bare Resiliparse main_content": lambda html: extract_plain_text(html, main_content=True),
        **{f"ours: {name}": run_ours(settings) for name, settings in OURS.items()},
    }


def in_development_half(name: str) -> bool:
    """Say to which half a page belongs, by the hash of its name."""
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 0


def main() -> None:
    """Run the comparison and print the tables."""
    default = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default, help="folder with extract_articles and extract_segments")
    parser.add_argument("--rounds", type=int, default=3, help="times each page is extracted; the fastest counts")
    parser.add_argument("--only", default="", help="regular expression on the names of the variants")
    arguments = parser.parse_args()
    compared = {name: run for name, run in variants().items() if re.search(arguments.only, name)}
    sets = {
        "articles": (list(read_articles(arguments.data / "extract_articles")), sum_up_articles),
        "segments": (list(read_segments(arguments.data / "extract_segments")), sum_up_segments),
    }
    seconds: dict[str, float] = collections.defaultdict(float)
    pages_seen = 0
    for set_name, (pages, sum_up) in sets.items():
        found: dict[str, list] = {name: [] for name in compared}
        pages_seen += len(pages)
        for page_name, page, truth in pages:
            html = decoded(page)
            best = dict.fromkeys(compared, float("inf"))
            for number in range(arguments.rounds):  # interleaved, so that a busy moment hits all alike
                for name, run in compared.items():
                    begin = time.process_time()
                    text = run(html)
                    best[name] = min(best[name], time.process_time() - begin)
                    if number == 0:
                        found[name].append((page_name, truth, text))
            for name in compared:
                seconds[name] += best[name]
        print(f"\n{set_name}: {len(pages)} pages")
        print(f"{'':34} {'F1':>7} {'precision':>9} {'recall':>7} {'accuracy':>8} {'F1 dev':>7} {'F1 held':>7}")
        for name, rows in found.items():
            scores = sum_up([row[1:] for row in rows])
            halves = [
                sum_up([row[1:] for row in rows if in_development_half(row[0]) is half])["F1"] for half in (True, False)
            ]
            accuracy = f"{scores['accuracy']:8.4f}" if "accuracy" in scores else " " * 8
            print(
                f"{name:34} {scores['F1']:7.4f} {scores['precision']:9.4f} {scores['recall']:7.4f} {accuracy} "
                f"{halves[0]:7.4f} {halves[1]:7.4f}"
            )
    print(f"\nprocessor time, both sets, fastest of {arguments.rounds} interleaved rounds")
    slowest = max(seconds.values())
    for name, total in seconds.items():
        print(f"{name:34} {pages_seen / total:8.1f} pages/s {slowest / total:7.1f} times the slowest")


if __name__ == "__main__":
    main()
