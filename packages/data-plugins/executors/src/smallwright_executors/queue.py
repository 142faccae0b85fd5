"""What Slurm says of the jobs of one name."""

import dataclasses
import os
import subprocess
import time

from core.errors import InputError

PATIENCE_SECONDS = 900
"""How long Slurm's controller may be out of reach: longer than a restart of it takes."""
_ENDED = "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT"
ENDED = frozenset(_ENDED.split())


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskState:
    """State of one task of a job array."""

    task: str
    """``<array job>_<index>``; for an array that is not split up yet the index may be a range."""
    name: str
    """Slurm's long name, such as ``PENDING``; ``UNKNOWN`` when Slurm has forgotten the task."""
    reason: str = ""


class Queue:
    """The queue's entries of one job name and this user.

    Args:
        name: Job name; it must be used for nothing else.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._states: dict[str, TaskState] = {}
        self._jobs: set[str] | None = None
        self._reachable = time.monotonic()
        self._reasons: set[str] = set()
        self.look(patience=0.0)

    def follow(self, jobs: list[str]) -> None:
        """From now on look at these jobs only, not at earlier ones of the name."""
        self._jobs = set(jobs)
        self._states = {job: TaskState(task=job, name="SUBMITTED") for job in jobs}  # until Slurm has answered
        self.look()

    def live(self) -> list[TaskState]:
        """Return the tasks that have not ended, as last seen."""
        return [state for state in self._states.values() if state.name not in ENDED]

    def state(self, task: str) -> TaskState:
        """Return the state of ``<array job>_<index>`` as last seen."""
        return self._states.get(task, TaskState(task=task, name="UNKNOWN"))

    def look(self, patience: float = PATIENCE_SECONDS) -> None:
        """Ask Slurm.

        Raises:
            InputError: it has not answered for ``patience`` seconds.
        """
        command = ["squeue", "--noheader", "--array", "--states=all", f"--name={self.name}", f"--user={os.getuid()}"]
        try:
            run = subprocess.run(
                [*command, "--format=%F|%K|%T|%r"], capture_output=True, text=True, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip()
            if time.monotonic() - self._reachable >= patience:
                raise InputError(
                    f"squeue fails: {said}. Jobs that were submitted go on; when Slurm answers again, give the same "
                    f"command to wait for them, or stop them: scancel --name={self.name}"
                ) from error
            print(f"squeue failed, trying again: {said}", flush=True)
            return
        self._reachable = time.monotonic()
        seen = {state.task: state for state in map(_parse, run.stdout.splitlines()) if self._is_ours(state)}
        for task, state in self._states.items():
            if task not in seen and state.name in ENDED:
                seen[task] = state  # Slurm forgets ended jobs after some minutes
        self._states = seen
        self._tell_reasons()

    def cancel(self) -> None:
        """Cancel all jobs of the name."""
        subprocess.run(["scancel", f"--name={self.name}", f"--user={os.getuid()}"], capture_output=True, timeout=60)

    def _is_ours(self, state: TaskState) -> bool:
        return self._jobs is None or state.task.split("_")[0] in self._jobs

    def _tell_reasons(self) -> None:
        """Print why tasks are waiting, when that is new."""
        reasons = {state.reason for state in self.live() if state.name == "PENDING" and state.reason != "None"}
        if reasons - self._reasons:
            print(f"Slurm: tasks wait for {', '.join(sorted(reasons))}", flush=True)
        self._reasons = reasons


def _parse(line: str) -> TaskState:
    job, index, name, reason = line.strip().split("|", 3)
    return TaskState(task=f"{job}_{index}", name=name, reason=reason)
