"""Errors a user can mend. Each message names the key, the value and the fix, and is shown as one line."""

import contextlib
import difflib
import errno
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar


class UserError(ValueError):
    """Something the user asked for cannot be done; the message says what to do instead."""

    fault: str = ""
    """What is damaged, without the advice; see :func:`remade`."""


class ConfigError(UserError):
    """A configuration key, type, size or combination is wrong."""


class MissingPluginError(ConfigError):
    """Nothing installed offers what was asked for."""


class InputError(UserError):
    """An input file or directory is missing, empty or not what it should be."""


class NotAtHand(InputError):
    """What an input names cannot be looked at from here: it lies on a hub that cannot be reached, or has no path yet.

    A run ends with it; planning says it, and plans what does not depend on that input.
    """


class ArtifactError(UserError):
    """An artifact is locked, incomplete or damaged."""


@contextlib.contextmanager
def reading(
    path: Path, fix: str, refusal: type[UserError] = InputError, also: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn what a reader meets in a damaged file, or in one of another shape, into one line.

    Args:
        path: The file, which the line names.
        fix: A sentence that says how to come by a whole one.
        refusal: The class of what is raised.
        also: What the reader's library raises for a damaged file beside Python's own errors.

    Raises:
        UserError: of the class ``refusal``; what is one already stays as it is.
    """
    met: tuple[type[Exception], ...] = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
    try:
        yield
    except UserError:
        raise
    except met + also as error:
        said = (str(error).strip() or "no reason is known").splitlines()[0]
        raise refusal(damaged(path, f"{type(error).__name__}: {said}", fix)) from error


Refusal = TypeVar("Refusal", bound=UserError)


def remade(refusal: type[Refusal], fault: str, fix: str) -> Refusal:
    """Return an error about a part of an artifact, with advice that is right where a run makes it again.

    Args:
        fault: What is damaged, without a full stop.
        fix: The advice; :func:`named_by_user` gives another.
    """
    error = refusal(f"{fault}. {fix}")
    error.fault = fault
    return error


@contextlib.contextmanager
def named_by_user(owner: str, artifact: Path | str) -> Iterator[None]:
    """Say of a damaged artifact that a user named how to look at it: it may be the only copy.

    Args:
        owner: Begins the message, as ``tokens=store/tokens/x``.
        artifact: What ``core.store verify`` is to look at.

    Raises:
        InputError: for any error that a user can mend.
    """
    try:
        yield
    except UserError as error:
        if not error.fault:
            raise InputError(f"{owner}: {error}") from error
        raise InputError(
            f"{owner}: {error.fault}. Look at it with `python -m core.store verify {artifact}`; make it anew with the "
            "run that made it, bring back a copy, or name another."
        ) from error


def damaged(path: Path, reason: str, fix: str) -> str:
    """Return the line for a file that is not what it should be."""
    return f"{path} is damaged ({reason}). {fix}"


FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_IN_WORDS = re.compile(r"no space left on device|os error 28\b|disk quota exceeded|os error 122\b", re.IGNORECASE)
"""What libraries in other languages write where Python would raise an ``OSError`` with ``errno``."""
_PERHAPS_FULL = re.compile(r"PytorchStreamWriter failed|unexpected pos|file write failed", re.IGNORECASE)
"""What torch says of any write that fails: the disk is asked whether it is full."""
_ALMOST_NOTHING = 16 * 2**20
"""Bytes: with fewer free than this, a write that failed found the disk full."""


def cannot_write(error: OSError, place: object) -> str:
    """Return one line for an error of the operating system met while writing below ``place``."""
    if error.errno in FULL:
        what = "disk" if error.errno == errno.ENOSPC else "disk quota"
        return f"the {what} of {place} is full: free space and start again; finished work is kept."
    return f"{place} cannot be written: {error.strerror or error}."


def full_disk(error: BaseException, place: Path) -> str | None:
    """Return the line for a full disk where that is what ended the work, however it was raised; otherwise None.

    Args:
        error: What was raised. Its causes are looked at too, and what ranks of a distributed checkpoint report in it.
        place: Where the work wrote to; an error that names a file is taken at its word.
    """
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in FULL:
            return cannot_write(cause, cause.filename or place)
        text = str(cause)
        if _FULL_IN_WORDS.search(text) or (_PERHAPS_FULL.search(text) and nearly_full(place)):
            return full_line(place)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
        failures = getattr(one, "failures", None)  # torch.distributed.checkpoint's, by rank
        for failure in failures.values() if isinstance(failures, dict) else ():
            waiting += [part for part in failure if isinstance(part, BaseException)]


def nearly_full(place: Path) -> bool:
    """Whether the disk of a path has so little left that nothing more can be written, not even why."""
    return _free(place) < _ALMOST_NOTHING


def full_line(place: object) -> str:
    """Return the line for a full disk."""
    return cannot_write(OSError(errno.ENOSPC, "full"), place)


def _free(place: Path) -> int:
    """Bytes that are free on the disk of a path, which need not exist."""
    for folder in (place, *place.parents):
        if folder.exists():
            return shutil.disk_usage(folder).free
    return _ALMOST_NOTHING


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest known word, or an empty string."""
    by_lower = {name.lower(): name for name in sorted(known)}
    matches = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[matches[0]]!r}?" if matches else ""
