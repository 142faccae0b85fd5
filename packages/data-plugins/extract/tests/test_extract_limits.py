"""No page can hang, exhaust or crash the worker. About 15 seconds: waiting for time limits is the point."""

import os
import signal
import subprocess
import sys
import time

import pytest
from datatrove.data import Document
from smallwright_extract.child import ExtractionChild
from smallwright_extract.config import ExtractTextConfig
from smallwright_extract.step import BATCH_PAGES, ExtractText

GOOD = "<body><article><p>" + "Two and two is four, and three and three is six. " * 10 + "</p></article></body>"
MANY_ATTRIBUTES = "<p " + " ".join(f"a{i}=1" for i in range(200_000)) + ">x</p>"
MANY_OPTIONS = "<select>" + "<option>x" * 200_000


def run(pages: list[str], **settings):
    step = ExtractText(ExtractTextConfig(**settings))
    documents = [Document(text=page, id=str(number), metadata={}) for number, page in enumerate(pages)]
    return [document.id for document in step.run(documents)], step._ledger.to_dict()


@pytest.mark.parametrize("page", [MANY_ATTRIBUTES, MANY_OPTIONS], ids=["attributes", "options"])
@pytest.mark.slow
def test_a_page_that_hangs_the_parser_fails_and_the_others_are_kept(page):
    kept, ledger = run([GOOD, page, GOOD], timeout_s=1)
    assert kept == ["0", "2"]
    assert ledger["failed"] == {"time limit": 1}


def test_a_page_that_needs_too_much_memory_fails_and_the_others_are_kept():
    kept, ledger = run([GOOD, "<b><i>x</i></b>" * 1_500_000, GOOD], max_memory_mb=64, max_page_bytes=10**9)
    assert kept == ["0", "2"]
    assert ledger["failed"] == {"memory limit": 1}


def test_two_hundred_megabytes_in_one_line_are_refused_by_size():
    kept, ledger = run([GOOD, "x" * 200_000_000, GOOD])
    assert kept == ["0", "2"]
    assert ledger["rejected"] == {"larger than the limit": 1}


@pytest.mark.slow
def test_crashes_and_endless_loops_are_found_in_their_batch(tmp_path, monkeypatch):
    plug = tmp_path / "trafilatura.py"
    plug.write_text(
        "import os\n"
        "def extract(html, **_):\n"
        "    if 'CRASH' in html: os.abort()\n"
        "    while 'LOOP' in html: pass\n"
        "    if 'RAISE' in html: raise KeyError('x')\n"
        "    print('chatter on standard output')\n"
        "    return html\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pages = [
        GOOD,
        GOOD + "CRASH",
        GOOD,
        GOOD + "LOOP",
        GOOD + "RAISE",
        GOOD + "CRASH",
        *[GOOD] * BATCH_PAGES["trafilatura"],
    ]
    kept, ledger = run(pages, extractor="trafilatura", timeout_s=1)
    assert kept == [str(i) for i in range(len(pages)) if i not in (1, 3, 4, 5)]
    assert ledger["failed"] == {"crashed the extractor": 2, "time limit": 1, "KeyError": 1}


def test_a_child_killed_from_outside_costs_no_page():
    with ExtractionChild(ExtractTextConfig()) as child:
        assert not child.extract([GOOD.encode()])[0].failed
        os.kill(child._process.pid, signal.SIGKILL)
        assert [outcome.failed for outcome in child.extract([GOOD.encode()] * 2)] == ["", ""]


def test_the_child_ends_with_a_killed_parent():
    program = (
        "import time\n"
        "from smallwright_extract.config import ExtractTextConfig\n"
        "from smallwright_extract.child import ExtractionChild\n"
        "child = ExtractionChild(ExtractTextConfig()).__enter__()\n"
        "child.extract([b'<p>x'])\n"
        "print(child._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
            with open(f"/proc/{child}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except OSError:
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child outlived its parent")


def test_with_and_without_a_child_the_text_is_the_same():
    pages = [GOOD, "<p>caf\u00e9 \u4e2d \U0001f600", "lone \ud800 surrogate " * 5, "", "\0", "<p>" * 3000]
    assert run(pages) == run(pages, isolate=False)
