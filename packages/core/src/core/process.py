"""Child processes that do not outlive the run that started them."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable

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


def plugin_files_environment(files: Iterable[str | os.PathLike[str]]) -> dict[str, str]:
    """Return the variable that tells child processes of engines where the run's local plugin files are.

    A rank or an engine that loads a model by a name such as ``mine:activation`` puts the folders of these files where
    ``import`` finds them.
    """
    paths = [os.path.abspath(file) for file in files]
    return {PLUGIN_FILES_VARIABLE: os.pathsep.join(paths)} if paths else {}


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
