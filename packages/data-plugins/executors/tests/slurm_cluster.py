"""A real Slurm cluster of one node in a temporary folder: munge, slurmctld and slurmd, started by hand.

For tests, and for trying ``+executor=slurm`` on a laptop::

    python slurm_cluster.py bash        # a shell in which sbatch, squeue and scancel work; leaving it ends the cluster

Needs root and, on Debian or Ubuntu, ``apt-get install slurmctld slurmd slurm-client munge``. Nothing of the machine's
own Slurm or munge is touched: key, sockets, ports, state and logs are the folder's.
"""

import contextlib
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

CONFIG = """
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=2
MaxArraySize=1001
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=60 State=UP
"""


def missing() -> str | None:
    """Return why no cluster can be started here, or None."""
    absent = [name for name in NEEDED if _program(name) is None]
    if absent:
        return f"no Slurm here: {', '.join(absent)} not installed"
    if os.geteuid() != 0:
        return "slurmd needs root"
    return None


@contextlib.contextmanager
def slurm_cluster(cpus: int = 2, memory_mb: int = 4000) -> Iterator[dict[str, str]]:
    """Start the daemons, yield the environment variables that point Slurm's commands at them, and stop them.

    Raises:
        RuntimeError: the node is not ready after 30 seconds; the message has the end of the logs.
    """
    folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))  # sockets need a short path
    processes: list[subprocess.Popen] = []
    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    try:
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        ports = _free_ports(2)
        settings = CONFIG.format(
            host=platform.node().split(".")[0],
            folder=folder,
            cpus=cpus,
            memory=memory_mb,
            controller_port=ports[0],
            node_port=ports[1],
        )
        (folder / "slurm.conf").write_text(settings)
        files = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("pid-file", "seed-file", "log-file")]
        munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket", *files]
        processes.append(_start(munge, folder, environment))
        _wait_for(lambda: (folder / "munge.socket").exists(), folder, processes)
        processes.append(_start(["slurmctld", "-D", "-i"], folder, environment))
        processes.append(_start(["slurmd", "-D"], folder, environment))
        _wait_for(lambda: _node_is_idle(environment), folder, processes)
        yield environment
    finally:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            _command(["scancel", "--user=root"], environment)
            end = time.monotonic() + 300  # slurmd does not stop while a job is being cleaned up
            while _command(["squeue", "--noheader"], environment) and time.monotonic() < end:
                time.sleep(0.2)
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(processes):
            try:
                process.wait(timeout=300)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen:
    program = _program(command[0])
    assert program is not None
    with open(folder / f"{command[0]}.out", "wb") as out:
        return subprocess.Popen(
            [program, *command[1:]], stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **environment}
        )


def _command(command: list[str], environment: dict[str, str]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})
    return run.stdout


def _node_is_idle(environment: dict[str, str]) -> bool:
    return _command(["sinfo", "--noheader", "--format=%T"], environment).strip() == "idle"


def _wait_for(ready, folder: Path, processes: list[subprocess.Popen]) -> None:
    end = time.monotonic() + 300
    while not ready():
        if time.monotonic() > end or any(process.poll() is not None for process in processes):
            logs = "\n".join(
                f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}"
                for path in sorted([*folder.glob("*.log"), *folder.glob("*.out")])
            )
            raise RuntimeError(f"the Slurm cluster did not start\n{logs}")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


if __name__ == "__main__":
    reason = missing()
    if reason is not None:
        sys.exit(reason)
    with slurm_cluster() as variables:
        sys.exit(subprocess.run(sys.argv[1:] or ["bash"], env={**os.environ, **variables}).returncode)
