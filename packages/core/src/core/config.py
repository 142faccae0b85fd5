"""The former place of :mod:`core.typed`, for plugins written for 0.1. It goes with the next plugin API version."""

import warnings

from core.typed import build, identity, setting, show_type

__all__ = ["build", "identity", "setting", "show_type"]

warnings.warn("core.config is now core.typed: import from there", DeprecationWarning, stacklevel=2)
