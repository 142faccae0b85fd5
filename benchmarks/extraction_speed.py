"""Speed of WARC to Parquet through our steps against a bare FastWARC and Resiliparse loop, in one run.

The bare loop iterates responses, guesses the charset and extracts the main text, and writes nothing. Ours is what a
recipe does on one shard: ``read_warc``, ``extract_text`` and the Parquet writers of kept and rejected documents. Rounds
are interleaved; medians count. With one process, seconds are of processor time, of the process and its children, so
that ratios are per core and hold on a busy machine; two processes are compared by the clock, and need an idle one.

    python benchmarks/extraction_speed.py --html ../shared/data /usr/share/doc
"""

import argparse
import concurrent.futures
import gzip
import multiprocessing
import os
import random
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from core.data.documents import WriteDocuments
from core.data.steps import StepContext
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.step import ExtractText
from smallwright_warc.config import ReadWarcConfig
from smallwright_warc.read import ReadWarc

FAST: dict[str, dict] = {
    "ours, text alone": {"math": False},
    "the same, in process": {"math": False, "isolate": False},
    "ours, formulas kept": {},
    "the same, in process ": {"isolate": False},
}
SLOW: dict[str, dict] = {
    "ours, precise": {"quality": "precise"},
    "ours, Trafilatura": {"extractor": "trafilatura", "comments": False},
}


def html_files(folders: list[Path], limit: int) -> Iterator[bytes]:
    """Yield up to ``limit`` pages, in an order that depends on nothing but their names."""
    found = sorted(
        path for folder in folders for path in folder.rglob("*") if path.name.endswith((".html", ".htm", ".html.gz"))
    )
    random.Random(0).shuffle(found)
    for path in found:
        if limit <= 0:
            return
        page = path.read_bytes()
        page = gzip.decompress(page) if path.name.endswith(".gz") else page
        if 800 <= len(page) <= 1_000_000:
            limit -= 1
            yield page


def write_warc(path: Path, pages: list[bytes]) -> None:
    """Write pages as response records, a gzip member each, as crawlers do."""
    with path.open("wb") as file:
        for number, page in enumerate(pages):
            http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page)
            head = (
                f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{uuid.UUID(int=number)}>\r\n"
                f"WARC-Target-URI: http://example.org/{number}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
                f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http) + len(page)}\r\n\r\n"
            )
            file.write(gzip.compress(head.encode() + http + page + b"\r\n\r\n", 6, mtime=0))


def bare_loop(warc: Path) -> int:
    """Run the loop to compare with; return the number of pages with text."""
    kept = 0
    with warc.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            page = record.reader.read()
            kept += bool(extract_plain_text(bytes_to_str(page, detect_encoding(page)), main_content=True))
    return kept


def our_loop(warc: Path, settings: dict) -> int:
    """Run our steps on one shard; return the number of documents written."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        (output / "ledgers").mkdir()
        read, extract = ReadWarc(ReadWarcConfig()), ExtractText(ExtractTextConfig(**settings))
        for position, step in enumerate((read, extract)):
            step.bind(
                StepContext(
                    label=type(step).__name__,
                    position=position,
                    seed=0,
                    files=(str(warc),),
                    rejected=output / "rejected",
                    ledgers=output / "ledgers",
                )
            )
        return sum(1 for _ in WriteDocuments(output / "documents").run(extract.run(read.run(None))))


def time_of(work: Callable[[], object]) -> float:
    """Return how long ``work`` takes by the clock, in seconds."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def processor_time() -> float:
    """Return the processor time so far of this process and its children, those at work included, in seconds."""
    ticks = 0
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return sum(os.times()[:4]) + ticks / os.sysconf("SC_CLK_TCK")


def processor_time_of(work: Callable[[], object]) -> float:
    """Return the processor time of this process and its children while ``work`` runs, in seconds."""
    begin = processor_time()
    work()
    return processor_time() - begin


def main() -> None:
    """Build the WARC files, run the rounds, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--html", type=Path, nargs="+", required=True, help="folders with real pages")
    parser.add_argument("--pages", type=int, default=600, help="most pages to use")
    parser.add_argument("--repeat", type=int, default=4, help="copies of each page, towards the length of a real file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow", action="store_true", help="also the precise rules and Trafilatura")
    parser.add_argument("--no-pairs", action="store_true", help="leave out the runs with two processes")
    arguments = parser.parse_args()
    chosen = {**FAST, **SLOW} if arguments.slow else FAST
    folder = Path(tempfile.mkdtemp())
    try:
        pages = list(html_files(arguments.html, arguments.pages)) * arguments.repeat
        halves = [folder / "0.warc.gz", folder / "1.warc.gz"]
        whole = folder / "whole.warc.gz"
        write_warc(whole, pages)
        for path in halves:
            shutil.copy(whole, path)
        megabytes = sum(map(len, pages)) / 1e6
        print(f"{len(pages)} records, {megabytes:.1f} MB of HTML, {arguments.rounds} rounds")
        work: dict[str, Callable[[], object]] = {"bare loop": lambda: bare_loop(whole)}
        for name, settings in chosen.items():
            work[name] = lambda settings=settings: our_loop(whole, settings)
        seconds: dict[str, list[float]] = {name: [] for name in work}
        for number in range(arguments.rounds + 1):
            for name, run in work.items():
                took = processor_time_of(run)
                if number:  # the first round warms caches
                    seconds[name].append(took)
        print(f"\n{'one process':28} {'pages/s':>8} {'MB/s':>6} {'of bare':>8}   slowest and fastest round")
        for name, times in seconds.items():
            middle = statistics.median(times)
            ratio = statistics.median(b / t for b, t in zip(seconds["bare loop"], times, strict=True))
            print(
                f"{name:28} {len(pages) / middle:8.1f} {megabytes / middle:6.1f} {ratio:8.3f}   "
                f"{len(pages) / max(times):.0f}-{len(pages) / min(times):.0f}"
            )
        if not arguments.no_pairs:
            compare_pairs(whole, halves, arguments.rounds)
    finally:
        shutil.rmtree(folder)


def compare_pairs(whole: Path, halves: list[Path], rounds: int) -> None:
    """Print the speed-up of two processes on two files over one process on one, for the bare loop and for ours."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=spawn) as pool:
        ones: dict[str, list[float]] = {"bare loop": [], "ours": []}
        twos: dict[str, list[float]] = {"bare loop": [], "ours": []}
        for number in range(rounds + 1):
            for name, function, rest in (("bare loop", bare_loop, ()), ("ours", our_loop, ({},))):
                one = time_of(lambda f=function, r=rest: pool.submit(f, whole, *r).result())
                two = time_of(lambda f=function, r=rest: [x.result() for x in [pool.submit(f, p, *r) for p in halves]])
                if number:
                    ones[name].append(one)
                    twos[name].append(two)
    speedups = {
        name: statistics.median(2 * one / two for one, two in zip(ones[name], twos[name], strict=True)) for name in ones
    }
    print("\ntwo processes, a file each, against one process on one file")
    for name, value in speedups.items():
        print(f"{name:28} {value:.3f} times")
    print(f"{'ours / bare loop':28} {speedups['ours'] / speedups['bare loop']:.3f}")


if __name__ == "__main__":
    main()
