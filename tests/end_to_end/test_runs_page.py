"""``docs/runs.md``: the sweeps on the page are ones that can be planned, and one of them is done."""

import json
import re
import shlex
from pathlib import Path

import pytest
from core import plan, run

PAGE = Path(__file__).parents[2] / "docs" / "runs.md"
SWEEPS = dict.fromkeys(re.findall(r"^python -m core\.(?:run|plan) +-m ([^\n#]+)", PAGE.read_text(), flags=re.MULTILINE))
DONE = "+data=jsonl"
"""What the sweep that is done has, and no other."""


@pytest.fixture
def texts(tmp_path, monkeypatch):
    """A working directory with ``texts.jsonl``: two texts that are nearly one, and another."""
    monkeypatch.chdir(tmp_path)
    words = [f"word{number}" for number in range(60)]
    texts = [" ".join(words), " ".join([*words[:-1], "end"]), " ".join(reversed(words))]
    lines = [json.dumps({"id": str(place), "text": text}) for place, text in enumerate(texts)]
    Path("texts.jsonl").write_text("\n".join(lines))


def test_the_page_has_sweeps_and_one_that_is_done():
    assert len(SWEEPS) > 3
    assert sum(DONE in words for words in SWEEPS) == 1


@pytest.mark.parametrize("words", SWEEPS)
def test_every_sweep_of_the_page_can_be_planned(words, texts, capsys):
    assert plan.main(["-m", "--json", *shlex.split(words)]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert len(planned["runs"]) > 1
    assert all(row["finished"] == 0 for row in planned["stages"].values())


@pytest.mark.slow
def test_the_sweep_of_the_page_is_done(texts):
    (words,) = [words for words in SWEEPS if DONE in words]
    assert run.main(["-m", *shlex.split(words), "run_dir=sweep", "executor.workers=1"]) == 0
    table = json.loads(Path("sweep/sweep.json").read_text())
    assert [row["values"] for row in table["runs"]] == [{"data.steps.near.bands": bands} for bands in ("2", "14")]
    kept = [row["metrics"]["data.documents"] for row in table["runs"]]
    assert kept[1] <= kept[0]
    assert kept[1] == 2
    assert Path("sweep/sweep.parquet").is_file()
