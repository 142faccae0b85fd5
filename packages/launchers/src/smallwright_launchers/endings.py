"""Why a task failed, in one line."""

import os
import signal
from pathlib import Path

TAIL_BYTES = 20_000


def reason(code: int, log: Path) -> str | None:
    """Return why a command ended that did not end well; None where it did.

    Args:
        code: Its exit code; negative: the signal that ended it.
        log: What it printed; its last error, or else its last line, is in the answer.
    """
    if code == 0:
        return None
    said = last_words(log)
    if code == -signal.SIGKILL:
        ended = "it was killed (SIGKILL); when the machine ran out of memory, put fewer side by side"
    elif code < 0:
        ended = f"it was ended by {_name(-code)}"
    else:
        ended = f"it ended with code {code}"
    return sentence(ended, said)


def sentence(ended: str, said: str) -> str:
    """Return how something ended, with its last words, as a sentence."""
    line = f"{ended}: {said}" if said else ended
    return line if line.endswith((".", "!", "?")) else f"{line}."


def last_words(log: Path) -> str:
    """Return the last line of a log that tells of an error, else its last line; empty where there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.path.getsize(log) - TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1][:500]


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
