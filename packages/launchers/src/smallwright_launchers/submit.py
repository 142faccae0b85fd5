"""Submission of commands to Slurm with submitit.

submitit hands functions over as pickles, which run code when they are read. Here it hands over a command: the job's
script has it in words, and nothing is pickled or loaded.
"""

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.sweep.tasks import Task

from smallwright_launchers.config import SlurmConfig

# Else submitit configures logging when it is imported, which closes the log handlers of every other library, and one
# of them (absl's) closes standard error with it.
os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")

from submitit.core.utils import FailedJobError
from submitit.slurm.slurm import SlurmExecutor


class Refused(UserError):
    """Slurm takes no job more; the message is Slurm's own line."""


def submit(task: Task, config: SlurmConfig, folder: Path, name: str, after: Sequence[str]) -> str:
    """Submit a task and return the number of its job.

    Args:
        folder: Of scripts and marks.
        name: Of the job.
        after: Numbers of the jobs that must have ended before.

    Raises:
        Refused: Slurm does not take the job.
    """
    task.log.parent.mkdir(parents=True, exist_ok=True)
    task.log.write_bytes(b"")  # what a job prints that Slurm begins again is appended
    executor = _Commands(folder)
    executor.update_parameters(**_parameters(task, config, name, after))
    try:
        # submitit prints what sbatch says, too
        with _outside_of_jobs(), contextlib.redirect_stderr(io.StringIO()):
            return executor.submit_command(script(task, folder))
    except FailedJobError as error:
        lines = [line.removeprefix("sbatch: error:").strip() for line in str(error).splitlines() if line.strip()]
        raise Refused(lines[-1] if lines else "sbatch fails without a word") from error


def script(task: Task, folder: Path) -> str:
    """Return what the job's shell runs: the command, and a mark of how it ended, see :func:`mark`."""
    place = f"{shlex.quote(str(folder))}/$SLURM_JOB_ID.code"
    lines = [
        f"rm -f {place}",
        "exec 3>&2 2>/dev/null",  # the shell's own words on a command that is killed would hide the command's last
        f"{shlex.join(task.command)} </dev/null 2>&3 3>&-",
        "code=$?",
        f"echo $code > {place}",
        "exit $code",
    ]
    return "\n".join(lines)


def mark(job: str, folder: Path) -> int | None:
    """Return the exit code that a job left, negative for a signal; None: it has not come to its end, or was killed."""
    try:
        code = int((folder / f"{job}.code").read_text())
    except (OSError, ValueError):  # not there, or not wholly
        return None
    return 128 - code if code > 128 else code


def _parameters(task: Task, config: SlurmConfig, name: str, after: Sequence[str]) -> dict[str, Any]:
    further = {
        "output": str(task.log.resolve()).replace("%", "%%"),
        ("requeue" if config.requeue else "no-requeue"): True,
        **{name: value for name, value in (config.sbatch_args or {}).items() if value not in (None, False)},
    }
    return {
        "job_name": name,
        "comment": task.name,
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
        "time": config.time,
        "nodes": config.nodes,
        "gpus_per_node": config.gpus or None,
        "cpus_per_task": config.cpus,
        "mem": None if config.memory_gb is None else f"{max(1, round(config.memory_gb * 1024))}M",
        "constraint": config.constraint,
        "dependency": f"afterany:{':'.join(after)}" if after else None,
        "setup": list(config.setup) or None,
        "wckey": None,
        "stderr_to_stdout": True,
        "use_srun": False,  # the command itself may start jobs and steps
        "additional_parameters": further,
    }


class _Commands(SlurmExecutor):
    """submitit's executor for commands."""

    def submit_command(self, command: str) -> str:
        """Write the script of a job, submit it and return the job's number."""
        return str(self._submit_command(command).job_id)


@contextlib.contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Submit without the variables of the job that this process may run in: they contradict the new job's own."""
    own = {name: value for name, value in os.environ.items() if re.match(r"SLURM_(?!CONF$)", name)}
    for name in own:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(own)
