"""What Slurm says of jobs."""

import dataclasses
import subprocess
import time
from collections.abc import Iterable

from core.errors import InputError

PATIENCE_SECONDS = 900
"""How long Slurm's controller may be out of reach: longer than a restart of it takes."""
_ENDED = "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT"
ENDED = frozenset(_ENDED.split())
HOPELESS = ("BadConstraints", "PartitionTimeLimit", "PartitionNodeLimit", "launch failed requeued held")
"""Reasons of Slurm for not starting a job that do not go away by waiting."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """What Slurm says of a job."""

    name: str
    """Slurm's long name, such as ``PENDING``."""
    reason: str

    @property
    def live(self) -> bool:
        """Whether the job has not ended."""
        return self.name not in ENDED


class Queue:
    """The queue, asked by the numbers of jobs."""

    def __init__(self) -> None:
        self._reachable: float | None = None

    def look(self, jobs: Iterable[str], name: str) -> dict[str, State]:
        """Return the state of each job that Slurm knows; it forgets those that ended some minutes ago.

        Args:
            jobs: Their numbers.
            name: Of the jobs, for the message.

        Raises:
            InputError: Slurm has not answered for :data:`PATIENCE_SECONDS`, or not at the first question.
        """
        asked = ",".join(jobs)
        if not asked:
            return {}
        while True:
            try:
                command = ["squeue", "--noheader", "--states=all", f"--jobs={asked}", "--format=%i|%T|%r"]
                run = subprocess.run(command, capture_output=True, text=True, timeout=60)
                said = run.stderr.strip()
                if run.returncode == 0 or "Invalid job id" in said:  # it knows none of them any more
                    self._reachable = time.monotonic()
                    return dict(_parse(line) for line in run.stdout.splitlines() if line.count("|") >= 2)
            except (OSError, subprocess.SubprocessError) as error:
                said = str(error)
            if self._reachable is None or time.monotonic() - self._reachable >= PATIENCE_SECONDS:
                raise InputError(
                    f"squeue fails: {said.splitlines()[0] if said else 'without a word'}. Jobs that were submitted go "
                    f"on; when Slurm answers again, the same command watches them. To stop them: scancel --name={name}"
                )
            print(f"squeue failed, trying again: {said}", flush=True)
            time.sleep(min(30.0, PATIENCE_SECONDS / 10))


def _parse(line: str) -> tuple[str, State]:
    job, name, reason = line.strip().split("|", 2)
    return job, State(name=name, reason=reason)
