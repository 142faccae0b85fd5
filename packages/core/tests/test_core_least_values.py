"""Checks of settings that steps share."""

import dataclasses

import pytest
from core.checks import at_least
from core.errors import ConfigError


@dataclasses.dataclass
class Settings:
    sample: int | None = 3
    rate: float = 0.5


def test_a_setting_that_is_too_small_is_named_with_its_least_value():
    at_least(Settings(), sample=3, rate=0)
    at_least(Settings(sample=None), sample=3)
    with pytest.raises(ConfigError, match=r"^rate=0\.5: must be at least 1\.$"):
        at_least(Settings(), sample=1, rate=1)
