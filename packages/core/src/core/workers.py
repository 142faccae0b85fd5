"""The processes that do the stages' work: one a stage, or one that stays for the next stage that can use what it holds.

An engine that takes half a minute to start, and holds one model, serves as many evaluations of that model as follow one
another: a stage says so by :meth:`core.interfaces.Stage.shares_process`. At most one such process is alive between
stages, and only until a stage begins that cannot use it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from core import store, worker
from core.errors import full_line, nearly_full
from core.interfaces import Job
from core.progress import PROGRESS_FILE_VARIABLE, ProgressBar

SECONDS_TO_END = 60.0
"""After them a worker that was told to end, and does not, is killed."""


class StageFailed(Exception):
    """A stage ended without its artifact; the message is for the user."""


def held_by(job: Job) -> str | None:
    """Return what the process of a job holds that another can use; None: nothing.

    Raises:
        StageFailed: the stage's own answer is wrong, which must cost no other stage.
    """
    assert job.stage is not None
    try:
        held = job.stage.shares_process(job)
    except Exception as error:
        said = " ".join(str(error).split())
        raise StageFailed(f"its shares_process raises {type(error).__name__}: {said}") from error
    if held is not None and not isinstance(held, str):
        raise StageFailed(f"its shares_process returns {type(held).__name__}, and must return a text or None.")
    return held


class Workers:
    """Does jobs in processes of their own; a context manager, whose end is that of the process that stayed."""

    def __init__(self) -> None:
        self._kept: _Process | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close(at_once=error is not None)

    def close(self, *, at_once: bool = False) -> None:
        """End the process that stayed, if there is one.

        Args:
            at_once: Without waiting for its engine to end well.
        """
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.end(at_once=at_once)

    def do(
        self,
        job: Job,
        logs: Path,
        look: Callable[[], None] = lambda: None,
        cost: Callable[[str, int, float], str] | None = None,
    ) -> None:
        """Do a job and return when its artifact is finished.

        Args:
            job: What is to be done.
            logs: Folder for its description, its log and its progress.
            look: Called ten times a second while the job is done, and once when it has ended.
            cost: Says the money so far; see :class:`core.progress.ProgressBar`.

        Raises:
            StageFailed: it ended without its artifact.
        """
        assert job.stage is not None
        files = _Files(logs, job.name)
        job.write(files.job)
        files.progress.write_text("")
        files.error.unlink(missing_ok=True)
        files.ended.unlink(missing_ok=True)
        shared = held_by(job)
        environment = job.stage.environment()
        held = None if shared is None else (_class(job.stage), shared, environment, job.plugin_files)
        process = self._take(held)
        bar = ProgressBar(files.progress, job.name, cost)
        try:
            if process is None or not process.begin(files):
                process = _Process(files, environment, held)
            while not process.has_ended(files):
                bar.update()
                look()
                time.sleep(0.1)
        except BaseException:
            if process is not None:
                process.end(at_once=True)
            raise
        finally:
            bar.close()
            look()
        code = process.popen.poll()
        if code is None:
            files.ended.unlink(missing_ok=True)
            self._kept = process
        elif code != 0:
            raise StageFailed(_reason(code, files))
        if store.load_manifest(job.output) is None:
            raise StageFailed("it ended without a word and without its manifest; did it call os._exit?")

    def _take(self, held: Any) -> "_Process | None":
        """Return the process that stayed, where it holds what is asked for; any other one is ended."""
        kept = self._kept
        if kept is None or held is None or kept.held != held or kept.popen.poll() is not None:
            self.close()
            return None
        self._kept = None
        return kept


class _Files:
    """Files of one job in a run's folder of logs."""

    def __init__(self, logs: Path, name: str) -> None:
        self.job, self.log = logs / f"{name}.job.json", logs / f"{name}.log"
        self.progress, self.error = logs / f"{name}.progress", logs / f"{name}.job.error.json"
        self.ended = logs / f"{name}.job{worker.ENDED}"


class _Process:
    """One process, with its first job."""

    def __init__(self, files: _Files, environment: dict[str, str], held: Any) -> None:
        self.held = held
        command = [sys.executable, "-m", "core.worker", str(files.job), str(os.getpid())]
        with open(files.log, "wb") as log:
            # Started from the main thread: on Linux the child's death signal follows the thread that started it.
            self.popen = subprocess.Popen(
                command if held is None else [*command, worker.STAYS],
                env={**os.environ, **environment, PROGRESS_FILE_VARIABLE: str(files.progress)},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL if held is None else subprocess.PIPE,
            )

    def begin(self, files: _Files) -> bool:
        """Give the process another job; return whether it was there to take it."""
        assert self.popen.stdin is not None
        order = {"job": str(files.job), "log": str(files.log), "progress": str(files.progress)}
        files.log.write_bytes(b"")
        try:
            self.popen.stdin.write(json.dumps(order).encode() + b"\n")
            self.popen.stdin.flush()
        except OSError:  # it died since the last job
            self.end(at_once=True)
            return False
        return True

    def has_ended(self, files: _Files) -> bool:
        """Whether the job has ended, well or not."""
        return self.popen.poll() is not None or (self.held is not None and files.ended.exists())

    def end(self, *, at_once: bool) -> None:
        """End the process."""
        if at_once:
            self.popen.kill()
        if self.popen.stdin is not None:
            with contextlib.suppress(OSError):
                self.popen.stdin.close()
        try:
            self.popen.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def _class(stage: Any) -> str:
    return f"{type(stage).__module__}:{type(stage).__qualname__}"


def _reason(code: int, files: _Files) -> str:
    if files.error.is_file():
        failure = json.loads(files.error.read_text())
        if failure["user"]:
            return str(failure["message"])
        return f"{failure['type']}: {str(failure['message']).strip().splitlines()[0]}"
    if code == -9:
        return "it was killed (SIGKILL); when the machine ran out of memory, give it less work at a time."
    if nearly_full(files.log.parent):  # too little for the worker to say so itself
        return full_line(files.log.parent)
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}."
    tail = files.log.read_text(errors="replace").strip().splitlines()[-1:]
    return f"it ended with code {code}: {' '.join(tail) or 'it left no word; is another run using this run_dir?'}"
