"""Slurm, for real: a cluster of one node with two cores, started by hand (see slurm_cluster.py)."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from core.errors import ConfigError, InputError
from smallwright_executors.config import SlurmConfig
from smallwright_executors.slurm_executor import SlurmExecutor

_spec = importlib.util.spec_from_file_location("slurm_cluster", Path(__file__).parent / "slurm_cluster.py")
slurm_cluster = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(slurm_cluster)

pytestmark = pytest.mark.skipif(slurm_cluster.missing() is not None, reason=str(slurm_cluster.missing()))


@pytest.fixture(scope="module")
def cluster():
    """Environment variables that lead Slurm's commands to the test's cluster."""
    with slurm_cluster.slurm_cluster() as variables:
        yield variables


@pytest.fixture
def slurm(toy, cluster, monkeypatch):
    """Makes executors for the test's cluster."""
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    settings = {"partition": "debug", "time": "0:10:00", "mem_per_cpu_gb": 1, "poll_seconds": 0.3, "settle_seconds": 2}
    return lambda **others: SlurmExecutor(SlurmConfig(**{**settings, **others}), toy.plugin)


def wait_for(found, seconds=300):
    """Return what ``found`` returns once it is true."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"workers": 1}, {"workers": 2, "max_array_size": 1}])
def test_the_corpus_is_the_same_bytes_as_the_local_executors(toy, slurm, settings):
    expected = toy.local()
    assert toy.run(slurm(tasks_per_job=2, **settings), "slurm", times=0) == expected
    assert toy.content("slurm") == toy.content("local")
    assert toy.traces() == ({"0.txt": 1, "1.txt": 1, "2.txt": 1, "3.txt": 1}, {"SLURM"})
    assert toy.notes[-1] == "last 4/4"


def test_a_task_killed_midway_is_named_and_a_rerun_redoes_only_its_shard(toy, slurm):
    """In a folder with a space in its name, which the job's script must quote."""
    toy.local()

    def kill_the_task_of_2():
        trace = wait_for(lambda: list((toy.path / "traces").glob("2.txt.*")))[0]
        os.kill(int(trace.suffix[1:]), signal.SIGKILL)
        (toy.path / "traces" / "go").touch()

    killer = threading.Thread(target=kill_the_task_of_2)
    killer.start()
    named = r"1 of 4 shards failed in pass before-03-keep_first: shard 2 \(job (\d+_2) FAILED; log (.*)\)\. Finished"
    with pytest.raises(InputError, match=named) as raised:
        toy.run(slurm(), "with space", hold="2.txt")
    killer.join()
    log = Path(re.search(named, str(raised.value))[2])
    assert "Killed" in log.read_text()
    assert toy.traces()[0] == {"0.txt": 1, "1.txt": 1, "2.txt": 1, "3.txt": 1}
    toy.run(slurm(tasks_per_job=4), "with space", hold="2.txt")
    assert toy.traces()[0] == {"0.txt": 1, "1.txt": 1, "2.txt": 2, "3.txt": 1}
    assert toy.content("with space") == toy.content("local")


def test_an_error_in_a_shard_is_told_with_its_reason(toy, slurm):
    with pytest.raises(InputError, match=r"shard 3 \(job \d+_1 FAILED, InputError: 3\.txt is not what it should be"):
        toy.run(slurm(tasks_per_job=2), "slurm", error="3.txt")
    assert toy.traces()[0] == {"0.txt": 1, "1.txt": 1, "2.txt": 1, "3.txt": 1}


RUN = """
from pathlib import Path
from core.data.recipe import RecipeConfig
from core.data.runner import Recipe
from core.interfaces import Job
from smallwright_executors.config import SlurmConfig
from smallwright_executors.slurm_executor import SlurmExecutor
traces = {"traces": str(Path("traces").resolve()), "hold": "2.txt"}
steps = {"read_lines": {}, "meddle": traces, "drop": {}, "keep_first": {}}
config = SlurmConfig(partition="debug", time="0:10:00", mem_per_cpu_gb=1, poll_seconds=0.3, tasks_per_job=4)
plugin = ("executors_toy.py",)
job = Job(name="d", output=Path("slurm").resolve(), inputs={}, seed=0, plugin_files=plugin,
          executor=SlurmExecutor(config, plugin))
Recipe(RecipeConfig(steps=steps, paths=("in/*.txt",))).run(job)
"""


def test_a_rerun_waits_for_the_jobs_of_a_killed_run(toy, slurm):
    toy.local()
    (toy.path / "slurm").mkdir()
    killed = subprocess.Popen([sys.executable, "-c", RUN], cwd=toy.path)
    try:
        wait_for(lambda: list((toy.path / "traces").glob("2.txt.*")))
    finally:
        killed.kill()
        killed.wait()
    executor = slurm(tasks_per_job=4)
    timer = threading.Timer(2, (toy.path / "traces" / "go").touch)
    timer.start()
    toy.run(executor, "slurm", hold="2.txt")
    timer.join()
    assert toy.traces()[0] == {"0.txt": 1, "1.txt": 1, "2.txt": 1, "3.txt": 1}
    assert toy.content("slurm") == toy.content("local")


def test_a_job_that_slurm_refuses_or_never_starts_is_told(toy, slurm):
    with pytest.raises(ConfigError, match=r"Slurm refused the job: .*[Ii]nvalid partition"):
        toy.run(slurm(partition="nowhere"), "slurm")
    with pytest.raises(ConfigError, match=r"Slurm will never start job \d+_\d \(PartitionTimeLimit\)"):
        toy.run(slurm(time="3:00:00"), "slurm")
    queue = subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True)
    assert queue.stdout == ""
