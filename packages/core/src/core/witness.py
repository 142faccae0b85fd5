"""A process that says which plugin ended this one, where it ended in a way that Python cannot catch.

A crash, or an exit in a library's C code, leaves nobody in the process who could speak, and a loop in C never lets the
time limit through. A fork of the process, made before plugins are loaded, hears of each and speaks when the process is
gone: a few milliseconds for every command, where a process for each plugin would cost a second.
"""

import contextlib
import os
import select
import signal
import threading
import warnings
from collections.abc import Callable, Iterator

LOOKS = 3
"""How often the time limit of a plugin may pass before who does not even answer to it is ended. One look may be over at
once, when a command goes on that was stopped with Ctrl-Z."""

Announce = Callable[[str, str], None]
"""To call before each plugin: with what to say on stderr if the process ends before the next call, and with what to say
if it is killed."""


@contextlib.contextmanager
def watched(seconds: float) -> Iterator[Announce]:
    """Have a fork of this process watch it, where the system has forks and this is the only thread.

    Args:
        seconds: What one plugin may take. After :data:`LOOKS` times that the process is killed.

    Yields:
        What to call before each plugin.
    """
    started = _start(seconds)
    if started is None:
        yield lambda ended, stuck: None
        return
    child, pipe = started

    def loading(ended: str, stuck: str) -> None:
        lines = " ".join(ended.split()), " ".join(stuck.split())
        with contextlib.suppress(OSError):  # the witness has gone; the work does not need it
            os.write(pipe, "\t".join(lines).encode() + b"\n")

    try:
        yield loading
    finally:
        loading("", "")  # whoever holds the pipe too, such as a process that a plugin started, is no end of this one
        os.close(pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _start(seconds: float) -> tuple[int, int] | None:
    """Fork the witness; return its process id and the pipe to it."""
    alone = threading.current_thread() is threading.main_thread() and threading.active_count() == 1
    if not hasattr(os, "fork") or not alone:
        return None
    parent = os.getpid()
    reader, writer = os.pipe()
    try:
        with warnings.catch_warnings():  # of threads that are not Python's: the child calls the system and nothing else
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
    except OSError:  # no more processes for this user
        os.close(reader)
        os.close(writer)
        return None
    if child:
        os.close(reader)
        return child, writer
    try:
        os.close(writer)
        _witness(reader, parent, seconds)
    finally:
        os._exit(0)


def _witness(reader: int, parent: int, seconds: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    ended, stuck, looks = "", "", 0
    while looks < LOOKS:
        if select.select([reader], [], [], seconds)[0]:
            heard = os.read(reader, 65536)
            if not heard:
                return _say(ended)
            ended, _, stuck = heard.decode().splitlines()[-1].partition("\t")
            looks = 0
            if not ended:
                return None
        elif os.getppid() != parent:  # another process holds the pipe
            return _say(ended)
        else:
            looks += bool(stuck)
    _say(stuck)
    os.kill(parent, signal.SIGKILL)


def _say(line: str) -> None:
    if line:
        os.write(2, f"error: {line}\n".encode())
