"""The archives shipped under ``fixtures``: pages with real mark-up, in every form in which crawlers store them."""

import gzip
import importlib.util
import zlib
from pathlib import Path

import pytest
from core.data.steps import StepContext
from smallwright_warc.config import ReadWarcConfig
from smallwright_warc.read import ReadWarc

FIXTURES = Path(__file__).parent / "fixtures"
ARCHIVES = sorted(FIXTURES.glob("*.gz"))
CHARSETS = {
    "encyclopedia": "utf-8",
    "forum": "utf-8",
    "hebrew": "cp1255",
    "korean": "euc_kr",
    "manual": "utf-8",
    "maths_mathjax": "utf-8",
    "news": "utf-8",
    "novel": "cp1252",
    "recipe": "cp1252",
    "russian": "cp1251",
}
WORDS = {
    "encyclopedia": "59 &times; 509",
    "forum": "Greatest common divisor without recursion",
    "hebrew": "ויאמר אלהים יהי אור ויהי אור",
    "korean": "사뿐히 즈려밟고 가시옵소서",
    "manual": "A seat across the boat, which also keeps its sides apart.",
    "maths_mathjax": r"x_{1,2}=-\frac{p}{2}\pm\sqrt{D}",
    "news": "that mystery of mysteries",
    "novel": "the accents of déjà and naïve",
    "recipe": "My grandmother’s oven had two settings, “hot” and “out”; yours should stand at 200 °C.",
    "russian": "Все смешалось в доме Облонских.",
}


def read(path, **settings):
    step = ReadWarc(ReadWarcConfig(**settings))
    step.bind(StepContext(label="read", position=0, seed=0, files=(str(path),)))
    documents = list(step.run(None))  # raises when the accounts do not hold
    return {name_of(document): document for document in documents}, step._ledger.to_dict()


def name_of(document):
    return document.metadata["url"].removeprefix("http://pages.example/").removesuffix(".html")


@pytest.mark.parametrize(("name", "others"), [("pages.warc.gz", {"robots.txt"}), ("pages.arc.gz", set())])
def test_every_page_is_read_in_its_own_charset(name, others):
    pages, ledger = read(FIXTURES / name)
    assert set(pages) == set(WORDS) | others
    assert {page: pages[page].metadata["charset"] for page in CHARSETS} == CHARSETS
    for page, words in WORDS.items():
        assert words in pages[page].text
        assert "\ufffd" not in pages[page].text
    assert pages["maths_mathjax"].metadata["opt_out"] == ["noarchive"]
    assert ledger["failed"] == {}


def test_what_is_no_page_is_rejected_by_reason():
    _, ledger = read(FIXTURES / "pages.warc.gz")
    assert ledger["in"] == 44
    assert ledger["rejected"] == {"HTTP status": 2, "not a response": 30, "not text": 1}


def test_texts_of_a_wet_file_are_read_as_they_are():
    pages, ledger = read(FIXTURES / "pages.warc.wet.gz")
    assert set(pages) == set(WORDS)
    assert pages["korean"].metadata["warc_languages"] == "kor"
    assert pages["hebrew"].metadata["content_type"] == "text/plain"
    assert ledger["rejected"] == {"not a response": 1}


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
def test_the_same_pages_come_out_of_the_unpacked_file(path, tmp_path):
    plain = tmp_path / path.stem
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    packed, unpacked = read(path)[0], read(plain)[0]
    assert {name: page.text for name, page in unpacked.items()} == {name: page.text for name, page in packed.items()}


def test_the_archives_are_what_their_script_writes(tmp_path):
    spec = importlib.util.spec_from_file_location("build", FIXTURES / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    if not build.PAGES.is_dir():
        pytest.skip("the pages are in the folder of another package, which is not here")
    build.write(tmp_path)
    assert ARCHIVES
    for path in ARCHIVES:
        assert contents(tmp_path / path.name) == contents(path)


def contents(path):
    """Records of an archive, bodies unpacked too: other versions of zlib pack the same bytes in another way."""
    data, records = path.read_bytes(), []
    while data:
        inflater = zlib.decompressobj(31)
        record = inflater.decompress(data)
        head, _, body = record.partition(b"\r\n\r\n")
        if b"\x1f\x8b\x08" in body or b"Content-Encoding" in body:
            record = head.split(b"Content-Length")[0]  # a body packed inside; read below as a page
        records.append(record)
        data = inflater.unused_data
    return records, {name: page.text for name, page in read(path)[0].items()}
