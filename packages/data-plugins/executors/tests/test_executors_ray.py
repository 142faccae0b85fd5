"""Ray, for real, on this machine, with two workers. About a minute: a cluster takes some ten seconds to start."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from core.errors import ConfigError, InputError
from smallwright_executors.config import RayConfig
from smallwright_executors.ray_executor import RayExecutor

pytestmark = pytest.mark.slow

SWITCHES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """Ray's switches are set in the environment; each test starts without them."""
    for variable in SWITCHES:
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)


@pytest.fixture(scope="module")
def cluster():
    """Address of a Ray cluster with two cores, started as an administrator would."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        port, client_port = _free_port(), _free_port()
        options = ["--num-cpus=2", "--object-store-memory=100000000", "--include-dashboard=false"]
        environment = {key: value for key, value in os.environ.items() if key not in SWITCHES}
        options += [f"--port={port}", f"--ray-client-server-port={client_port}", f"--temp-dir={folder}"]
        with open(Path(folder) / "log", "w") as output:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", *options],
                env=environment | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "HOME": folder},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            log, address = Path(folder) / "log", Path(folder) / "ray_current_cluster"
            end = time.monotonic() + 300
            # Ray opens the file of the address, says that it runs, and only then writes the address.
            while "Ray runtime started" not in log.read_text() or not (found := _text_of(address)):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=300)


def _text_of(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""


def executor(toy, **settings):
    return RayExecutor(RayConfig(**{"workers": 2, **settings}), toy.plugin)


def wait_for(found, seconds=300):
    """Return what ``found`` returns once it is true."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value


@pytest.mark.parametrize("workers", [1, 2])
def test_the_corpus_is_the_same_bytes_as_the_local_executors(toy, cluster, workers):
    expected = toy.local()
    assert toy.run(executor(toy, workers=workers, address=cluster), "ray", times=0) == expected
    assert toy.content("ray") == toy.content("local")
    assert toy.traces() == ({"0.txt": 1, "1.txt": 1, "2.txt": 1, "3.txt": 1}, {"RAY"})
    assert [note for note in toy.notes if note.startswith("last")][-5:] == [f"last {n}/4" for n in range(5)]


def test_a_worker_killed_midway_costs_only_its_shard(toy, cluster):
    toy.local()

    def kill_the_worker_of_2():
        trace = wait_for(lambda: list((toy.path / "traces").glob("2.txt.*")))[0]
        os.kill(int(trace.suffix[1:]), signal.SIGKILL)
        (toy.path / "traces" / "go").touch()

    killer = threading.Thread(target=kill_the_worker_of_2)
    killer.start()
    toy.run(executor(toy, address=cluster), "ray", hold="2.txt")
    killer.join()
    assert toy.traces()[0] == {"0.txt": 1, "1.txt": 1, "2.txt": 2, "3.txt": 1}
    assert toy.content("ray") == toy.content("local")


def test_a_shard_whose_worker_always_dies_is_named_and_a_rerun_redoes_only_what_is_left(toy, cluster):
    toy.local()
    again = executor(toy, address=cluster, retries=1, workers=1)
    with pytest.raises(InputError, match=r"the worker of shard 1 in pass before-03-keep_first died 2 times"):
        toy.run(again, "ray", die="1.txt", times=2)
    toy.run(executor(toy, address=cluster, retries=1), "ray", die="1.txt", times=2)
    assert toy.traces()[0] == {"0.txt": 1, "1.txt": 3, "2.txt": 1, "3.txt": 1}
    assert toy.content("ray") == toy.content("local")


def test_an_error_in_a_shard_is_raised_as_it_is_after_the_shards_beside_it(toy, cluster):
    toy.local()
    with pytest.raises(InputError, match=r"^0\.txt is not what it should be\.$"):
        toy.run(executor(toy, address=cluster), "ray", error="0.txt")
    (toy.path / "traces" / "mended").touch()
    toy.run(executor(toy, address=cluster), "ray", error="0.txt")
    assert toy.traces()[0] == {"0.txt": 2, "1.txt": 1, "2.txt": 1, "3.txt": 1}
    assert toy.content("ray") == toy.content("local")


def test_an_address_where_nothing_listens_is_named_at_once(toy):
    with pytest.raises(ConfigError, match=r"executor\.address=127\.0\.0\.1:1: no Ray cluster there"):
        toy.run(executor(toy, address="127.0.0.1:1"), "ray")


def test_shards_end_with_a_run_that_is_killed_on_a_cluster_that_goes_on(toy, cluster):
    killed = subprocess.Popen([sys.executable, "-c", RUN, "2.txt", cluster], cwd=toy.path)
    try:
        trace = wait_for(lambda: list((toy.path / "traces").glob("2.txt.*")))[0]
    finally:
        killed.kill()
        killed.wait()
    wait_for(lambda: not Path(f"/proc/{trace.suffix[1:]}").exists())


RUN = """
import sys
sys.path.insert(0, "")
from core import discovery
from core.data.recipe import RecipeConfig
from core.data.runner import Recipe
from core.interfaces import Job
from pathlib import Path
from smallwright_executors.config import RayConfig
from smallwright_executors.ray_executor import RayExecutor
traces = {"traces": str(Path("traces").resolve()), "hold": sys.argv[1]}
steps = {"read_lines": {}, "meddle": traces, "drop": {}, "keep_first": {}}
address = sys.argv[2] if len(sys.argv) > 2 else None
executor = RayExecutor(RayConfig(workers=2, address=address), ("executors_toy.py",))
Path("own").mkdir(exist_ok=True)
job = Job(name="d", output=Path("own").resolve(), inputs={}, seed=0, plugin_files=("executors_toy.py",),
          executor=executor)
Recipe(RecipeConfig(steps=steps, paths=("in/*.txt",))).run(job)
"""


@pytest.mark.slow
def test_a_cluster_of_its_own_leaves_nothing_behind_even_when_its_run_is_killed(toy, tmp_path):
    """Long paths of home and temporary files: Ray's sockets do not fit there."""
    toy.local()
    home = tmp_path / ("long" * 40)
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "RAY_USAGE_STATS_ENABLED": "0"}
    before = set(Path("/tmp").glob("smallwright-ray-*"))
    killed = subprocess.Popen([sys.executable, "-c", RUN, "2.txt"], cwd=toy.path, env=environment)
    try:
        wait_for(lambda: len(list((toy.path / "traces").glob("*.txt.*"))) == 4)
        (left,) = set(Path("/tmp").glob("smallwright-ray-*")) - before
        started = _processes_of(left)
        assert len(started) >= 3
    finally:
        killed.kill()
        killed.wait()
    wait_for(lambda: not _processes_of(left))
    workers = [int(path.suffix[1:]) for path in (toy.path / "traces").glob("*.txt.*")]
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    subprocess.run([sys.executable, "-c", RUN, ""], cwd=toy.path, env=environment, check=True, timeout=120)
    begun = toy.traces()[0]
    assert begun.pop("3.txt") in (1, 2), "it may have been killed before its end"
    assert begun == {"0.txt": 1, "1.txt": 1, "2.txt": 2}
    assert toy.content("own") == toy.content("local")
    assert set(Path("/tmp").glob("smallwright-ray-*")) <= before
    assert not any(home.iterdir())
    assert not _processes_of(left)


def _processes_of(folder):
    """Processes with ``folder`` on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def _free_port():
    with socket.socket() as one:
        one.bind(("", 0))
        return one.getsockname()[1]
