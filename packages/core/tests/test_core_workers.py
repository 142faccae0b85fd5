"""Processes of stages: one a job, or one that stays for the next job that can use what it holds."""

import os
import signal
import sys
import time

import pytest
from core import local_files, store
from core.interfaces import Job
from core.workers import StageFailed, Workers

STAGE = """
import dataclasses, os, sys
from core.interfaces import Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    holds: str | None = None
    variable: str = "one"
    fail: bool = False


class Holding(Stage):
    def shares_process(self, job):
        if self.config.holds == "raise":
            raise ValueError("no engine")
        return 3 if self.config.holds == "number" else self.config.holds

    def environment(self):
        return {"HOLDING": self.config.variable}

    def run(self, job):
        print("this is", job.output.name, flush=True)
        job.progress(1, 1, note=job.output.name)
        if self.config.fail:
            raise ValueError("broken")
        before = 0
        if job.kept is not None:
            before = job.kept["jobs"] = job.kept.get("jobs", -1) + 1
        return {"pid": os.getpid(), "before": before, "read": sys.stdin.read(), "set": os.environ["HOLDING"]}
"""


@pytest.fixture
def do(tmp_path, monkeypatch):
    """Do a job named ``name`` of the stage with these settings; return its summary."""
    monkeypatch.delitem(sys.modules, "holding_stage", raising=False)
    file = tmp_path / "holding_stage.py"
    file.write_text(STAGE)
    module = local_files.import_file(file)
    (tmp_path / "logs").mkdir()

    def call(workers, name, **settings):
        stage = module.Holding(module.Settings(**settings))
        (output := tmp_path / name).mkdir(exist_ok=True)
        record = {"folder": "eval", "identity": {}, "external_files": []}
        job = Job(name=name, output=output, inputs={}, seed=0, stage=stage, plugin_files=(str(file),), record=record)
        workers.do(job, tmp_path / "logs")
        return store.load_manifest(output)["summary"]

    return call


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_process_stays_for_jobs_that_use_what_it_holds_and_ends_for_another(do, tmp_path):
    with Workers() as workers:
        first, second = do(workers, "first", holds="a"), do(workers, "second", holds="a")
        assert first["pid"] == second["pid"]
        assert (first["before"], second["before"]) == (0, 1)
        assert first["read"] == second["read"] == "", "a stage finds nothing on stdin"
        assert is_alive(first["pid"])
        others = [do(workers, "third", holds="a", variable="two"), do(workers, "fourth", holds="b")]
        assert len({first["pid"], *(other["pid"] for other in others)}) == 3
        assert others[0]["set"] == "two"
        assert not is_alive(first["pid"])
        assert not is_alive(others[0]["pid"])
    assert not is_alive(others[1]["pid"])
    for name in ("first", "second", "third", "fourth"):
        assert (tmp_path / "logs" / f"{name}.log").read_text() == f"this is {name}\n"
        assert name in (tmp_path / "logs" / f"{name}.progress").read_text()
    assert list((tmp_path / "logs").glob("*.ended.json")) == []


@pytest.mark.slow
def test_what_a_stage_that_fails_held_is_not_used_and_one_that_died_is_replaced(do, tmp_path):
    with Workers() as workers:
        first = do(workers, "first", holds="a")
        with pytest.raises(StageFailed, match="ValueError: broken"):
            do(workers, "second", holds="a", fail=True)
        third = do(workers, "third", holds="a")
        assert third["before"] == 0
        os.kill(third["pid"], signal.SIGKILL)
        deadline = time.monotonic() + 300
        while workers._kept.popen.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        fourth = do(workers, "fourth", holds="a")
        assert len({first["pid"], third["pid"], fourth["pid"]}) == 3
        alone = do(workers, "fifth")
        assert not is_alive(alone["pid"])
        assert not is_alive(fourth["pid"]), "nothing stays beside a stage that cannot use it"


def test_a_stage_with_a_wrong_key_of_its_process_fails_alone(do):
    with Workers() as workers:
        with pytest.raises(StageFailed, match=r"its shares_process raises ValueError: no engine"):
            do(workers, "first", holds="raise")
        with pytest.raises(StageFailed, match="its shares_process returns int, and must return a text or None"):
            do(workers, "second", holds="number")
