"""Become a command, with a share of the machine: ``python -m smallwright_launchers.child <parent> <cores> <command>``.

The process ends with the launcher that started it, however that ends. ``cores`` are numbers with commas between.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from core.process import die_with_parent


def main(arguments: Sequence[str]) -> NoReturn:
    """Do what the module says; it does not return."""
    parent, cores, *command = arguments
    die_with_parent(int(parent))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"error: {command[0]} cannot be started: {error.strerror}.")


if __name__ == "__main__":
    main(sys.argv[1:])
