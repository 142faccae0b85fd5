"""The steps for source code: languages, licences, quality, contents by id."""

import gzip
import threading

import fsspec
import pyarrow.parquet as pq
import pytest
from core import typed
from core.data.steps import StepContext
from core.errors import ConfigError, InputError
from datatrove.data import Document
from fsspec.implementations.memory import MemoryFileSystem
from smallwright_stack_edu.config import (
    CodeLanguageConfig,
    CodeQualityConfig,
    FetchContentsConfig,
    LicenseFilterConfig,
)
from smallwright_stack_edu.fetch import FetchContents
from smallwright_stack_edu.language import CodeLanguage, language_of
from smallwright_stack_edu.license import LicenseFilter
from smallwright_stack_edu.quality import CodeQuality


def run(step, documents):
    step.bind(StepContext(label="step", position=0, seed=0))
    kept = list(step.run(iter(documents)))  # raises when the accounts do not hold
    return kept, step._ledger


def one(step, text="x", **metadata):
    """Return what became of a document: its metadata, or the reason."""
    kept, ledger = run(step, [Document(text=text, id="1", metadata=metadata)])
    return kept[0].metadata if kept else next(iter([*ledger.rejected, *ledger.failed]))


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [
        ("src/a.py", "", "Python"),
        ("A.CPP", "", "C++"),
        ("x\\y\\b.rs", "", "Rust"),
        ("list.h", "struct node { int x; };", "C"),
        ("list.h", "  template <class T>\nclass List {", "C++"),
        ("a.ts", "const x: number = 1;", "TypeScript"),
        ("a.ts", '<?xml version="1.0"?><!DOCTYPE TS>', "XML"),
        ("Rakefile", "", "Ruby"),
        ("bin/tool", "#!/usr/bin/env python3\n", "Python"),
        ("bin/tool", "#!/bin/bash -e\n", "Shell"),
        ("bin/tool", "#!/usr/bin/node\n", "JavaScript"),
        (".py", "", None),
        ("data", "just words", None),
        ("", "", None),
        ("page.html", "", "HTML"),
    ],
)
def test_language_by_path_and_text(path, text, language):
    assert language_of(path, text) == language


def test_language_of_the_row_comes_first_under_its_common_name():
    assert one(CodeLanguage(), language="cpp", path="a.py")["language"] == "C++"
    assert one(CodeLanguage(), language="CSharp")["language"] == "C#"
    assert one(CodeLanguage(), language=" go ")["language"] == "Go"
    assert one(CodeLanguage(), path="a.php")["language"] == "PHP"
    assert one(CodeLanguage(), language="HTML", path="a.py") == "language not wanted"
    assert one(CodeLanguage(), language="Klingon") == "language not wanted"
    assert one(CodeLanguage(), path="unknown") == "language not known"
    few = CodeLanguage(CodeLanguageConfig(languages=("cpp",)))
    assert one(few, language="C++")["language"] == "cpp"  # as the settings call it, for prompts and thresholds
    _, ledger = run(CodeLanguage(), [Document(text="", id=str(i), metadata={"path": "a.py"}) for i in range(3)])
    assert ledger.tables == {"language": {"Python": 3}}


@pytest.mark.parametrize(
    ("row", "fate"),
    [
        ({"license_type": "permissive"}, "kept"),
        ({"license_type": "no_license", "detected_licenses": []}, "kept"),
        ({"license_type": "non_permissive"}, "licence not allowed"),
        ({"detected_licenses": ["MIT", "apache-2.0"]}, "kept"),
        ({"detected_licenses": ["MIT", "GPL-3.0-only"]}, "licence not allowed"),
        ({"detected_licenses": "MIT"}, "kept"),
        ({"license_type": None, "detected_licenses": []}, "kept"),
        ({}, "no licence known"),
    ],
)
def test_licences(row, fate):
    found = one(LicenseFilter(), **row)
    assert ("kept" if isinstance(found, dict) else found) == fate


def test_licence_choices():
    strict = LicenseFilter(LicenseFilterConfig(types=("permissive",), licenses=("MIT",), missing="keep"))
    assert one(strict, license_type="no_license") == "licence not allowed"
    assert one(strict, detected_licenses=[]) == "licence not allowed"
    assert one(strict, detected_licenses=["ISC"]) == "licence not allowed"
    assert isinstance(one(strict), dict)


BASE64 = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\n"
CODE = "def add(first, second):\n    return first + second\n"


@pytest.mark.parametrize(
    ("text", "language", "fate"),
    [
        (CODE, "Python", "kept"),
        (CODE * 60_000, "Python", "too many lines"),
        (CODE + "x = '" + "ab " * 400 + "'\n", "Python", "long lines"),
        (("value = compute(first, second) + " * 4 + "0\n") * 3, "Python", "long lines"),
        ("A long paragraph. " * 200, "Markdown", "kept"),
        ("word " * 25_000, "Markdown", "long lines"),
        ("1 + 2 == 3;\n" * 20, "C", "few letters"),
        ("# Code generated. This file was AUTOMATICALLY GENERATED.\n" + CODE, "Python", "generated"),
        (CODE * 3 + "# this file is generated\n", "Python", "kept"),
        ("key = '''\n" + BASE64 * 20 + "'''\n", "Python", "encoded data"),
        ("t = [" + "0x1f, 0xab, 0xc0, 0xde, 0x12, 0x34, 0x56, 0x78,\n" * 4 + "]", "C", "encoded data"),
        ("s = '" + "\\u00e9" * 12 + "'\n", "Python", "encoded data"),
    ],
)  # fmt: skip
def test_quality_rules(text, language, fate):
    found = one(CodeQuality(CodeQualityConfig(min_alphabetic=0.25)), text=text, language=language)
    assert ("kept" if isinstance(found, dict) else found) == fate


def test_rules_can_be_turned_off():
    off = CodeQualityConfig(
        max_lines=None, max_mean_line=None, max_line=None, max_prose_line=None, min_alphabetic=None,
        generated_phrases=(), max_encoded_run=None, max_encoded_share=None,
    )  # fmt: skip
    text = "# automatically generated\n" + "0" * 5000
    assert isinstance(one(CodeQuality(off), text=text, language="Python"), dict)
    with pytest.raises(ConfigError, match="min_alphabetic=25"):
        typed.build(CodeQualityConfig, {"min_alphabetic": 25}, "data.steps.code_quality")


def blob(number):
    return f"{number:040x}"


@pytest.fixture
def archive(tmp_path):
    """A folder laid out as Software Heritage's bucket is."""
    folder = tmp_path / "content"
    folder.mkdir()

    def put(number, data):
        (folder / blob(number)).write_bytes(data)

    for number in range(20):
        put(number, gzip.compress(f"content {number}".encode(), mtime=0))
    put(20, gzip.compress("señal".encode("latin-1")))
    put(21, gzip.compress(b"a" * 5000))
    put(22, gzip.compress(b"cut off")[:-9])
    put(23, b"no gzip at all")
    put(24, gzip.compress(b" \n"))
    put(25, gzip.compress(b"\xff\xfe"))
    (tmp_path / "secret").write_bytes(gzip.compress(b"not for rows"))
    return folder


def references(*rows):
    return [Document(text="", id=str(place), metadata=dict(row)) for place, row in enumerate(rows)]


def fetch(archive, documents, **settings):
    config = typed.build(FetchContentsConfig, {"base": str(archive), "pause": 0, **settings}, "data.steps.fetch")
    return run(FetchContents(config), documents)


def test_contents_arrive_in_the_order_of_the_rows(archive):
    rows = [{"blob_id": blob(number % 20)} for number in range(300)]
    documents, ledger = fetch(archive, references(*rows), threads=8)
    assert [d.text for d in documents] == [f"content {number % 20}" for number in range(300)]
    assert ledger.tables == {"contents": {"fetched": 300}}


def test_what_cannot_be_had_is_set_aside_with_its_reason(archive):
    rows = [
        {"blob_id": blob(20), "src_encoding": "ISO-8859-1"},
        {"blob_id": blob(20), "src_encoding": "UTF-8"},
        {"blob_id": blob(1), "src_encoding": "rot13"},
        {"blob_id": blob(1), "src_encoding": "no-such"},
        {"blob_id": blob(1), "src_encoding": "punycode"},
        {"blob_id": blob(21)},
        {"blob_id": blob(22)},
        {"blob_id": blob(23)},
        {"blob_id": blob(24)},
        {"blob_id": blob(99)},
        {"blob_id": "../secret"},
        {},
        {"blob_id": 5},
    ]
    given = Document(text="came with the row", id="given", metadata={"blob_id": blob(0)})
    documents, ledger = fetch(archive, [*references(*rows), given], max_bytes=1000)
    assert [d.text for d in documents] == ["señal", "came with the row"]
    assert ledger.failed == {
        "not in its encoding": 1, "encoding not known": 3, "too large": 1, "corrupt gzip": 2, "empty": 1,
        "not found": 1, "no blob id": 3,
    }  # fmt: skip
    assert ledger.tables == {"contents": {"fetched": 1, "given with the row": 1}}
    documents, _ = fetch(archive, [given], refetch=True)
    assert documents[0].text == "content 0"


class Weather(MemoryFileSystem):
    """A storage whose answers fail as often as it is told."""

    protocol = "weather"
    failures = 0
    asked = 0
    lock = threading.Lock()

    def _open(self, path, mode="rb", **settings):
        with Weather.lock:
            Weather.asked += 1
            if Weather.failures > 0:
                Weather.failures -= 1
                raise ConnectionError("the line is dead")
        return super()._open(path, mode, **settings)


@pytest.fixture
def weather():
    fsspec.register_implementation("weather", Weather, clobber=True)
    Weather.failures = 0
    filesystem = Weather()
    for number in range(20):
        filesystem.pipe_file(f"weather://content/{blob(number)}", gzip.compress(f"content {number}".encode()))
    Weather.asked = 0
    return "weather://content"


def test_a_failing_storage_is_asked_again(weather):
    Weather.failures = 3
    documents, ledger = fetch(weather, references({"blob_id": blob(7)}), retries=3)
    assert ([d.text for d in documents], ledger.failed, Weather.asked) == (["content 7"], {}, 4)
    Weather.failures, Weather.asked = 5, 0
    lost = references({"blob_id": blob(7)})
    documents, ledger = fetch(weather, lost, retries=3)
    assert (documents, ledger.failed, Weather.asked) == ([], {"storage failed": 1}, 4)
    assert lost[0].metadata == {"blob_id": blob(7)}  # what the storage said is for the log


def test_a_content_that_the_storage_fails_to_give_is_set_aside(weather, tmp_path):
    Weather.failures = 1
    step = FetchContents(typed.build(FetchContentsConfig, {"base": weather, "retries": 0, "threads": 1}, "x"))
    step.bind(StepContext(label="fetch", position=1, seed=0, rejected=tmp_path))
    assert [d.text for d in step.run(references({"blob_id": blob(7)}, {"blob_id": blob(8)}))] == ["content 8"]
    (aside,) = pq.read_table(tmp_path / "01-fetch-00000.parquet").to_pylist()
    assert (aside["outcome"], aside["reason"]) == ("failed", "storage failed")
    assert blob(7) in aside["metadata"]


def test_a_missing_content_is_asked_for_once(weather):
    _, ledger = fetch(weather, references({"blob_id": blob(99)}), retries=3)
    assert (ledger.failed, Weather.asked) == ({"not found": 1}, 1)


def test_a_dead_storage_ends_the_run(weather):
    Weather.failures = 10**6
    rows = references(*({"blob_id": blob(number)} for number in range(20)))
    with pytest.raises(InputError, match=r"failed 5 times in a row, at last: ConnectionError: the line is dead"):
        fetch(weather, rows, retries=0, give_up_after=5, threads=2)


def test_a_missing_file_system_matters_only_when_something_is_fetched(tmp_path):
    given = Document(text="here", id="1", metadata={})
    assert len(fetch("nosuch://bucket", [given])[0]) == 1
    with pytest.raises(ConfigError, match=r"base=nosuch://bucket: .*nosuch"):
        fetch("nosuch://bucket", references({"blob_id": blob(1)}))
