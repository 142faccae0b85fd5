"""Tasks on this machine: what they get of it, and that nothing of them is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from core.sweep.tasks import Task
from smallwright_launchers import local, machine
from smallwright_launchers.config import LocalConfig

LAUNCH = """
import sys
from pathlib import Path
from core.sweep.tasks import Task
from smallwright_launchers.config import LocalConfig
from smallwright_launchers.local import LocalLauncher
task = Task(name="a", command=("sh", "-c", "echo $$ > pid; exec sleep 60"), log=Path("log"))
LocalLauncher(LocalConfig(jobs=1)).launch([task], Path(), print)
"""


def launch(folder, *scripts, **settings):
    """Launch shell scripts and return what was told of each, by its place."""
    tasks = [
        Task(name=str(place), command=("sh", "-c", script), log=folder / f"{place}.log")
        for place, script in enumerate(scripts)
    ]
    told = {}
    launcher = local.LocalLauncher(LocalConfig(**settings))
    launcher.launch(tasks, folder, lambda task, error: told.update({task.name: error}))
    return told


def wait_for(found, seconds=300):
    """Return what ``found`` returns once it is true."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


def number_in(file):
    return int(file.read_text() or 0) if file.exists() else 0


def test_a_task_gets_its_share_of_cores_threads_and_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv(machine.VISIBLE, "4,7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    show = "grep Cpus_allowed_list /proc/self/status; echo $OMP_NUM_THREADS $CUDA_VISIBLE_DEVICES"
    both = [  # each waits for the other: they run at the same time
        f"cd {tmp_path}; touch {me}; while [ ! -e {other} ]; do sleep 0.01; done; {show}"
        for me, other in (("x", "y"), ("y", "x"))
    ]
    assert launch(tmp_path, *both, jobs=2) == {"0": None, "1": None}
    shares = machine.divide(LocalConfig(jobs=2))
    said = [(tmp_path / f"{place}.log").read_text().split()[1:] for place in (0, 1)]
    found = [(_cores(cores), int(threads), (gpu,)) for cores, threads, gpu in said]
    assert found == [(share.cores, len(share.cores), share.gpus) for share in shares]


def _cores(listed):
    """Return what Linux lists as 0-2,4."""
    ranges = [[int(number) for number in part.split("-")] for part in listed.split(",")]
    return tuple(core for first, *last in ranges for core in range(first, (last or [first])[0] + 1))


def test_what_the_others_wait_for_has_all_cores_and_the_gpus_of_one(tmp_path, monkeypatch):
    monkeypatch.setenv(machine.VISIBLE, "4,7")
    show = ("sh", "-c", "grep Cpus_allowed_list /proc/self/status; echo $CUDA_VISIBLE_DEVICES")
    first, second = (Task(name=name, command=show, log=tmp_path / name, after=after) for name, after in WAITING.items())
    local.LocalLauncher(LocalConfig(jobs=2)).launch([first, second], tmp_path, lambda *_: None)
    for task in (first, second):
        _, cores, gpu = task.log.read_text().split()
        assert _cores(cores) == machine.cores()
        assert gpu in ("4", "7")


WAITING = {"first": (), "second": ("first",)}


def test_what_a_task_leaves_running_ends_with_it(tmp_path):
    assert launch(tmp_path, f"sleep 60 & echo $! > {tmp_path}/left", jobs=1) == {"0": None}
    wait_for(lambda: _is_over(number_in(tmp_path / "left")))


def _is_over(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(
    ("trap", "grace", "said"),
    [("trap 'echo how far it was; exit 1' TERM", 20, "how far it was\n"), ("trap '' TERM", 0.2, "")],
    ids=["it says how far it was", "it does not listen"],
)
def test_an_interrupted_task_may_end_by_itself_and_is_killed_when_it_does_not(tmp_path, monkeypatch, trap, grace, said):
    monkeypatch.setattr(local, "GRACE_SECONDS", grace)
    started = tmp_path / "started"
    presser = threading.Thread(target=lambda: wait_for(started.exists) and os.kill(os.getpid(), signal.SIGINT))
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        launch(tmp_path, f"{trap}; echo $$ > {tmp_path}/pid; touch {started}; while :; do sleep 0.05; done", jobs=1)
    presser.join()
    assert (tmp_path / "0.log").read_text() == said
    assert not Path(f"/proc/{number_in(tmp_path / 'pid')}").exists()


def test_tasks_end_with_a_launcher_that_is_killed(tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", LAUNCH], cwd=tmp_path)
    try:
        task = wait_for(lambda: number_in(tmp_path / "pid"))
    finally:
        killed.kill()
        killed.wait()
    wait_for(lambda: _is_over(task))


def test_ctrl_c_while_a_task_starts_waits_until_it_is_known(tmp_path, monkeypatch):
    started = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        launch(tmp_path, "sleep 60", jobs=1)
    assert [process.returncode for process in started] == [-signal.SIGTERM]
