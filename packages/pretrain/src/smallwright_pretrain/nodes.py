"""The ranks of several machines: an agent of torchrun on each, which find one another at one address.

In a job of Slurm, ``srun`` starts the agents. Elsewhere the same command runs on every machine; the first does the run
and leaves a word beside the job when its agent starts, and the others follow it.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core import store
from core.errors import UserError
from core.process import cores, die_with_parent
from core.progress import PROGRESS_FILE_VARIABLE
from core.writing import write_json

from smallwright_pretrain.config import TorchTitanConfig

RANK_MODULE = "smallwright_pretrain.rank"
TORCHRUN = "smallwright_pretrain.elastic"
AGENTS_FILE = "agents.json"
PORT, PORTS = 29500, 1000
LOOK_SECONDS = 1.0
"""Between two looks of a machine that follows."""


def check_here(config: TorchTitanConfig, where: str) -> None:
    """Refuse several machines that would not find one another.

    Raises:
        core.errors.UserError: names the setting and the fix.
    """
    if config.nodes > 1 and config.rendezvous is None and "SLURM_JOB_ID" not in os.environ:
        raise UserError(
            f"{where}.nodes={config.nodes}: this is no job of Slurm. Add +launcher=slurm to submit one, or "
            "+launcher=allocation launcher.head=<first machine> launcher.rank=<0, 1, ...> on every machine."
        )


def agent(config: TorchTitanConfig, job_file: Path, name: str, address: str) -> list[str]:
    """Return the command of one machine's agent.

    Args:
        name: Of the rendezvous; agents of one name are one training.
        address: ``host`` or ``host:port`` of the machine that keeps it.
    """
    return [
        *(sys.executable, "-m", TORCHRUN),
        f"--nnodes={config.nodes}",
        f"--nproc-per-node={config.nproc}",
        "--max-restarts=0",
        f"--rdzv-id={name}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={address if ':' in address else f'{address}:{PORT}'}",
        *("-m", RANK_MODULE, str(job_file)),
    ]


@contextlib.contextmanager
def command(config: TorchTitanConfig, job_file: Path) -> Iterator[list[str]]:
    """Give the command that starts the ranks of all machines, or this one's while the others follow."""
    job = os.environ.get("SLURM_JOB_ID")
    if config.rendezvous is None and job is not None:
        port = PORT + int(job) % PORTS  # jobs that share a machine have their own
        yield [*_srun(config), *agent(config, job_file, job, f"{_first_host()}:{port}")]
        return
    assert config.rendezvous is not None
    name, file = uuid.uuid4().hex, job_file.parent / AGENTS_FILE
    told = {key: value for key, value in os.environ.items() if key == PROGRESS_FILE_VARIABLE}
    write_json(file, {"name": name, "environment": told})
    try:
        yield agent(config, job_file, name, config.rendezvous)
    except BaseException:
        write_json(file, {"name": None})
        raise


def _srun(config: TorchTitanConfig) -> list[str]:
    """Start one agent on each machine of the job; srun does not take the job's own number of cores by itself."""
    return [
        "srun",
        f"--nodes={config.nodes}",
        f"--ntasks={config.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={os.environ.get('SLURM_CPUS_PER_TASK') or cores()}",
        "--kill-on-bad-exit=1",
        "--overlap",  # this process may be in a step of the job itself
    ]


def _first_host() -> str:
    """Return the first machine of the job that this process runs in."""
    hosts = subprocess.run(
        ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]], capture_output=True, text=True, check=True
    )
    return hosts.stdout.split()[0]


def follow(config: TorchTitanConfig, output: Path, job_file: Path, environment: Mapping[str, str]) -> None:
    """Start this machine's agent whenever the first machine starts its own, until the artifact is finished.

    Args:
        output: The artifact.
        job_file: What the first machine tells its ranks, on a file system that both see.
        environment: Of the ranks.

    Raises:
        core.errors.UserError: the first machine gave up.
    """
    assert config.rendezvous is not None
    name, running = None, None
    try:
        while store.read_manifest(output) is None:
            told = _read(job_file.parent / AGENTS_FILE)
            if told is not None and told["name"] != name and (told["name"] is not None or name is not None):
                _end(running)
                running, name = None, told["name"]
                if name is None:
                    raise UserError("the first machine ended its training; its log says why. Start both again.")
                running = subprocess.Popen(
                    agent(config, job_file, name, config.rendezvous),
                    env={**os.environ, **environment, **told["environment"]},
                    preexec_fn=die_with_parent,
                )
            time.sleep(LOOK_SECONDS)
    finally:
        _end(running)


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _end(running: subprocess.Popen[bytes] | None) -> None:
    if running is not None:
        running.terminate()
        running.wait()
