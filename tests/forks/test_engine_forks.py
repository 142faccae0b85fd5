"""A fork of a server does what ``python -m`` does; here the server has imported nothing, which takes no time."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="conftest.py forks engines on Linux only")
HERE = str(Path(__file__).parent)
PROBE = """
import json, os, signal, sys, time
if __name__ == "__main__":
    print(json.dumps([sys.argv, os.getcwd(), os.environ["COLOUR"], sys.path[0], sys.executable, sys.stdin.read()]))
    print("a word", file=sys.stderr)
    if sys.argv[1] == "wait":
        open("begun", "w").write(str(os.getpid()))
        time.sleep(60)
    if sys.argv[1] == "hold":
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))
        open("begun", "w").write(str(os.getpid()))
        time.sleep(60)
    if sys.argv[1] == "die":
        os.kill(os.getpid(), signal.SIGTERM)
    if sys.argv[1] == "fail":
        raise ValueError("no")
    sys.exit(int(sys.argv[1]))
"""
SERVER = """
import sys; from pathlib import Path; import engine_forks
engine_forks.ENGINES["nothing"] = ()
import engine_server; engine_server.main("nothing", Path(sys.argv[1]))
"""
CLIENT = """
import sys; import engine_forks
engine_forks.engine_of = lambda arguments: "nothing"
engine_forks._connected = lambda engine: engine_forks._connect(sys.argv[1])
engine_forks.take_over(sys.argv[2:])
sys.exit("no server")
"""


def listens(place: Path) -> bool:
    """Whether somebody answers at a socket: its name is there a moment before."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(place)) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The path of a server's socket."""
    folder = tmp_path_factory.mktemp("forks").with_name(f"forks-{os.getpid()}")
    folder.mkdir()
    place = folder / "nothing"
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(place)], env={**os.environ, "PYTHONPATH": HERE})
    try:
        end = time.monotonic() + 300
        while not listens(place):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        yield place
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def start(server, tmp_path):
    """A function that starts the probe as a module or as code, here or in a fork."""
    (tmp_path / "probe.py").write_text(PROBE)
    environment = {**os.environ, "PYTHONPATH": HERE, "COLOUR": "blue"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def run(*arguments, program=("-m", "probe"), forked=True):
        command = ["-c", CLIENT, str(server)] if forked else []
        return subprocess.Popen(
            [sys.executable, *command, *program, *arguments], cwd=tmp_path, env=environment, **pipes
        )

    return run


@pytest.mark.parametrize("program", [("-m", "probe"), ("-c", PROBE)], ids=["module", "code"])
@pytest.mark.parametrize("argument", ["0", "3", "fail", "die"])
def test_a_fork_says_and_ends_as_the_process_itself(start, argument, program):
    told = []
    for forked in (True, False):
        process = start(argument, "more", program=program, forked=forked)
        output, errors = process.communicate("typed", timeout=300)
        told.append((process.returncode, json.loads(output), errors.splitlines()[0], errors.splitlines()[-1]))
    assert told[0] == told[1]
    assert told[0][0] == {"0": 0, "3": 3, "fail": 1, "die": -signal.SIGTERM}[argument]


def begun_by(process, folder):
    """Wait until the probe has begun, and return its id."""
    file = folder / "begun"
    while not (file.exists() and file.read_text()):
        assert process.poll() is None
        time.sleep(0.02)
    return file.read_text()


def test_a_signal_that_asks_the_process_to_end_is_the_forks(start, tmp_path):
    process = start("hold")
    process.stdin.close()
    assert begun_by(process, tmp_path) != str(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) == signal.SIGTERM, "the one that asked ended without the fork"


def test_a_fork_ends_with_the_process_that_asked_for_it(start, tmp_path):
    process = start("wait")
    process.stdin.close()
    fork = begun_by(process, tmp_path)
    process.kill()
    process.wait()
    end = time.monotonic() + 300
    while Path(f"/proc/{fork}").exists():
        assert time.monotonic() < end, "the fork goes on"
        time.sleep(0.02)
