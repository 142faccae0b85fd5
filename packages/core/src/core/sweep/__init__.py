"""Many runs: the same command line with differences, planned together, made one after another or by a launcher."""

from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError


def refuse_launcher_alone(config: Mapping[str, Any]) -> None:
    """Refuse a launcher in a command of one run.

    Raises:
        ConfigError: always, where there is one.
    """
    if "launcher" in config:
        raise ConfigError("launcher: puts the runs of a sweep side by side. Add -m, or leave it out.")
