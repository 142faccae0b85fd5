"""The same accounts in every container, wherever its members begin and end, and time that grows with the file."""

import gzip
import io
import random
import time

import pytest
from core.data.steps import StepContext
from fastwarc.stream_io import Lz4Writer, ZstdWriter
from smallwright_warc.archive import Archive
from smallwright_warc.page import record_id
from smallwright_warc.read import ReadWarc
from smallwright_warc.refetch import Refetch

LIMIT = 1 << 20
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
COUNT = 30


def record(number: int, length: int | None = None, end: bytes = b"\r\n", body: bytes | None = None) -> bytes:
    """Return a record of some 500 bytes; with ``length`` it claims another length than it has."""
    body = body or b"<p>page %02d " % number + random.Random(number).randbytes(150).hex().encode()
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = [
        b"WARC/1.0",
        b"WARC-Type: response",
        b"WARC-Record-ID: <urn:%d>" % number,
        b"WARC-Target-URI: http://a.example/%d" % number,
        b"Content-Type: application/http",
        b"Content-Length: %d" % (len(block) if length is None else length),
    ]
    return end.join([*head, b"", b""]) + block + 2 * end


def packed(writer, data: bytes) -> bytes:
    with io.BytesIO() as out:
        packer = writer(out)
        packer.write(data)
        packer.close()
        return out.getvalue()


def blocks(records: list[bytes], size: int = 700) -> list[bytes]:
    """Cut as bgzip, pzstd and mgzip do: without regard to records."""
    data = b"".join(records)
    return [data[start : start + size] for start in range(0, len(data), size)]


PACK = {
    "plain": b"".join,
    "gzip by record": lambda records: b"".join(map(gzip.compress, records)),
    "gzip as one": lambda records: gzip.compress(b"".join(records)),
    "gzip in blocks": lambda records: b"".join(map(gzip.compress, blocks(records))),
    "zstd by record": lambda records: b"".join(packed(ZstdWriter, one) for one in records),
    "zstd as one": lambda records: packed(ZstdWriter, b"".join(records)),
    "zstd in blocks": lambda records: b"".join(SKIPPABLE + packed(ZstdWriter, one) for one in blocks(records)),
    "lz4 by record": lambda records: b"".join(packed(Lz4Writer, one) for one in records),
    "lz4 as one": lambda records: packed(Lz4Writer, b"".join(records)),
    "lz4 in blocks": lambda records: b"".join(SKIPPABLE + packed(Lz4Writer, one) for one in blocks(records)),
}


def entries(data: bytes) -> list[tuple[str, str | None, bytes | None]]:
    return [(record_id(entry, "x"), entry.problem, entry.block) for entry in Archive(io.BytesIO(data), LIMIT).entries()]


GOOD = [record(number) for number in range(COUNT)]


@pytest.mark.parametrize("container", PACK)
def test_whole_archives_give_every_record_from_a_place_where_it_is_met_again(container):
    data = PACK[container](GOOD)
    found = list(Archive(io.BytesIO(data), LIMIT).entries())
    assert [record_id(entry, "x") for entry in found] == [f"urn:{number}" for number in range(COUNT)]
    assert [entry.block for entry in found] == [one.partition(b"\r\n\r\n")[2][:-4] for one in GOOD]
    for entry in found[:: COUNT // 5]:
        again = Archive(io.BytesIO(data), LIMIT, start=entry.offset).entries()
        assert record_id(entry, "x") in [record_id(other, "x") for other in again if other.offset == entry.offset]
        if entry.length is not None:
            (alone,) = Archive(io.BytesIO(data[entry.offset : entry.offset + entry.length]), LIMIT).entries()
            assert alone.block == entry.block


@pytest.mark.parametrize("container", PACK)
def test_pages_are_fetched_again_out_of_every_container(tmp_path, container):
    path = tmp_path / "a.warc"
    path.write_bytes(PACK[container](GOOD))

    def run(step, documents=None):
        step.bind(StepContext(label="step", position=0, seed=0, files=(str(path),)))
        return list(step.run(documents))

    pages = run(ReadWarc())
    texts = {page.id: page.text for page in pages}
    for page in pages:
        page.text = "gone"
    assert {page.id: page.text for page in run(Refetch(), reversed(pages))} == texts
    assert len(texts) == COUNT


@pytest.mark.slow
def test_one_wrong_length_is_one_entry_in_every_container_and_no_other_record_is_touched():
    rng = random.Random(1)
    size, block = len(GOOD[10]), len(GOOD[10].partition(b"\r\n\r\n")[2]) - 4
    lengths = [0, 1, block - 1, block + 9, block + 4 + size, block + 2 * size, 400_000, 10**9, 10**18]
    lengths += [rng.randrange(20_000) for _ in range(12)]
    intact = {name: content for name, _, content in entries(b"".join(GOOD))}
    for length in lengths:
        hit = rng.randrange(10, COUNT - 3)
        wrong = record(hit, length)
        if length % 3 == 1:  # of a kind whose content nobody reads
            wrong = wrong.replace(b"WARC-Type: response", b"WARC-Type: metadata")
        records = [*GOOD[:hit], wrong, *GOOD[hit + 1 :]]
        for container, pack in PACK.items():
            found = entries(pack(records))
            kept = {name: content for name, problem, content in found if problem is None}
            assert kept == {name: content for name, content in intact.items() if name != f"urn:{hit}"}, container
            problems = [problem for _, problem, _ in found if problem is not None]
            assert len(problems) == 1, (container, length, problems)
            assert problems[0] in ("wrong record length", "truncated record"), (container, length)


@pytest.mark.parametrize("container", PACK)
def test_heads_with_line_feeds_are_read_and_never_mixed_with_the_next(container):
    records = [record(number, end=b"\n" if number % 3 else b"\r\n") for number in range(COUNT)]
    records[7] = records[7].replace(b"WARC/1.0", b"warc/1.0")
    records[9] = records[9].replace(b"WARC/1.0", b"WARC/0.18")
    assert [entry[:2] for entry in entries(PACK[container](records))] == [(f"urn:{n}", None) for n in range(COUNT)]
    records[4] = records[4].replace(b"Content-Length: ", b"Content-Length: no")
    found = entries(PACK[container](records))
    assert [entry[:2] for entry in found if entry[1]] == [("urn:4", "bad WARC headers")]
    assert len(found) == COUNT


@pytest.mark.parametrize("container", PACK)
def test_zeros_between_records_are_one_entry_and_hide_none(container):
    found = entries(PACK[container]([*GOOD[:5], GOOD[5] + bytes(50), *GOOD[6:]]))
    assert [name for name, problem, _ in found if problem is None] == [f"urn:{number}" for number in range(COUNT)]
    assert len([problem for _, problem, _ in found if problem]) == 1


@pytest.mark.parametrize("container", PACK)
def test_a_page_that_is_an_archive_stays_one_record(container):
    nested = record(1, body=b"".join(record(number) for number in range(100, 103)))
    found = entries(PACK[container]([GOOD[0], nested, *GOOD[2:]]))
    if "blocks" not in container:  # there a block may begin with a record that is inside another
        assert [entry[:2] for entry in found] == [(f"urn:{n}", None) for n in range(COUNT)]
        assert found[1][2].count(b"WARC/1.0") == 3


@pytest.mark.parametrize("container", PACK)
def test_a_file_that_is_cut_off_gives_what_is_before_and_one_entry(container):
    data = PACK[container](GOOD[:12])
    names = [name for name, _, _ in entries(data)]
    for cut in range(30, len(data), 61):
        found = entries(data[:cut])
        kept = [name for name, problem, _ in found if problem is None]
        assert kept == names[: len(kept)]
        whole = "record" in container or container == "plain"  # then a cut may fall between records
        assert len(found) - len(kept) in ((0, 1) if whole else (1,)), (cut, found[-2:])


@pytest.mark.parametrize("container", [name for name in PACK if "blocks" in name])
def test_damage_in_one_block_costs_its_own_records_only(container):
    data = bytearray(PACK[container](GOOD))
    place = data.find(b"\x1f\x8b\x08" if "gzip" in container else SKIPPABLE, len(data) // 2) + 40
    data[place : place + 8] = b"\xff" * 8
    found = entries(bytes(data))
    assert sum(problem is not None for _, problem, _ in found) <= 2
    assert sum(problem is None for _, problem, _ in found) >= COUNT - 4


def test_a_dictionary_for_all_frames_is_used():
    from fastwarc.stream_io import zstd_train_dictionary_from_samples

    dictionary = zstd_train_dictionary_from_samples([record(number) for number in range(300)], 2000)
    with io.BytesIO() as out:
        writer = ZstdWriter(out, dictionary=dictionary)
        for one in GOOD:
            writer.write(one)
            writer.finish()
        writer.close()
        data = out.getvalue()
    assert data.startswith(b"\x5d\x2a\x4d\x18")
    assert entries(data) == entries(b"".join(GOOD))


def seconds(data: bytes, limit: int = 10 << 20) -> float:
    start = time.process_time()
    for _ in Archive(io.BytesIO(data), limit).entries():
        pass
    return time.process_time() - start


@pytest.mark.slow
def test_empty_members_and_many_claims_of_megabytes_take_no_time():
    empty = gzip.compress(b"", mtime=0)
    assert seconds(empty * 20_000) < 1  # 1.1 when each was looked at from anew
    assert seconds(empty * 5_000 + gzip.compress(GOOD[0]) + empty * 5_000) < 1
    claims = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 8000000\r\n\r\n12345678\r\n\r\n" * 200
    data = claims + bytes(9_000_000)
    for pack in (bytes, gzip.compress, lambda plain: packed(ZstdWriter, plain)):
        assert seconds(pack(data)) < 1.5  # 3.2 when each claim was read
    chain = b"".join(
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %08d\r\n\r\n" % (6_000_000 - 59 * number)
        for number in range(1, 5000)  # each holds all that follow
    )
    data = chain.ljust(6_000_000, b"a") + b"\r\n\r\n" + GOOD[0]
    for pack in (bytes, gzip.compress):
        assert seconds(pack(data)) < 1.5
    arc = b"http://a.example/ 1.2.3.4 20240301000000 text/html 8000000\n12345678\n"
    assert seconds(gzip.compress(b"filedesc" + arc[4:] + arc * 100 + bytes(9_000_000))) < 1.5
