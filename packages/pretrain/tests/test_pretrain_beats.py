"""Which rank died, hangs or lags is said."""

import os
import time

import pytest
from smallwright_pretrain import launch
from smallwright_pretrain.beats import BEATS, PHASES, Beat, behind, read
from smallwright_pretrain.config import TorchTitanConfig

READING, COMPUTING, SAVING, _ = PHASES


def say(work, *places):
    for rank, (step, phase) in enumerate(places):
        beat = Beat(work / BEATS, rank)
        beat(1, SAVING)
        beat(step, phase)
        beat.close()


def test_the_rank_that_hangs_is_the_one_behind_the_others(tmp_path):
    say(tmp_path, (12, COMPUTING), (12, READING), (12, COMPUTING))
    said = behind(read(tmp_path / BEATS), time.time() + 30)
    assert said.startswith("rank 1 is behind: since 3")
    assert said.endswith(" is reading a batch in step 12, where others are computing in step 12")
    say(tmp_path, (12, COMPUTING), (11, SAVING), (10, READING))
    assert behind(read(tmp_path / BEATS), time.time() + 30).startswith("ranks 1, 2 are behind: since 3")
    say(tmp_path, *[(12, COMPUTING)] * 3)
    assert behind(read(tmp_path / BEATS), time.time()) is None
    assert behind({}, 0.0) is None


RANK = """
import os, sys, time
open(os.path.join(os.path.dirname(sys.argv[1]), os.environ["RANK"]), "w").close()
if os.environ["RANK"] == "1":
    os.kill(os.getpid(), 9)
time.sleep(600)
"""


@pytest.mark.slow
def test_a_rank_that_is_killed_is_named(tmp_path, monkeypatch):
    """By torchrun, for ranks that do nothing else than to wait for each other."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "waiting.py").write_text(RANK)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'code'}{os.pathsep}{os.environ['PYTHONPATH']}")
    monkeypatch.setattr(launch, "RANK_MODULE", "waiting")
    with pytest.raises(
        RuntimeError, match=r"because rank 1 \(process \d+ on .*\) was ended by signal 9, before its first"
    ):
        launch.run_ranks(tmp_path / "job.json", TorchTitanConfig(nproc=2), {})
    assert (tmp_path / "1").exists()
