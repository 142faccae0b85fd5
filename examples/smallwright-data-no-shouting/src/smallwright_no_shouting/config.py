"""Settings of the step ``no_shouting``."""

import dataclasses

from core.errors import ConfigError
from core.interfaces import StepConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoShoutingConfig(StepConfig):
    """How much shouting is too much."""

    longest_run: int = 8
    """Words in capitals that may follow one another; a word has at least two letters."""
    max_share: float = 0.5
    """Largest share of words in capitals."""

    def __post_init__(self) -> None:
        if self.longest_run < 1:
            raise ConfigError(f"longest_run={self.longest_run}: must be at least 1.")
        if not 0 <= self.max_share <= 1:
            raise ConfigError(f"max_share={self.max_share}: must be a share from 0 to 1.")
