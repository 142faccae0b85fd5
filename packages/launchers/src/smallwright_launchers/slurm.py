"""Tasks as jobs of Slurm."""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import ConfigError, InputError
from core.interfaces import Launcher, OneRun
from core.sweep.tasks import Task
from core.writing import write_json

from smallwright_launchers.allocation import settings
from smallwright_launchers.endings import last_words, reason, sentence
from smallwright_launchers.queue import HOPELESS, Queue, State
from smallwright_launchers.signals import held_back

COMMANDS = ("sbatch", "srun", "squeue", "scancel")
"""What must work here; submitit asks for srun."""
ADVICE = {
    "TIMEOUT": "give more launcher.time; the same command goes on from there",
    "OUT_OF_MEMORY": "give more launcher.memory_gb",
}
FILE = "jobs.json"


class SlurmLauncher(Launcher):
    """Submit each task as a job, and watch the jobs.

    When this process is stopped the jobs go on, and the same command watches them instead of submitting them again.
    """

    def check(self, where: str) -> None:
        """See :meth:`core.interfaces.Launcher.check`."""
        for command in COMMANDS:
            if shutil.which(command) is None:
                raise ConfigError(
                    f"{where}=slurm: there is no {command} here. Start the sweep where Slurm's commands work, or "
                    f"choose +{where}=local."
                )

    def of_one_run(self) -> OneRun:
        """Return that a single run is a job, with a rank for each GPU of its nodes."""
        return OneRun(settings=settings(self.config.nodes, self.config.gpus))

    def launch(self, tasks: Sequence[Task], folder: Path, ended: Callable[[Task, str | None], None]) -> None:
        """See :meth:`core.interfaces.Launcher.launch`.

        Raises:
            ConfigError: Slurm refuses a job while none of this sweep is in the queue.
            InputError: Slurm does not answer.
        """
        watch = _Watch(tasks, _own_folder(folder / "launcher"), self.config)
        try:
            while watch.waiting or watch.jobs:
                watch.submit()
                for task, error in watch.look():
                    ended(task, error)
                if watch.jobs and not watch.changed:
                    time.sleep(self.config.poll_seconds)
        except KeyboardInterrupt:
            watch.say_what_goes_on()
            raise


class _Watch:
    """The tasks of a launch: those that wait to be submitted, and the jobs of the others."""

    def __init__(self, tasks: Sequence[Task], folder: Path, config: Any) -> None:
        self.folder, self.config = folder, config
        self.name = _job_name(folder.parent)
        self.waiting = list(tasks)
        self.jobs: dict[str, _Job] = {}
        """By number, in the order of submission."""
        self.changed = False
        """Whether a job ended at the last look."""
        self._queue = Queue()
        self._record = _read(folder / FILE)
        self._said = ""
        self._find_earlier()

    def _find_earlier(self) -> None:
        """Take over the jobs of an earlier command that are still in the queue."""
        states = self._queue.look(self._record, self.name)
        live = {number: known for number, known in self._record.items() if number in states and states[number].live}
        for task in list(self.waiting):
            for number, known in live.items():
                if number not in self.jobs and known["command"] == list(task.command):
                    self.jobs[number] = _Job(task=task, state=states[number])
                    self.waiting.remove(task)
                    break
        self._others = [number for number in live if number not in self.jobs]
        """Live jobs of this sweep that are for none of the tasks: new jobs wait for them, they may do the same work."""
        self._record = {number: self._record[number] for number in live}
        if live:
            print(f"slurm: {len(live)} jobs of an earlier command are in the queue; watching them", flush=True)

    def submit(self) -> None:
        """Submit what waits, until Slurm takes no more."""
        from smallwright_launchers.submit import Refused, submit

        for task in list(self.waiting):
            try:
                with held_back(from_children=True):  # else it would be submitted again
                    number = submit(task, self.config, self.folder, self.name, self._before(task))
                    self._record[number] = {"task": task.name, "command": list(task.command)}
                    write_json(self.folder / FILE, self._record)
                    self.waiting.remove(task)
                    self.jobs[number] = _Job(task=task, state=State(name="PENDING", reason="None"))
            except Refused as refused:
                if not self.jobs:
                    said = f"launcher=slurm: Slurm refuses the job: {refused}. Change launcher's settings."
                    raise ConfigError(said) from None
                self._say(f"Slurm takes no more jobs for now ({refused}); {len(self.waiting)} wait for others to end")
                return

    def _before(self, task: Task) -> list[str]:
        """Return the jobs that the task's waits for, of those that have not ended."""
        after = [number for number, job in self.jobs.items() if job.task.name in task.after]
        most = self.config.max_parallel
        lane = list(self.jobs)[-most:][:1] if most is not None and len(self.jobs) >= most else []
        return list(dict.fromkeys([*self._others, *after, *lane]))

    def look(self) -> list[tuple[Task, str | None]]:
        """Ask Slurm, and return the tasks that ended since, with why where they failed."""
        from smallwright_launchers.submit import mark

        states = self._queue.look(self.jobs, self.name)
        over = []
        for number, job in list(self.jobs.items()):
            state = states.get(number)
            code = mark(number, self.folder)
            if code is not None and not (state is not None and state.name == "PENDING"):
                error = reason(code, job.task.log)
            elif state is not None and state.live and not (state.name == "PENDING" and state.reason in HOPELESS):
                self.jobs[number] = _Job(task=job.task, state=state)
                continue
            elif state is not None and state.live:
                _cancel(number)
                error = f"Slurm will never start job {number} ({state.reason}): change launcher's settings."
            elif job.gone is None and (state is None or state.name in ("COMPLETED", "FAILED")):
                self.jobs[number] = dataclasses.replace(job, gone=time.monotonic())
                continue
            elif job.gone is not None and time.monotonic() - job.gone < self.config.settle_seconds:
                continue
            else:
                error = _without_a_mark(number, state, job.task.log)
            del self.jobs[number]
            over.append((job.task, error))
        self.changed = bool(over)
        self._tell()
        return over

    def _tell(self) -> None:
        """Print how many jobs are in which state, and why they wait, when that is new."""
        counts = Counter(job.state.name.lower() for job in self.jobs.values())
        pending = {job.state.reason for job in self.jobs.values() if job.state.name == "PENDING"} - {
            "None",
            "Dependency",
        }
        why = f" ({', '.join(sorted(pending))})" if pending else ""
        if counts:
            self._say(", ".join(f"{number} {state}" for state, number in sorted(counts.items())) + why)

    def _say(self, line: str) -> None:
        if line != self._said:
            print(f"slurm: {line}", flush=True)
        self._said = line

    def say_what_goes_on(self) -> None:
        """Print what becomes of the jobs after this process, and how to watch and to stop them."""
        if self.jobs:
            print(
                f"slurm: {len(self.jobs)} jobs go on. The same command watches them; to stop them: scancel "
                f"--name={self.name}",
                flush=True,
            )
        if self.waiting:
            print(f"slurm: {len(self.waiting)} tasks were not submitted", flush=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    task: Task
    state: State
    """As last seen."""
    gone: float | None = None
    """When it was first seen to have ended without a mark, which may only be late."""


def _without_a_mark(number: str, state: State | None, log: Path) -> str | None:
    """Return why a job failed whose command left no word of its end."""
    if state is not None and state.name == "COMPLETED":
        return None
    said = last_words(log)
    ended = f"job {number} {'is no longer known to Slurm' if state is None else f'ended as {state.name}'}"
    advice = f"; {ADVICE[state.name]}" if state is not None and state.name in ADVICE else ""
    return sentence(f"{ended}{advice}", said)


def _own_folder(folder: Path) -> Path:
    """Make a folder that only this user can write to: sbatch reads scripts from there.

    Raises:
        InputError: it is somebody else's.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.geteuid():
        raise InputError(f"{folder} belongs to another user, who could change what your jobs run. Give run_dir=<dir>.")
    folder.chmod(0o700)
    return folder


def _read(file: Path) -> dict[str, Mapping[str, Any]]:
    """Return the jobs that earlier commands submitted: number to task and command."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    entries = known.items() if isinstance(known, dict) else ()
    return {
        number: entry
        for number, entry in entries
        if number.isdecimal() and isinstance(entry, dict) and isinstance(entry.get("command"), list)
    }


def _cancel(job: str) -> None:
    subprocess.run(["scancel", job], capture_output=True, timeout=60)


def _job_name(sweep: Path) -> str:
    """Name that finds the jobs of a sweep again: readable, and its own for every sweep."""
    own = hashlib.sha256(str(sweep).encode()).hexdigest()[:10]
    return f"smallwright-{re.sub(r'[^A-Za-z0-9]+', '-', sweep.name)}-{own}"
