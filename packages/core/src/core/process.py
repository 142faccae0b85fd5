"""Child processes that do not outlive the run that started them, and plugins that do not end it."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NoReturn

PLUGIN_FILES_VARIABLE = "SMALLWRIGHT_PLUGIN_FILES"
"""Environment variable of every process of a stage: the files given with ``--plugin``, absolute, os.pathsep between."""

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None) -> None:
    """Make this process end when its parent does, so that a killed run leaves nothing writing to its artifacts.

    On Linux the kernel sends SIGKILL; elsewhere a thread watches the parent's id.

    Args:
        parent: Process id of the parent, as the parent knows it. With it, a process whose parent died before this
            call ends too.
    """
    parent = parent or os.getppid()
    if os.getppid() != parent:
        os._exit(1)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died between the two calls
            os._exit(1)
        return
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def cores() -> int:
    """Return how many cores this process may use; a scheduler, or who puts runs side by side, gives each its share."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plugin_files_environment(files: Iterable[str | os.PathLike[str]]) -> dict[str, str]:
    """Return the variable that tells child processes of engines where the run's local plugin files are.

    A rank or an engine that loads a model by a name such as ``mine:activation`` puts the folders of these files where
    ``import`` finds them.
    """
    paths = [os.path.abspath(file) for file in files]
    return {PLUGIN_FILES_VARIABLE: os.pathsep.join(paths)} if paths else {}


class ExitCalled(SystemExit):
    """A plugin called ``os._exit`` where it may not end the command; what catches ``SystemExit`` catches it too."""


@contextlib.contextmanager
def nobody_leaves() -> Iterator[None]:
    """Let ``os._exit``, which ends a process without a word, raise :class:`ExitCalled` in this thread of this process.

    Child processes that are forked meanwhile, and other threads, leave as ever. Who leaves by C or by a signal is not
    held; :mod:`core.witness` tells its name.
    """
    leave, holder, held = os._exit, (os.getpid(), threading.get_ident()), True

    def refuse(status: int) -> NoReturn:
        if held and (os.getpid(), threading.get_ident()) == holder:
            raise ExitCalled(status)
        leave(status)

    os._exit = refuse
    try:
        yield
    finally:
        held = False  # for whoever took the function along by its name
        os._exit = leave


def exit_call(error: SystemExit) -> str:
    """Return the call that raised it, for messages."""
    return f"{'os._exit' if isinstance(error, ExitCalled) else 'sys.exit'}({error.code!r})"


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
