"""How the stage starts its ranks, and the files by which they answer."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from core.errors import InputError, UserError, full_line, nearly_full
from core.process import die_with_parent
from core.writing import remove

from smallwright_pretrain import nodes
from smallwright_pretrain.beats import BEATS, DIED_FILE, PHASES, behind, read
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.nodes import RANK_MODULE, TORCHRUN

JOB_FILE = "job.json"
TURN_FILE = "turn.json"
"""What the ranks do of the job: the number of the ``segment``; ``begin``, where the training has no checkpoint of its
own: the ``checkpoint`` of another one, and the ``place`` in the data if it is another (stage, sequences of it)."""
ERROR_FILE = "error.json"
SUMMARY_FILE = "summary.json"
REFERENCE_FILE = "reference.json"


class DamagedCheckpoint(Exception):
    """The ranks could not read a checkpoint; the message says why, and ``name`` is its folder's."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


def run_ranks(job_file: Path, config: TorchTitanConfig, environment: Mapping[str, str]) -> None:
    """Train with the ranks of all machines, and raise what the first failing rank reported.

    Args:
        job_file: What :meth:`core.interfaces.Job.write` wrote; the ranks answer in its folder.

    Raises:
        DamagedCheckpoint: the one that they would go on from.
        core.errors.UserError: what the user can mend.
        RuntimeError: anything else, in one line; the traceback is in the log.
    """
    error_path = job_file.parent / ERROR_FILE
    error_path.unlink(missing_ok=True)
    forget_ranks(job_file.parent)
    with _command(job_file, config) as command:
        code = run_child(command, environment)
        if code != 0:
            _raise_what_was_reported(code, job_file, error_path)


@contextlib.contextmanager
def _command(job_file: Path, config: TorchTitanConfig) -> Iterator[list[str]]:
    if config.nodes > 1:
        with nodes.command(config, job_file) as command:
            yield command
        return
    rank = ["-m", RANK_MODULE, str(job_file)]
    if config.nproc > 1:
        launcher = ["-m", TORCHRUN, "--standalone", "--local-addr=127.0.0.1"]
        rank = [*launcher, f"--nproc-per-node={config.nproc}", *rank]
    yield [sys.executable, *rank]


def _raise_what_was_reported(code: int, job_file: Path, error_path: Path) -> NoReturn:
    error = _reported(error_path)
    killed = died(job_file.parent)
    if killed and (error is None or error["kind"] == "error"):  # what other ranks report then follows from it
        raise RuntimeError(killed)
    if error:
        print(error["traceback"], file=sys.stderr)
        if error["kind"] == "checkpoint":
            raise DamagedCheckpoint(error["checkpoint"], error["message"])
        if error["kind"] == "user":
            raise UserError(error["message"])
        late = behind(read(job_file.parent / BEATS), time.time())
        raise RuntimeError(f"pretraining failed: {error['message']}" + (f"; {late}" if late else ""))
    if nearly_full(job_file.parent):  # too little for a rank to say so itself
        raise InputError(full_line(job_file.parent))
    if code < 0:
        hint = " The machine may have run out of memory: lower pretrain.micro_batch_size." if code == -9 else ""
        raise RuntimeError(f"pretraining was ended by signal {-code}.{hint} Run again to resume.")
    raise RuntimeError(f"pretraining ended with exit code {code}; see the log.")


def forget_ranks(work: Path) -> None:
    """Remove what the ranks of an earlier start left."""
    remove(work / DIED_FILE)
    remove(work / BEATS)


def died(work: Path) -> str | None:
    """Say which rank was ended by a signal, where that is why the others failed."""
    said = _reported(work / DIED_FILE)
    if said is None or said["code"] >= 0:
        return None
    beat = read(work / BEATS).get(said["rank"])
    where = "before its first step" if beat is None else f"while it was {PHASES[beat['phase']]} in step {beat['step']}"
    hint = " Its machine may have run out of memory: lower pretrain.micro_batch_size." if said["code"] == -9 else ""
    return (
        f"pretraining ended because rank {said['rank']} (process {said['pid']} on {said['host']}) was ended by signal "
        f"{-said['code']}, {where}.{hint} Run again to resume."
    )


def _reported(path: Path) -> dict[str, Any] | None:
    """What the first failing rank said; None where it was ended before it could."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def run_child(command: list[str], environment: Mapping[str, str], log: Path | None = None) -> int:
    """Run ``command`` to its end and return its exit code; it dies with this process.

    Args:
        log: For what it prints; None: where this process prints.
    """
    with contextlib.ExitStack() as opened:
        file = None if log is None else opened.enter_context(log.open("wb"))
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=file, stderr=file, preexec_fn=die_with_parent
        )
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
