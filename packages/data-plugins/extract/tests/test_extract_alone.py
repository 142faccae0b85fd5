"""Extraction from rows of HTML: JSON lines and Parquet, without FastWARC or any package that reads archives."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.data.documents import read_documents
from core.data.executor import LocalExecutor
from core.data.recipe import LocalExecutorConfig, RecipeConfig
from core.data.runner import Recipe
from core.interfaces import Job

FIXTURES = Path(__file__).parent / "fixtures"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))
WITHOUT_ARCHIVES = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("fastwarc", "smallwright_warc"):
            raise ModuleNotFoundError(f"{name} is not to be imported here", name=name)

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def rows():
    """The fixtures as rows of a table; the HTML is decoded, whatever charset it declares."""
    return [
        {
            "id": name,
            "html": (FIXTURES / f"{name}.html").read_bytes().decode(expected["charset"]),
            "url": f"http://a.example/{name}",
            "extracted": "2024-05-18",  # a column of another's pipeline
        }
        for name, expected in EXPECTED.items()
    ]


@pytest.mark.parametrize(("reader", "name"), [("read_jsonl", "rows.jsonl"), ("read_parquet", "rows.parquet")])
def test_a_recipe_extracts_from_a_column_of_html(tmp_path, rows, reader, name):
    pytest.importorskip("smallwright_files", reason="its steps read rows")
    path = tmp_path / name
    if reader == "read_jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    steps = {"read": {"use": reader, "text": "html"}, "extract": {"use": "extract_text"}}
    executor = LocalExecutor(LocalExecutorConfig(workers=1))
    job = Job(name="data", output=tmp_path / "out", inputs={}, seed=0, executor=executor)
    summary = Recipe(RecipeConfig(steps=steps, paths=(str(path),))).run(job)
    assert [(step["in"], step["kept"]) for step in summary["funnel"]] == [(len(rows), len(rows))] * 2
    (file,) = (job.output / "documents").iterdir()
    found = {document.id: document for document in read_documents(file)}
    for name, expected in EXPECTED.items():
        text = " ".join(found[name].text.split())
        lines = (FIXTURES / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        assert all(" ".join(line.split()) in text for line in lines)
        assert found[name].metadata["title"] == expected["title"]
        assert found[name].metadata["url"] == f"http://a.example/{name}"
        assert found[name].metadata.get("formulas", 0) == expected["formulas"]


@pytest.mark.parametrize("isolate", [True, False])
def test_nothing_of_archives_is_imported(tmp_path, rows, isolate):
    """Not by the step, nor by its child process: both run here where FastWARC cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_ARCHIVES)
    program = (
        "import sys\n"
        "from datatrove.data import Document\n"
        "from smallwright_extract import plugin\n"
        "from smallwright_extract.config import ExtractTextConfig\n"
        "from smallwright_extract.step import ExtractText\n"
        f"step = ExtractText(ExtractTextConfig(isolate={isolate}, quality='precise', tables='markdown'))\n"
        "(document,) = step.run([Document(text=sys.stdin.read(), id='1')])\n"
        "print(document.metadata['title'])\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('fastwarc', 'smallwright_warc')]\n"
        "try:\n"
        "    import fastwarc\n"
        "except ModuleNotFoundError as error:\n"
        "    assert 'not to be imported' in str(error)\n"
        "else:\n"
        "    raise AssertionError('the hindrance does not work')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        input=rows[0]["html"],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == EXPECTED[rows[0]["id"]]["title"]
