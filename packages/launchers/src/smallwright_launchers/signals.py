"""Work that Ctrl-C does not cut in two."""

import contextlib
import signal
from collections.abc import Iterator

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def held_back(from_children: bool = False) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP wait until the block has ended: what it starts must be known to who ends it.

    Args:
        from_children: Hold them back from processes that the block starts, too, and that end in it.
    """
    held: list[int] = []
    handlers = {number: signal.signal(number, lambda given, _: held.append(given)) for number in ENDING}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING if from_children else ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for given in held[:1]:
            signal.raise_signal(given)
