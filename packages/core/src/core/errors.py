"""Errors a user can mend. Each message names the key, the value and the fix, and is shown as one line."""

import difflib
import errno
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user asked for cannot be done; the message says what to do instead."""


class ConfigError(UserError):
    """A configuration key, type, size or combination is wrong."""


class MissingPluginError(ConfigError):
    """Nothing installed offers what was asked for."""


class InputError(UserError):
    """An input file or directory is missing, empty or not what it should be."""


class ArtifactError(UserError):
    """An artifact is locked, incomplete or damaged."""


def cannot_write(error: OSError, place: object) -> str:
    """Return one line for an error of the operating system met while writing below ``place``."""
    if error.errno == errno.ENOSPC:
        return f"the disk of {place} is full: free space and start again; finished work is kept."
    return f"{place} cannot be written: {error.strerror or error}."


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest known word, or an empty string."""
    by_lower = {name.lower(): name for name in sorted(known)}
    matches = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[matches[0]]!r}?" if matches else ""
