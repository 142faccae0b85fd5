"""Damaged archives, thousands of them: nothing crashes, and no record is lost without a word."""

import gzip
import io
import os
import random
import re
import zlib
from collections import Counter
from pathlib import Path

import pytest
from core.data.steps import StepContext
from fastwarc.stream_io import ZstdWriter
from small_crawl import write_crawl
from smallwright_warc.archive import Archive
from smallwright_warc.config import ReadWarcConfig
from smallwright_warc.entries import ArchiveEntry
from smallwright_warc.page import PageReader, document_of, record_id
from smallwright_warc.read import ReadWarc

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED") or Path(__file__).parents[5] / "shared")
FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.gz"))
REAL = [*FIXTURES, *sorted(path for path in SHARED.glob("data/warc/*/*") if path.is_file())]
"""Shipped archives, and those of other tools where the shared data is there."""
LIMIT = 1 << 20


@pytest.fixture(scope="module")
def crawl(tmp_path_factory) -> list[bytes]:
    """The files of a small demonstration crawl, without the damage of their own."""
    return [b"".join(whole_members(path.read_bytes())) for path in write_crawl(tmp_path_factory.mktemp("crawl"))]


def whole_members(data: bytes) -> list[bytes]:
    """Split at the starts of gzip members, and leave out those that cannot be inflated."""
    found, position = [], 0
    while position < len(data):
        inflater = zlib.decompressobj(31)
        try:
            inflater.decompress(data[position:])
        except zlib.error:
            position = data.index(b"\x1f\x8b\x08", position + 1)
            continue
        if not inflater.eof:
            break
        end = len(data) - len(inflater.unused_data)
        found.append(data[position:end])
        position = end
    return found


def entries(data: bytes):
    archive = Archive(io.BytesIO(data), LIMIT, lambda kind, headers: kind == "response")
    return [(record_id(entry, "x"), entry.problem) for entry in archive.entries()]


def intact(data: bytes) -> list[str]:
    return [name for name, problem in entries(data) if problem is None]


def read(path: Path, data: bytes) -> dict:
    """Run the step over a file; it raises when the accounts do not hold."""
    path.unlink(missing_ok=True)  # writing over a file waits for the disk on some file systems
    path.write_bytes(data)
    step = ReadWarc(ReadWarcConfig(max_record_bytes=LIMIT, record_types=("response", "conversion", "resource")))
    step.bind(StepContext(label="read", position=0, seed=0, files=(str(path),)))
    kept = sum(1 for _ in step.run(None))
    ledger = step._ledger.to_dict()
    assert ledger["kept"] == kept
    return ledger


def zstd_frames(records: list[bytes]) -> list[bytes]:
    frames = []
    for record in records:
        with io.BytesIO() as out:
            writer = ZstdWriter(out)
            writer.write(record)
            writer.close()
            frames.append(out.getvalue())
    return frames


def check_cuts(parts: list[bytes], step: int) -> int:
    """Cut an archive of one member (or plain record) a part; return how many cuts were made."""
    data = b"".join(parts)
    names = [name for name, _ in entries(data)]
    assert len(names) == len(set(names)) == len(parts)
    ends = [sum(map(len, parts[: number + 1])) for number in range(len(parts))]
    for cut in range(step, len(data), step):
        found = entries(data[:cut])
        good = [name for name, problem in found if problem is None]
        before = sum(end <= cut for end in ends)
        assert good[:before] == names[:before], cut
        at_boundary = cut in ends
        assert len(found) == before + (0 if at_boundary else 1), (cut, found[before:])
    return (len(data) - 1) // step


@pytest.mark.slow
@pytest.mark.parametrize("form", ["gzip", "plain", "zstd"])
def test_every_record_before_a_cut_is_read_and_the_cut_one_is_reported_once(crawl, form):
    members = whole_members(crawl[0])
    records = [gzip.decompress(member) for member in members]
    parts = {"gzip": members, "plain": records, "zstd": zstd_frames(records)}[form]
    small = [part for part in parts if len(part) < 20_000]
    assert check_cuts(small, 1000) > 40
    assert check_cuts(small[:3], 7) > 50  # every kind of place in few records


def test_a_file_compressed_as_one_gives_what_was_inflated_before_the_cut(crawl):
    records = [gzip.decompress(member) for member in whole_members(crawl[0])]
    data = gzip.compress(b"".join(record for record in records if len(record) < 20_000), mtime=0)
    names = intact(data)
    for cut in range(500, len(data), 1000):
        plain = zlib.decompressobj(31).decompress(data[:cut])
        found = entries(data[:cut])
        good = [name for name, problem in found if problem is None]
        assert good == names[: len(good)]
        assert len(found) == len(good) + 1
        assert len(good) >= len(intact(plain)) - 1  # a record alone in a cut member counts as cut


def test_real_archives_cut_at_every_thousandth_byte(tmp_path):
    for path in REAL:
        data = path.read_bytes()
        whole = Counter(name for name, problem in entries(data) if problem is None)
        for cut in [*range(1000, len(data), 1000), len(data) // 3, len(data) - 1]:
            found = entries(data[:cut])
            good = Counter(name for name, problem in found if problem is None)
            assert not good - whole, (path, cut)
            assert sum(problem is not None for _, problem in found) <= 1, (path, cut)
            ledger = read(tmp_path / path.name, data[:cut])
            assert ledger["in"] == len(found)


def damage(data: bytes, rng: random.Random) -> bytes:
    """One way in which storage and networks break files."""
    out = bytearray(data)
    place = rng.randrange(len(out))
    match rng.randrange(8):
        case 0 | 1:
            out[place] ^= 1 << rng.randrange(8)
        case 2:
            out[place] = rng.randrange(256)
        case 3:
            out[place : place + rng.randrange(1, 200)] = b"\0" * rng.randrange(1, 200)
        case 4:
            del out[place : place + rng.randrange(1, 300)]
        case 5:
            out[place:place] = rng.randbytes(rng.randrange(1, 300))
        case 6:
            other = rng.randrange(len(out))
            out[place:place] = out[other : other + rng.randrange(1, 2000)]
        case _:
            del out[place:]
    return bytes(out) or b"\0"


def change_a_number(data: bytes, rng: random.Random) -> bytes:
    """Make some length in headers wrong."""
    places = [match.end() for match in re.finditer(b"Content-Length: ", data)]
    if not places:
        return data
    place = rng.choice(places)
    end = data.find(b"\r\n", place)
    end = len(data) if end < 0 else end  # earlier damage cut the line off
    wrong = rng.choice([b"0", b"1", b"-5", b"99999999999999999999", b"abc", b"", b"%d" % rng.randrange(40_000)])
    return data[:place] + wrong + data[end:]


@pytest.mark.parametrize("form", ["gzip", "plain", "zstd", "whole"])
def test_a_damaged_record_takes_no_other_with_it(crawl, form):
    """Damage inside one record of many: every other record that it does not touch is still read, once."""
    rng = random.Random(form)
    members = [member for member in whole_members(crawl[1]) if len(member) < 20_000][:8]
    records = [gzip.decompress(member) for member in members]
    names = [intact(member)[0] for member in members]
    parts = {"gzip": members, "zstd": zstd_frames(records)}.get(form, records)
    for _ in range(400):
        hit = rng.randrange(1, len(parts) - 1)
        if form in ("plain", "whole") and rng.random() < 0.3:
            broken = change_a_number(parts[hit], rng)
        else:
            broken = damage(parts[hit], rng)
        data = b"".join([*parts[:hit], broken, *parts[hit + 1 :]])
        if form == "whole":
            data = gzip.compress(data, 1)
        found = Counter(name for name, problem in entries(data) if problem is None)
        others = Counter(name for number, name in enumerate(names) if number != hit)
        lost = others - found
        if form in ("plain", "whole"):
            # Without members, a record cut short or running on may take its neighbour's first line along.
            lost.pop(names[hit - 1], None)
            lost.pop(names[hit + 1], None)
        assert not lost, (hit, len(parts[hit]), lost)
        assert all(count == 1 for name, count in found.items() if name in others and broken.count(b"WARC/1") < 2)


@pytest.mark.slow
def test_the_accounts_hold_over_thousands_of_mutations(tmp_path, crawl):
    """Any damage anywhere, one to four times, in every form: no crash, no hang, every record in one account."""
    rng = random.Random(5)
    sources = [path.read_bytes() for path in REAL if path.stat().st_size < 25_000]
    members = [member for member in whole_members(crawl[0]) if len(member) < 20_000][:12]
    plain = b"".join(map(gzip.decompress, members))
    sources += [b"".join(members), plain, gzip.compress(plain, 1), b"".join(zstd_frames([plain]))]
    total = 0
    for number in range(2500):
        data = sources[number % len(sources)]
        for _ in range(rng.randint(1, 4)):
            data = damage(data, rng)
        if number % 3 == 0:
            data = change_a_number(data, rng)
        ledger = read(tmp_path / "damaged", data)
        assert ledger["in"] >= 1
        total += ledger["in"]
    assert total > 5000


@pytest.mark.slow
def test_damaged_pages_pass_through_extraction(tmp_path, crawl):
    """What survives reading is extracted or set aside, page by page."""
    extract_text = pytest.importorskip("smallwright_extract.step").ExtractText
    rng = random.Random(6)
    plain = [gzip.decompress(member) for member in whole_members(crawl[0]) if len(member) < 20_000]
    path = tmp_path / "damaged"
    reads: list[int] = []

    def documents():
        for _ in range(40):
            path.write_bytes(b"".join(damage(record, rng) if rng.random() < 0.7 else record for record in plain))
            step = ReadWarc()
            step.bind(StepContext(label="read", position=0, seed=0, files=(str(path),)))
            yield from step.run(None)
            reads.append(step._ledger.kept)

    extractor = extract_text()
    kept = sum(1 for _ in extractor.run(documents()))
    ledger = extractor._ledger.to_dict()
    assert ledger["in"] == sum(reads) > 500
    assert kept == ledger["kept"] > 400
    assert not ledger["failed"]


def test_responses_of_any_bytes_give_a_page_or_a_reason():
    rng = random.Random(7)
    bodies = [b"5\r\nhello\r\n0\r\n\r\n", gzip.compress(b"<p>a"), zlib.compress(b"<p>a"), b"<html><meta name=robots"]
    heads = [
        b"Content-Type: text/html; charset=utf-8\r\nX-Robots-Tag: noai",
        b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
        b"Content-Encoding: deflate, br\r\nTDM-Reservation: 1",
        b"Content-Type: text/html\r\nContent-Encoding: zstd",
    ]
    blocks = [b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body for head in heads for body in bodies]
    pages = PageReader(ReadWarcConfig(max_record_bytes=10_000))
    outcomes: Counter = Counter()
    for number in range(4000):
        block = blocks[number % len(blocks)]
        for _ in range(rng.randint(1, 3)):
            block = damage(block, rng)
        entry = ArchiveEntry(0, "response", {"warc-target-uri": "http://a.example/"}, block)
        aside = pages.fill(document_of(entry, "x"), entry)
        outcomes[aside.reason if aside else "kept"] += 1
    assert outcomes.total() == 4000
    assert outcomes["kept"] > 300
    assert outcomes["bad HTTP headers"] > 100


class Counting(io.BytesIO):
    """Counts the bytes that are read."""

    total = 0

    def read(self, size=-1):
        piece = super().read(size)
        self.total += len(piece)
        return piece


@pytest.mark.slow
@pytest.mark.parametrize("form", ["gzip", "plain", "whole"])
def test_many_wrong_lengths_do_not_make_each_record_read_all_others(form):
    """Every record claims to be endless; the work grows with the file, not with its square."""

    def read_bytes(count: int) -> tuple[int, int]:
        rng = random.Random(count)
        records = [
            b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:%d>\r\nContent-Length: 999999999\r\n\r\n" % number
            + rng.randbytes(2000).hex().encode()
            + b"\r\n\r\n"
            for number in range(count)
        ]
        parts = [gzip.compress(one, 1) for one in records] if form == "gzip" else records
        data = b"".join(parts)
        stream = Counting(gzip.compress(data, 1) if form == "whole" else data)
        found = list(Archive(stream, LIMIT).entries())
        assert len(found) == count
        assert {entry.problem for entry in found} == {"truncated record"}
        return stream.total, len(stream.getvalue())

    (few, _), (many, _) = read_bytes(1000), read_bytes(4000)
    assert many < 6 * few
