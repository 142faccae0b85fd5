"""Tasks side by side on this machine."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from core.interfaces import Launcher
from core.sweep.tasks import Task

from smallwright_launchers.endings import reason
from smallwright_launchers.machine import Share, check_ranks, divide, together
from smallwright_launchers.signals import held_back

LOOK_SECONDS = 0.05
"""Between two looks at the processes."""
GRACE_SECONDS = 20.0
"""How long a task that is asked to end may take to write its report."""


class LocalLauncher(Launcher):
    """Run as many tasks at a time as the machine carries, each with its own cores and GPUs.

    Tasks end with this process, however it ends.
    """

    def check(self, where: str) -> None:
        """See :meth:`core.interfaces.Launcher.check`."""
        divide(self.config, where)

    def check_training(self, where: str, ranks: int, device: str | None, *, alone: bool) -> None:
        """See :meth:`core.interfaces.Launcher.check_training`."""
        check_ranks(divide(self.config, where), where, ranks, device, alone=alone)

    def launch(self, tasks: Sequence[Task], folder: Path, ended: Callable[[Task, str | None], None]) -> None:
        """See :meth:`core.interfaces.Launcher.launch`."""
        free = divide(self.config)
        waiting, running = list(tasks), list[_Running]()
        print(f"local: {len(tasks)} tasks, {len(free)} at a time, each with at least {free[0].words()}", flush=True)
        try:
            while waiting or running:
                open_names = {task.name for task in waiting} | {one.task.name for one in running}
                ready = [task for task in waiting if not open_names & set(task.after)]
                while ready and free:
                    # What the others wait for gets their cores too, until they can start.
                    number = max(1, len(free) // len(ready))
                    waiting.remove(ready[0])
                    with held_back():
                        running.append(_Running(ready.pop(0), free[:number]))
                    del free[:number]
                over = [one for one in running if one.is_over()]
                for one in over:
                    running.remove(one)
                    free += one.shares
                for one in over:
                    ended(one.task, reason(one.process.returncode, one.task.log))
                if not over:
                    time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            if running:
                print(f"ending {', '.join(one.task.name for one in running)}", file=sys.stderr, flush=True)
            raise
        finally:
            _end(running)


class _Running:
    """A task's process, in a group of its own: a Ctrl-C in the terminal reaches the launcher alone, which ends them."""

    def __init__(self, task: Task, shares: Sequence[Share]) -> None:
        self.task, self.shares = task, list(shares)
        share = together(shares)
        child = [sys.executable, "-m", "smallwright_launchers.child", str(os.getpid()), ",".join(map(str, share.cores))]
        task.log.parent.mkdir(parents=True, exist_ok=True)
        with open(task.log, "wb") as log:
            # From the main thread: on Linux the child's death signal follows the thread that started it.
            self.process = subprocess.Popen(
                [*child, *task.command],
                env={**os.environ, **share.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_over(self) -> bool:
        """Whether the task has ended; what it left running ends with it, for it would hold memory and GPUs."""
        if self.process.poll() is None:
            return False
        self.kill()
        return True

    def kill(self) -> None:
        """Kill all processes of the task."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _end(running: Sequence[_Running]) -> None:
    """End tasks: they are asked to, and killed when they do not, or when the user presses Ctrl-C once more."""
    try:
        for one in running:
            one.process.terminate()  # the command alone: it ends its own processes, and says how far it was
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end and any(one.process.poll() is None for one in running):
            time.sleep(LOOK_SECONDS)
    finally:
        for one in running:
            one.kill()
        for one in running:
            one.process.wait()
