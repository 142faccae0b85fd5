"""End a piece of work, or tell it that the disk is full, at the n-th thing that it does to files: fault injection."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from core import store
from core.errors import full_disk

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
DONE, FAILED, KILLED, FULL = 0, 1, 9, 28
HOW = {"killed": KILLED, "full": FULL}
LEAVE = os._exit
"""As it is before anybody holds it (:func:`core.process.nobody_leaves`)."""
NEVER = sys.maxsize
SECONDS = 120
"""A process that hangs is ended: what is tried takes a second or two."""


def each_fault(
    how: str, first: int = 1, every: int = 1, most: int = 1000, below: Path | None = None
) -> Iterator[Callable[[Callable[[], object]], int]]:
    """Yield functions that do work in another process and end it one step later each time, until it ends by itself.

    Args:
        how: ``killed`` ends the process before a change of files, ``full`` lets the change fail as on a full disk.
        first: The step to begin with.
        every: Take only every n-th step.
        below: Only what happens to files in this folder is a step; None: to any file.
    """
    for at in range(first, most, every):
        codes: list[int] = []

        def ended(work: Callable[[], object], at: int = at, codes: list[int] = codes) -> int:
            codes.append(_child(work, at, HOW[how], below))
            return codes[-1]

        yield ended
        assert codes, "each round does the work once"
        assert set(codes) <= {DONE, HOW[how]}, "the work failed by itself, see above"
        if DONE in codes:
            return
    raise AssertionError(f"more than {most} steps")


def undisturbed(work: Callable[[], object]) -> None:
    """Do work to its end in another process, as :func:`each_fault` does: this process stays as it is."""
    assert _child(work, NEVER, KILLED, None) == DONE, "the work failed, see above"


def check_artifacts(work: Callable[[Path], dict], folder: Path, how: str, first: int, every: int) -> None:
    """Check that a stage which is ended at its writes leaves the same bytes when it is started again.

    Args:
        work: Does the stage in a folder, which exists, and returns its summary.
        folder: An empty folder; the steps are those below it.
        how: As ``first`` and ``every``, see :func:`each_fault`.
    """
    record = {"stage": "s", "folder": "s", "identity": {}, "inputs": {}, "external_files": []}

    def finish(output: Path) -> None:
        output.mkdir(exist_ok=True)
        store.finish(output, {**record, "summary": work(output)})

    undisturbed(lambda: finish(folder / "whole"))
    expected = store.read_manifest(folder / "whole")["files"]
    for number, ended in enumerate(each_fault(how, first=first, every=every, below=folder)):
        output = folder / str(number)
        ended(lambda output=output: finish(output))
        if store.read_manifest(output) is None:
            undisturbed(lambda output=output: finish(output))
        assert store.read_manifest(output)["files"] == expected
    assert number >= 2, "some of the steps were tried"


def _child(work: Callable[[], object], at: int, how: int, below: Path | None) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _work(work, at, how, below)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _work(work: Callable[[], object], at: int, how: int, below: Path | None) -> None:
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event not in CHANGES and not (event == "open" and arguments[2] & WRITES):
            return
        if below is not None and not str(arguments[0]).startswith(str(below)):
            return
        seen += 1
        if seen >= at and how == FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))
        if seen == at:
            LEAVE(KILLED)

    signal.alarm(SECONDS)
    try:
        sys.addaudithook(hook)
        work()
    except BaseException as error:  # what torch raises of a checkpoint is no Exception
        full = how == FULL and seen >= at and full_disk(error, Path("/")) is not None
        if not full:
            traceback.print_exc()
        LEAVE(FULL if full else FAILED)
    LEAVE(DONE)
