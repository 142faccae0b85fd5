"""End a piece of work, or tell it that the disk is full, at the n-th thing that it does to files: fault injection."""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
DONE, FAILED, KILLED, FULL = 0, 1, 9, 28
HOW = {"killed": KILLED, "full": FULL}


def each_fault(
    how: str, first: int = 1, every: int = 1, most: int = 1000
) -> Iterator[Callable[[Callable[[], object]], int]]:
    """Yield functions that do work in another process and end it one step later each time, until it ends by itself.

    Args:
        every: Take only every n-th step.
        how: ``killed`` ends the process before a change of files, ``full`` lets the change fail as on a full disk.
    """
    for at in range(1, most, every):
        codes: list[int] = []

        def ended(work: Callable[[], object], at: int = at, codes: list[int] = codes) -> int:
            codes.append(_child(work, at, HOW[how]))
            return codes[-1]

        yield ended
        assert codes, "each round does the work once"
        assert FAILED not in codes, "the work failed by itself, see above"
        if DONE in codes:
            return
    raise AssertionError(f"more than {most} steps")


def _child(work: Callable[[], object], at: int, how: int) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _work(work, at, how)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _work(work: Callable[[], object], at: int, how: int) -> None:
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event not in CHANGES and not (event == "open" and arguments[2] & WRITES):
            return
        seen += 1
        if seen >= at and how == FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))
        if seen == at:
            os._exit(KILLED)

    try:
        sys.addaudithook(hook)
        work()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            traceback.print_exc()
        os._exit(FULL if error.errno == errno.ENOSPC else FAILED)
    except BaseException:
        traceback.print_exc()
        os._exit(FAILED)
    os._exit(DONE)
