# PYTHON_ARGCOMPLETE_OK
"""The command ``python -m core.plan``; see :mod:`core.planning.command`."""

import sys

from core.planning.command import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
