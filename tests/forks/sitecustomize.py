"""Python imports this first in every process that a test starts: see :mod:`engine_forks`, which few of them need."""

import os
import sys

if os.environ.get("ENGINE_FORKS") and ("-m" in sys.orig_argv[1:3] or "ENGINE_OF_CODE" in os.environ):
    import engine_forks

    engine_forks.take_over(sys.orig_argv[1:])
