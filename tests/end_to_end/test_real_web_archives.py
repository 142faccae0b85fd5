"""FineMath's recipe on real web archives: every record is accounted for, whatever becomes of the run."""

import gzip
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED") or Path(__file__).parents[3] / "shared")
SHIPPED = Path(__file__).parents[2] / "packages" / "data-plugins" / "warc" / "tests" / "fixtures"
FOUND = [*SHIPPED.glob("*"), *SHARED.glob("data/warc/*/*")]
ARCHIVES = sorted(str(path) for path in FOUND if re.search(r"\.(warc|arc)\b", path.name))
"""Those of this repository, and more where the shared data is there."""
LEARNED = ["label_first", "classifier_first", "domain_recall", "label", "classifier", "threshold"]
FEW_PAGES = [f"~data.steps.{label}" for label in LEARNED]
"""What a handful of pages is too little for: labels to learn from."""


def run(folder, *arguments):
    """Return the finished process and its report."""
    paths = f"data.paths=[{','.join(ARCHIVES)}]"
    ended = subprocess.run(
        [sys.executable, "-m", "core.run", "+data=finemath", paths, f"store={folder}/store", "run_dir=run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in ended.stderr
    assert (folder / "run" / "report.html").is_file()
    return ended, json.loads((folder / "run" / "report.json").read_text())


def records():
    """Count the records without the reader, in the unpacked bytes: version lines of WARC, record lines of ARC."""
    count = 0
    for path in ARCHIVES:
        content = Path(path).read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        arc = rb"(?:\A|\n)(?:filedesc|http)://[^\n]+ \d{14} \S+ \d+\r?\n"
        count += len(re.findall(arc if content.startswith(b"filedesc:") else rb"(?:\A|\n)WARC/1\.\d\r?\n", content))
    return count


def check(funnel):
    """Check that every record read is accounted for in every step."""
    assert funnel[0]["in"] == records()
    for step in funnel:
        assert step["in"] == step["kept"] + sum(step["rejected"].values()) + sum(step["failed"].values())
    assert all(later["in"] == earlier["kept"] for earlier, later in itertools.pairwise(funnel))


def content(folder):
    (artifact,) = (folder / "store" / "data").glob("*/manifest.json")
    kept = sorted(path for name in ("documents", "rejected") for path in (artifact.parent / name).iterdir())
    return {str(path.relative_to(folder)): path.read_bytes() for path in [*kept, artifact.parent / "funnel.json"]}


@pytest.mark.slow
def test_curating_gives_the_same_bytes_whatever_the_workers(tmp_path):
    contents = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        ended, report = run(folder, *FEW_PAGES, f"executor.workers={workers}")
        assert ended.returncode == 0, ended.stderr
        check(report["funnel"])
        assert report["funnel"][-1]["kept"] == report["data"]["documents"] > 0
        contents.append(content(folder))
    assert contents[0] == contents[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "stage", "words"),
    [
        ([], "data", "too few to train on"),
        (FEW_PAGES, "tokenizer", "Set tokenizer.vocab_size="),
    ],
)
def test_too_few_pages_to_train_on_end_in_one_line_and_a_report(overrides, stage, words, tmp_path):
    ended, report = run(tmp_path, "+arch=shared_ffn", "executor.workers=1", *overrides)
    assert ended.returncode == 1
    (error,) = (line for line in ended.stderr.splitlines() if line.startswith("error:"))
    assert f"stage {stage} failed" in error
    assert words in error
    assert {row["name"] for row in report["stages"] if row["status"] == "failed"} == {stage}
    check(report["funnel"])
    if stage == "data":
        assert [step["step"] for step in report["funnel"]][-1] == "label_first"
